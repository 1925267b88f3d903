"""The proxy's end of the link: does what sandboxd says, tells it what was spent, and comes back when it is cut."""

import asyncio
import contextlib
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import structlog

from fleet_runtime.egress.access import Job
from fleet_runtime.egress.budget import Budgets
from fleet_runtime.egress.gate import Gates
from fleet_runtime.egress.link import MAXIMUM_BYTES, Link, LinkError
from fleet_runtime.egress.metrics import Metrics
from fleet_runtime.tasks import end

_AGAIN_SECONDS = 0.2
_REPORT_SECONDS = 1.0

_log = structlog.get_logger(__name__)


class SandboxdLink:
    """Keeps one connection to sandboxd. Without it there is no sandbox to serve: sandboxd's end is theirs."""

    def __init__(self, path: Path, sandboxd_uid: int, gates: Gates, budgets: Budgets, metrics: Metrics) -> None:
        """Nothing is connected before `run`."""
        self._path = path
        self._uid = sandboxd_uid
        self._gates = gates
        self._budgets = budgets
        self._metrics = metrics
        self._said: str | None = None

    async def run(self) -> None:
        """Connect, serve, and connect again, until cancelled."""
        while True:
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            connection.setblocking(False)
            try:
                connection.connect(str(self._path))
            except OSError as error:
                connection.close()
                self._say(f"sandboxd cannot be reached at {self._path}: {error.strerror}")
                await asyncio.sleep(_AGAIN_SECONDS)
                continue
            link = Link(connection)
            try:
                await self._serve(link)
            except LinkError as error:
                self._say(str(error))
            finally:
                link.close()
                self._gates.close_all()
            await asyncio.sleep(_AGAIN_SECONDS)

    async def _serve(self, link: Link) -> None:
        if link.peer_uid != self._uid:
            raise LinkError(f"user ID {link.peer_uid} listens in sandboxd's place at {self._path}")
        reporting = asyncio.create_task(self._report(link))
        try:
            while True:
                message, descriptor = await link.receive()
                try:
                    await self._do(link, message, descriptor)
                except (KeyError, TypeError, ValueError) as error:
                    raise LinkError(f"a message from sandboxd is not understood: {type(error).__name__}") from None
        finally:
            await end((reporting,))
            with contextlib.suppress(asyncio.CancelledError, LinkError):
                reporting.result()

    async def _do(self, link: Link, message: dict[str, Any], descriptor: int | None) -> None:
        match message:
            case {"op": "open", "sandbox": str(sandbox), "template": str(template)} if descriptor is not None:
                job = _job(message) if "job_id" in message else None
                if await self._gates.open(sandbox, template, descriptor, job) and job is not None:
                    await link.send({"op": "bound", "sandbox": sandbox})
                return
            case {"op": "bind", "sandbox": str(sandbox)}:
                if self._gates.bind(sandbox, _job(message)):
                    await link.send({"op": "bound", "sandbox": sandbox})
            case {"op": "close", "sandbox": str(sandbox)}:
                self._gates.close(sandbox)
            case {"op": "spent", "day": str(day), "tenants": dict(tenants)}:
                self._budgets.take_back(
                    day, {str(name): (int(pair[0]), int(pair[1])) for name, pair in tenants.items()}
                )
            case {"op": "welcome"}:
                self._say(None)
            case _:
                _log.warning("egress_message_unknown", op=str(message.get("op"))[:20])
        if descriptor is not None:
            os.close(descriptor)

    async def _report(self, link: Link) -> None:
        """Tell sandboxd what was spent, so that it outlives this process."""
        while True:
            await asyncio.sleep(_REPORT_SECONDS)
            for day, tenants in self._budgets.changes():
                await link.send({"op": "spent", "day": day, "tenants": tenants})
            text = self._metrics.text().decode()
            if len(text) < MAXIMUM_BYTES // 2:
                await link.send({"op": "metrics", "text": text})
            else:
                # sandboxd takes a proxy that says nothing for one that hangs.
                await link.send({"op": "alive"})

    def _say(self, problem: str | None) -> None:
        if problem != self._said:
            _log.log(30 if problem else 20, "egress_link_changed", connected=problem is None, reason=problem)
        self._said = problem


def _job(message: Mapping[str, Any]) -> Job:
    return Job(str(message["job_id"]), str(message["tenant"]))
