"""The socket: who may connect, what may be asked, and the life of sandboxd from start to SIGTERM."""

import asyncio
import contextlib
import os
import signal
import socket
import struct
import sys
from pathlib import Path
from typing import Any

import structlog

from fleet_runtime.sandboxd.backend import Backend, BackendError
from fleet_runtime.sandboxd.cold_pool import ColdPool, SandboxSource
from fleet_runtime.sandboxd.config import SandboxdSettings
from fleet_runtime.sandboxd.egress_backend import with_egress
from fleet_runtime.sandboxd.metrics import Metrics
from fleet_runtime.sandboxd.pool import TemplatePool
from fleet_runtime.sandboxd.protocol import ProtocolError, encode_message, read_message
from fleet_runtime.sandboxd.refused import RefusedError
from fleet_runtime.sandboxd.request import Request, parse_request
from fleet_runtime.sandboxd.run import Run
from fleet_runtime.sandboxd.workspace import WorkspacesInUse
from fleet_runtime.sandboxd.workspace_desk import WorkspaceDesk

_CHECK_SECONDS = 5.0
_CHECK_ATTEMPT_SECONDS = 10.0
_FIRST_MESSAGE_SECONDS = 10.0
_MAXIMUM_CONNECTIONS = 256
_BUFFER_BYTES = 1024 * 1024
_CREDENTIALS = struct.Struct("3i")

_log = structlog.get_logger(__name__)


async def serve(settings: SandboxdSettings, backend: Backend | None = None) -> None:
    """Be sandboxd until SIGTERM or SIGINT; returns when every sandbox is gone."""
    backend = backend or _backend(settings)
    sandboxd = Sandboxd(settings, backend)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, sandboxd.stop)
    try:
        await sandboxd.run()
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


def _backend(settings: SandboxdSettings) -> Backend:
    """Make the one that was chosen. A worker that runs this file's server on pods has no use for either."""
    if settings.sandboxd_backend == "oci":
        from fleet_runtime.sandboxd.oci_backend import OciBackend

        return OciBackend(settings.name, settings.oci, settings.egress_folder)
    from fleet_runtime.sandboxd.docker_backend import DockerBackend

    # That client computes in threads; shorter turns at the interpreter keep them from holding up a job's answer.
    sys.setswitchinterval(0.0005)
    return DockerBackend(settings.name, settings.docker_host, settings.egress_host_folder or settings.egress_folder)


