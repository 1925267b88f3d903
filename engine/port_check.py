"""Whether the API's port is free, and who has it, asked before anything is changed."""

import errno
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import docker

from engine.errors import UserFacingError

# The defaults of fleet.api in settings/model.py; a test holds the two together.
DEFAULT_ADDRESS = "127.0.0.1"
DEFAULT_PORT = 8080


def wanted(fleet_settings: Mapping[str, Any]) -> tuple[str, int] | None:
    """The address and port of the stack's settings; None where the program will refuse them."""
    api = fleet_settings.get("api", {})
    if not isinstance(api, dict):
        return None
    address, port = api.get("bind_address", DEFAULT_ADDRESS), api.get("port", DEFAULT_PORT)
    if not isinstance(address, str) or type(port) is not int or not 0 < port < 65536:
        return None
    return address, port


def _in_use(address: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # As Docker's own proxy binds: a connection in TIME_WAIT is no obstacle, a listener is.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            if error.errno in (errno.EADDRINUSE,):
                return True
            raise UserFacingError(
                f"fleet.api.bind_address is {address} and fleet.api.port {port}, which this machine refuses: "
                f"{error.strerror}.",
                "Choose an address of this machine, and a port that this user may open, in the stack's settings.",
            ) from error
    return False


def _container_with(client: docker.DockerClient, port: int) -> Any | None:
    for container in client.containers.list(ignore_removed=True):
        for bindings in (container.ports or {}).values():
            if any(int(binding["HostPort"]) == port for binding in bindings or ()):
                return container
    return None


def listener(port: int) -> str | None:
    """`name (process id n)` of the process that listens, as far as this user may see it."""
    inodes: set[str] = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        fields = (line.split() for line in lines)
        inodes |= {field[9] for field in fields if field[3] == "0A" and int(field[1].rpartition(":")[2], 16) == port}
    targets = {f"socket:[{inode}]" for inode in inodes}
    for process in Path("/proc").glob("[0-9]*") if targets else ():
        try:
            if any(str(descriptor.readlink()) in targets for descriptor in (process / "fd").iterdir()):
                return f"{(process / 'comm').read_text().strip()} (process {process.name})"
        except OSError:
            continue
    return None


def check(address: str, port: int, fleet: str, client: docker.DockerClient) -> None:
    """Raise UserFacingError when something else than this fleet listens where its API shall."""
    if not _in_use(address, port):
        return
    container = _container_with(client, port)
    if container is not None and container.labels.get("agent-fleet.fleet") == fleet:
        return
    holder = f"the container {container.name}" if container is not None else listener(port) or "another process"
    raise UserFacingError(
        f"fleet.api.port is {port}, but {holder} has that port on {address} already.",
        "Stop it, or set another port as fleet.api.port in the stack's settings file.",
    )
