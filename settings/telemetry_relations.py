"""What the place of the collector means where the fleet runs."""

import ipaddress
from collections.abc import Iterator

from settings.model import Settings
from settings.violation import Violation

_HERE = "telemetry.otlp_endpoint"
_HIGHEST_PORT = 65_535


def telemetry_violations(settings: Settings) -> Iterator[Violation]:
    """A collector that no program of the fleet could reach."""
    given = settings.telemetry.otlp_endpoint
    if given is None:
        return
    try:
        port = settings.telemetry.collector_port
    except ValueError:
        port = _HIGHEST_PORT + 1
    if not 0 < port <= _HIGHEST_PORT:
        yield Violation(_HERE, f"given {given!r}; its port is none: allowed are 1 to {_HIGHEST_PORT}")
        return
    address = settings.telemetry.collector_address
    if (address is not None and ipaddress.ip_address(address).is_loopback) or "//localhost" in given:
        yield Violation(
            _HERE,
            f"given {given!r}, which in a container is that container itself: give the address that the collector has "
            "on a network",
        )
    elif address is not None and ipaddress.ip_address(address).is_link_local:
        yield Violation(_HERE, f"given {given!r}; link-local addresses serve a machine's own credentials: take another")
    elif settings.architecture == "cluster" and not _allowable(settings):
        yield Violation(
            _HERE,
            f"given {given!r}; a NetworkPolicy cannot allow a name of elsewhere: allowed are a Service in the cluster, "
            "as http://name.namespace.svc:4318, and an IPv4 address",
            ("architecture",),
        )


def _allowable(settings: Settings) -> bool:
    address = settings.telemetry.collector_address
    if address is not None:
        return ipaddress.ip_address(address).version == 4
    return settings.telemetry.collector_namespace is not None