class Sandboxd:
    """The server, its pools, and the watch over the backend."""

    def __init__(self, settings: SandboxdSettings, backend: Backend) -> None:
        """Make the pools; nothing is started."""
        self._settings = settings
        in_use = WorkspacesInUse()
        self._workspaces = WorkspaceDesk(backend, in_use)
        backend, self._egress = with_egress(settings, backend)
        self._backend = backend
        self._metrics = Metrics()
        self._pools: dict[str, TemplatePool | ColdPool] = {
            name: ColdPool(settings.name, name, template, backend, self._metrics, in_use)
            if template.workspaces
            else TemplatePool(settings.name, name, template, backend, self._metrics)
            for name, template in settings.sandbox_templates.items()
        }
        self._allowed = settings.allowed_uids | {os.geteuid()}
        self._reason: str | None = "it has not looked at its backend yet"
        self._stopping = asyncio.Event()
        self._connections: set[asyncio.Task[None]] = set()

    def stop(self) -> None:
        """Begin to shut down."""
        self._stopping.set()

    def keep_warm(self, wanted: bool) -> None:
        """Have sandboxes wait for jobs; or give up those that do, and make others for jobs only: few will come."""
        for pool in self._pools.values():
            pool.keep_warm(wanted)

    async def run(self) -> None:
        """Serve until `stop`, then destroy every sandbox."""
        path = self._settings.sandboxd_socket
        listening = _listening_socket(self._settings)
        inode = path.stat().st_ino
        server = await asyncio.start_unix_server(self._connected, sock=listening, limit=_BUFFER_BYTES)
        _log.info("sandboxd_listening", socket=str(self._settings.sandboxd_socket), templates=sorted(self._pools))
        watch = asyncio.create_task(self._watch())
        if self._egress is not None:
            self._egress.start()
        await self._stopping.wait()
        _log.info("sandboxd_stopping", connections=len(self._connections))
        watch.cancel()
        try:
            async with asyncio.timeout(self._settings.drain_seconds):
                await asyncio.gather(*(pool.close() for pool in self._pools.values()))
                with contextlib.suppress(BackendError):
                    await self._remove_left_over()
                await asyncio.gather(*self._connections, return_exceptions=True)
        except TimeoutError:
            _log.error("sandboxd_stopped_before_all_was_removed", seconds=self._settings.drain_seconds)
        if self._egress is not None:
            await self._egress.stop()
        server.close()
        # A successor may have put its own socket there already.
        with contextlib.suppress(OSError):
            if path.stat().st_ino == inode:
                path.unlink()
        self._backend.close()
        _log.info("sandboxd_stopped")

    async def _watch(self) -> None:
        """Look at the backend from time to time: hold pools back while it is away, remove what belongs to nobody."""
        while True:
            await self._look()
            await asyncio.sleep(_CHECK_SECONDS if self._reason is None else 1.0)

    async def _look(self) -> None:
        try:
            async with asyncio.timeout(_CHECK_ATTEMPT_SECONDS):
                problems = await self._backend.check(self._settings.sandbox_templates)
                await self._remove_left_over()
            reason = "; ".join(f"template {name}: {problem}" for name, problem in problems.items()) or None
        except (BackendError, TimeoutError) as error:
            reason = str(error) or f"the backend did not answer within {_CHECK_ATTEMPT_SECONDS:g} s"
            problems = None
        for name, pool in self._pools.items():
            if problems is None:
                pool.pause(reason or "")
            elif name in problems:
                pool.forbid(problems[name])
            else:
                pool.open()
        if reason != self._reason:
            _log.log(40 if reason else 20, "sandbox_backend_changed", healthy=reason is None, reason=reason)
        self._reason = reason
        self._metrics.backend_up.set(problems is not None)

    async def _remove_left_over(self) -> None:
        """Remove sandboxes of this fleet that no pool knows: an earlier sandboxd's, or one that a failed start made."""
        # Twice: what is listed may have been begun while the backend was answering.
        names = [name for name in await self._backend.left_over(self._known()) if name not in self._known()]
        for name in names:
            await self._backend.remove(name)
        if names:
            _log.warning("left_over_sandboxes_removed", count=len(names))

    def _known(self) -> set[str]:
        return {name for pool in self._pools.values() for name in pool.known}

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or len(self._connections) >= _MAXIMUM_CONNECTIONS:
            writer.transport.abort()
            return
        self._connections.add(task)
        try:
            await self._serve_connection(reader, writer)
        except RefusedError as error:
            self._metrics.refused.labels(error.code).inc()
            await _answer(writer, {"event": "refused", "code": error.code, "message": error.message})
        except ProtocolError as error:
            await _answer(writer, {"event": "refused", "code": "invalid_request", "message": str(error)})
        except (OSError, EOFError, TimeoutError):
            pass
        except Exception:
            _log.exception("sandboxd_connection_failed")
        finally:
            self._connections.discard(task)
            writer.close()

    async def _serve_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        uid = _peer_uid(writer)
        if uid not in self._allowed:
            _log.warning("peer_refused", uid=uid)
            raise RefusedError("invalid_request", f"user ID {uid} may not connect to sandboxd")
        async with asyncio.timeout(_FIRST_MESSAGE_SECONDS):
            message = await read_message(reader)
        if message is None:
            return
        header, body = message
        match header.get("op"):
            case "run":
                await self._run_job(header, body, reader, writer)
            case "count":
                await _answer(writer, self._count())
            case "metrics":
                await _answer(writer, {"event": "metrics"}, self._metrics_text())
            case "workspaces":
                await _answer(writer, *await self._workspaces.sizes())
            case "remove_workspace":
                await _answer(writer, await self._workspaces.remove(header))
            case _:
                known = "run, count, metrics, workspaces or remove_workspace"
                raise RefusedError("invalid_request", f"op must be {known}")

    async def _run_job(
        self, header: dict[str, Any], body: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if self._stopping.is_set():
            raise RefusedError("shutting_down", "sandboxd is shutting down")
        request = parse_request(header, body)
        await Run(request, self._source(request), self._backend, self._metrics, (reader, writer), self._egress).serve()

    def _source(self, request: Request) -> SandboxSource:
        pool = self._pools.get(request.template)
        if pool is None:
            known = ", ".join(sorted(self._pools))
            raise RefusedError("unknown_template", f"there is no template {request.template!r}; there are {known}")
        only = pool.template.credentials
        if only is not None and request.tenant != only.tenant:
            raise RefusedError("invalid_request", f"template {request.template!r} has one tenant's credentials")
        if isinstance(pool, ColdPool):
            return pool.source(request.workspace)
        if request.workspace is not None:
            raise RefusedError("invalid_request", f"sandboxes of template {request.template!r} have no workspaces")
        return pool

    def _count(self) -> dict[str, Any]:
        reason = "sandboxd is shutting down" if self._stopping.is_set() else self._reason
        if reason is None and self._egress is not None:
            reason = self._egress.problem
        templates = {name: pool.counts for name, pool in self._pools.items()}
        return {"event": "count", "healthy": reason is None, "reason": reason, "templates": templates}

    def _metrics_text(self) -> bytes:
        for name, pool in self._pools.items():
            for state, count in pool.counts.items():
                self._metrics.sandboxes.labels(name, state).set(count)
        return self._metrics.text() + (self._egress.metrics if self._egress is not None else b"")


async def _answer(writer: asyncio.StreamWriter, header: dict[str, Any], body: bytes | None = None) -> None:
    """Send a last message; a peer that is gone or takes nothing does not matter any more."""
    with contextlib.suppress(OSError, TimeoutError):
        writer.write(encode_message(header, body))
        async with asyncio.timeout(_FIRST_MESSAGE_SECONDS):
            await writer.drain()


def _peer_uid(writer: asyncio.StreamWriter) -> int:
    """Return the user ID that the kernel says is at the other end."""
    connection = writer.get_extra_info("socket")
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return _CREDENTIALS.unpack(credentials)[1]


def _listening_socket(settings: SandboxdSettings) -> socket.socket:
    """Bind beside the final path and move the socket there when its owner and mode are right."""
    path: Path = settings.sandboxd_socket
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listening.bind(str(fresh))
        fresh.chmod(0o660 if settings.sandboxd_socket_gid is not None else 0o600)
        if settings.sandboxd_socket_gid is not None:
            os.chown(fresh, -1, settings.sandboxd_socket_gid)
        listening.listen(_MAXIMUM_CONNECTIONS)
        fresh.rename(path)
    except BaseException:
        listening.close()
        raise
    return listening
