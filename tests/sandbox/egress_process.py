"""The egress role, with the tests' names and certificates in place of the internet's: `egress_process.py WORLD`.

WORLD is a JSON file: `names` (name → list of addresses, or of such lists, one for each time that it is asked for),
`ports` (address → port of this machine) and `authority`. Everything else is the role's own.
"""

import asyncio
import itertools
import json
import ssl
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from fleet_runtime.egress.addresses import Address, refusal
from fleet_runtime.egress.config import EgressSettings
from fleet_runtime.egress.dialer import Dialer, Streams
from fleet_runtime.egress.server import serve
from fleet_runtime.telemetry.logs import configure_logs


def dialer_of(world: dict[str, Any]) -> Dialer:
    """A dialer for which the world is the internet; it judges addresses as any other does."""
    turns: dict[str, Iterator[Sequence[str]]] = {
        name: itertools.cycle(found if isinstance(found[0], list) else [found])
        for name, found in world["names"].items()
    }

    async def resolve(host: str) -> Sequence[str]:
        if host not in turns:
            raise OSError(-2, "Name or service not known")
        return next(turns[host])

    def judge(address: Address) -> str | None:
        return refusal(address)

    async def connect(address: Address, port: int, tls: ssl.SSLContext | None, host: str) -> Streams:
        if port != 443 or str(address) not in world["ports"]:
            raise OSError(111, "Connection refused")
        here = world["ports"][str(address)]
        return await asyncio.open_connection("127.0.0.1", here, ssl=tls, server_hostname=host if tls else None)

    tls = ssl.create_default_context(cafile=world["authority"])
    return Dialer(resolve=resolve, judge=judge, connect=connect, tls=tls)


if __name__ == "__main__":
    configure_logs("info", role="egress")
    settings = EgressSettings()  # pyright: ignore[reportCallIssue] - from the environment
    asyncio.run(serve(settings, dialer_of(json.loads(Path(sys.argv[1]).read_text()))))
