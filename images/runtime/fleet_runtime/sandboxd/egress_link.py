"""sandboxd's end of the link to the proxy: every sandbox's listening socket is passed on, and again after a restart.

The proxy holds nothing that it was not told here: when it dies, its successor is told all of it again, and the sockets,
of which another copy is here, keep what has been connecting meanwhile.
"""

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog

from fleet_runtime.egress.link import Link, LinkError
from fleet_runtime.tasks import end

_TENANTS_IN_A_MESSAGE = 100
_AGAIN_SECONDS = 0.5
_SILENT_SECONDS = 5.0
"""The proxy says something every second; one that is stopped or hangs still has its connection."""

_log = structlog.get_logger(__name__)

_Outgoing = asyncio.Queue[tuple[Mapping[str, Any], socket.socket | None]]


@dataclass
class _Way:
    """One sandbox's way out."""

    template: str
    listening: socket.socket
    job: Mapping[str, str] | None = None
    bound: asyncio.Event = field(default_factory=asyncio.Event)


class EgressLink:
    """Listens for the proxy and keeps it informed. All methods belong to one event loop."""

    def __init__(self, path: Path, proxy_uid: int, proxy_gid: int | None) -> None:
        """Nothing listens before `start`. The proxy is who has that user ID; the socket is opened to its group."""
        self._path = path
        self._uids = {proxy_uid, os.geteuid()}
        self._gid = proxy_gid
        self._running: asyncio.Task[None] | None = None
        self._ways: dict[str, _Way] = {}
        self._outgoing: _Outgoing | None = None
        self._day = ""
        self._spent: dict[str, list[int]] = {}
        self._heard_at = 0.0
        self.metrics = b""
        """The proxy's own figures, as it last told them."""

    @property
    def problem(self) -> str | None:
        """Why jobs that need the proxy wait; None if they need not."""
        if self._outgoing is None:
            return "the egress proxy is not there"
        silent = time.monotonic() - self._heard_at
        return f"the egress proxy hangs: it has said nothing for {silent:.0f} s" if silent > _SILENT_SECONDS else None

    @property
    def sandboxes(self) -> Collection[str]:
        """The sandboxes that have a way out."""
        return self._ways.keys()

    def start(self) -> None:
        """Listen, and serve whoever is the proxy from now on; raises OSError."""
        self._running = asyncio.create_task(self._run(_listening_socket(self._path, self._gid)))

    async def stop(self) -> None:
        """End every sandbox's way out."""
        if self._running is not None:
            await end((self._running,))
        for name in list(self._ways):
            self.discard(name)

    async def _run(self, listening: socket.socket) -> None:
        served: asyncio.Task[None] | None = None
        try:
            while True:
                try:
                    connection, _ = await asyncio.get_running_loop().sock_accept(listening)
                except OSError as error:
                    # No descriptor is free, say: the proxy tries again, and so must this.
                    _log.error("egress_proxy_not_accepted", reason=error.strerror)
                    await asyncio.sleep(_AGAIN_SECONDS)
                    continue
                link = Link(connection)
                if link.peer_uid not in self._uids:
                    _log.warning("egress_peer_refused", uid=link.peer_uid)
                    link.close()
                    continue
                # There is a new proxy because the old one is gone, whether that was noticed here or not.
                if served is not None:
                    await end((served,))
                served = asyncio.create_task(self._serve(link))
        finally:
            if served is not None:
                await end((served,))
            listening.close()

    def add(self, name: str, template: str, listening: socket.socket) -> None:
        """Pass on the listening socket of a new sandbox, now or once there is a proxy; it is then this link's."""
        self._ways[name] = _Way(template, listening)
        self._announce(name)

    async def bind(self, name: str, job_id: str, tenant: str) -> None:
        """Let a sandbox's job out; returns when the proxy says that it does. Raises LinkError for no such sandbox."""
        way = self._ways.get(name)
        if way is None or way.job is not None:
            raise LinkError("the sandbox has no way to the egress proxy of its own")
        way.job = {"job_id": job_id, "tenant": tenant}
        self._tell({"op": "bind", "sandbox": name, **way.job})
        await way.bound.wait()

    def discard(self, name: str) -> None:
        """End a sandbox's connections."""
        way = self._ways.pop(name, None)
        if way is not None:
            way.listening.close()
            self._tell({"op": "close", "sandbox": name})

    def _announce(self, name: str) -> None:
        way = self._ways[name]
        # With its job, if it has one: what has been connecting meanwhile is served as soon as this is heard.
        job = way.job or {}
        self._tell({"op": "open", "sandbox": name, "template": way.template, **job}, way.listening)

    def _tell(self, message: Mapping[str, Any], passed: socket.socket | None = None) -> None:
        """Say it in its turn; without a proxy it is said to the next one, as far as it still holds."""
        if self._outgoing is not None:
            self._outgoing.put_nowait((message, passed))

    async def _serve(self, link: Link) -> None:
        self._heard_at = time.monotonic()
        self._outgoing = outgoing = _Outgoing()
        self._tell({"op": "welcome"})
        names = sorted(self._spent)
        for start in range(0, len(names), _TENANTS_IN_A_MESSAGE):
            part = {name: self._spent[name] for name in names[start : start + _TENANTS_IN_A_MESSAGE]}
            self._tell({"op": "spent", "day": self._day, "tenants": part})
        for name in self._ways:
            self._announce(name)
        sending = asyncio.create_task(_send(link, outgoing))
        _log.info("egress_proxy_connected", sandboxes=len(self._ways))
        try:
            while True:
                self._heard(await _receive(link))
        except (LinkError, KeyError, TypeError, ValueError) as error:
            _log.warning("egress_proxy_lost", reason=str(error) or type(error).__name__)
        finally:
            self._outgoing = None
            await end((sending,))
            link.close()

    def _heard(self, message: Mapping[str, Any]) -> None:
        self._heard_at = time.monotonic()
        match message:
            case {"op": "alive"}:
                pass
            case {"op": "bound", "sandbox": str(name)}:
                if name in self._ways:
                    self._ways[name].bound.set()
            case {"op": "spent", "day": str(day), "tenants": dict(tenants)}:
                if day != self._day:
                    self._day, self._spent = day, {}
                self._spent.update({str(tenant): [int(pair[0]), int(pair[1])] for tenant, pair in tenants.items()})
            case {"op": "metrics", "text": str(text)}:
                self.metrics = text.encode()
            case _:
                _log.warning("egress_message_unknown", op=str(message.get("op"))[:20])


async def _send(link: Link, outgoing: _Outgoing) -> None:
    with contextlib.suppress(LinkError):
        while True:
            message, passed = await outgoing.get()
            if passed is None:
                await link.send(message)
            # A sandbox that is gone before its turn came has closed its socket.
            elif passed.fileno() >= 0:
                await link.send(message, passed.fileno())


async def _receive(link: Link) -> Mapping[str, Any]:
    message, descriptor = await link.receive()
    if descriptor is not None:
        os.close(descriptor)
        raise LinkError("the proxy passed a descriptor, which it never does")
    return message


def _listening_socket(path: Path, gid: int | None) -> socket.socket:
    """Bind beside the final path and move the socket there when its owner and mode are right."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        listening.setblocking(False)
        listening.bind(str(fresh))
        fresh.chmod(0o660 if gid is not None else 0o600)
        if gid is not None:
            os.chown(fresh, -1, gid)
        listening.listen(8)
        fresh.rename(path)
    except BaseException:
        listening.close()
        raise
    return listening
