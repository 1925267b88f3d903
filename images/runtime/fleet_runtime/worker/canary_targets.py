"""The addresses that a sandbox must not reach, found where the worker can: a sandbox resolves no name."""

import asyncio
import socket

from psycopg.conninfo import conninfo_to_dict

from fleet_runtime.sandboxd.kubernetes_config import KubernetesSettings

METADATA_SERVICE = "169.254.169.254:80"
"""Where clouds hand out a node's credentials; the same at AWS, Google and Azure."""

Target = tuple[str, str, int]
"""What it is called, its address, its port."""


async def canary_targets(settings: KubernetesSettings, database_url: str) -> list[Target]:
    """Return every address of every target; raises OSError that names what cannot be resolved."""
    api_server = f"{settings.kubernetes_service_host}:{settings.kubernetes_service_port}"
    named = {
        METADATA_SERVICE: "the metadata service",
        api_server: "the Kubernetes API server",
        **dict.fromkeys(_database(database_url), "the database"),
        **dict.fromkeys(settings.canary_targets, "FLEET_CANARY_TARGETS"),
    }
    found: list[Target] = []
    for target, name in named.items():
        host, _, port = target.rpartition(":")
        found += [(f"{name} at {target}", address, int(port)) for address in await _resolve(host.strip("[]"), port)]
    return found


def _database(url: str) -> list[str]:
    parts = conninfo_to_dict(url)
    hosts = str(parts.get("hostaddr") or parts.get("host") or "").split(",")
    ports = str(parts.get("port") or 5432).split(",")
    # A Unix socket is a path, and no sandbox sees that file.
    return [
        f"{host}:{ports[number] if number < len(ports) else ports[0]}"
        for number, host in enumerate(hosts)
        if host and not host.startswith(("/", "@"))
    ]


async def _resolve(host: str, port: str) -> list[str]:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise OSError(f"{host} cannot be resolved: {error}") from error
    return sorted({str(address[0]) for *_, address in found})
