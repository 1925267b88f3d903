"""Ports for servers that a test starts."""

import random
import socket
from contextlib import suppress


def free_ports(count: int) -> list[int]:
    """Ports of the loopback interface that nobody listens on, all of them different.

    They are below those that the kernel gives out, so that no other program gets one before its server is there.
    """
    found: set[int] = set()
    while len(found) < count:
        port = random.randrange(20_000, 30_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found.add(port)
    return list(found)


def free_port() -> int:
    """One of them."""
    return free_ports(1)[0]
