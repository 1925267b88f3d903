"""The settings of telemetry: where spans go. Metrics and logs need none."""

import ipaddress
import re
from typing import Annotated
from urllib.parse import urlsplit

from settings.values import Section, text

_SERVICE = re.compile(r"[a-z0-9-]+\.(?P<namespace>[a-z0-9-]+)\.svc(?:\..+)?")

Collector = Annotated[
    str,
    text(
        r"^https?://(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?(?:/[A-Za-z0-9._~/-]*)?$",
        "a collector's URL, such as http://collector.observability.svc:4318, without user, password or query",
    ),
]


class Telemetry(Section):
    """What the fleet tells of itself, beside its metrics and logs, which are always there."""

    otlp_endpoint: Collector | None = None
    """An OpenTelemetry collector that takes OTLP over HTTP; `/v1/traces` is added. API and workers then send it a trace
    of every job, from the request to the stored result. In a cluster it is a Service, as `name.namespace.svc`, or an
    IPv4 address, so that a NetworkPolicy can allow it and nothing else; on one host workers get a network with a way
    out.
    Left out: no spans are made, and nothing of OpenTelemetry is loaded."""

    @property
    def collector_port(self) -> int:
        """The port that spans are sent to."""
        url = urlsplit(self.otlp_endpoint or "")
        return url.port or (443 if url.scheme == "https" else 80)

    @property
    def collector_namespace(self) -> str | None:
        """The namespace of the collector's Service; None where it is not named as one."""
        found = _SERVICE.fullmatch(self._host)
        return found["namespace"] if found is not None else None

    @property
    def collector_address(self) -> str | None:
        """The collector's IP address; None where it has a name."""
        try:
            return str(ipaddress.ip_address(self._host))
        except ValueError:
            return None

    @property
    def _host(self) -> str:
        return urlsplit(self.otlp_endpoint or "").hostname or ""
