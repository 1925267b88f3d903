"""The sandboxes that have a way to the proxy: a listening socket each, which sandboxd made and passed on."""

import asyncio
import socket

import structlog

from fleet_runtime.egress.access import Access, Job, TemplateRules
from fleet_runtime.egress.budget import Budgets
from fleet_runtime.egress.dialer import Dialer
from fleet_runtime.egress.exchange import Denied, problem
from fleet_runtime.egress.metrics import Metrics
from fleet_runtime.egress.proxy import Proxying

_BUFFER_BYTES = 64 * 1024
_MOST_CONNECTIONS = 256
"""Of all sandboxes together: one whose job reads nothing may hold 1 MiB here (measured, Python 3.11) and something
in the kernel besides, and the proxy has 512 MiB."""

_log = structlog.get_logger(__name__)


class Gate:
    """One sandbox's listening socket and its open connections."""

    def __init__(self, access: Access) -> None:
        """Nothing listens yet."""
        self.access = access
        self.server: asyncio.Server | None = None
        self.closed = False
        self.connections: set[asyncio.Task[None]] = set()


class Gates:
    """All of them. What they do is decided by the templates' rules, and counted."""

    def __init__(self, rules: dict[str, TemplateRules], budgets: Budgets, dialer: Dialer, metrics: Metrics) -> None:
        """Begin with none."""
        self._rules = rules
        self._budgets = budgets
        self._dialer = dialer
        self._metrics = metrics
        self._gates: dict[str, Gate] = {}
        self._connections = 0

    async def open(self, sandbox: str, template: str, descriptor: int, job: Job | None = None) -> bool:
        """Serve a sandbox, and its job if it has one by now, on a listening socket, which is then this process's.

        False for a sandbox that is known already, or of a template that is not.
        """
        listening = socket.socket(fileno=descriptor)
        rules = self._rules.get(template)
        if rules is None or sandbox in self._gates:
            listening.close()
            _log.error("egress_sandbox_refused", sandbox=sandbox, template=template, known=rules is not None)
            return False
        gate = self._gates[sandbox] = Gate(Access(rules, self._budgets, self._metrics, job))
        self._metrics.sandboxes.set(len(self._gates))
        listening.setblocking(False)

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self._connected(gate, reader, writer)

        gate.server = await asyncio.start_unix_server(connected, sock=listening, limit=_BUFFER_BYTES)
        return True

    def bind(self, sandbox: str, job: Job) -> bool:
        """Let a sandbox's job out from now on; False for a sandbox that is not known or has another job."""
        gate = self._gates.get(sandbox)
        if gate is None or gate.access.job not in (None, job):
            return False
        gate.access.job = job
        return True

    def close(self, sandbox: str) -> None:
        """End a sandbox's connections and listen no more."""
        gate = self._gates.pop(sandbox, None)
        self._metrics.sandboxes.set(len(self._gates))
        if gate is not None:
            gate.closed = True
            if gate.server is not None:
                gate.server.close()
            for connection in gate.connections:
                connection.cancel()

    def close_all(self) -> None:
        """End all of it."""
        for sandbox in list(self._gates):
            self.close(sandbox)

    async def _connected(self, gate: Gate, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        rules = gate.access.rules
        if task is None or gate.closed:
            writer.transport.abort()
            return
        if len(gate.connections) >= rules.policy.connections or self._connections >= _MOST_CONNECTIONS:
            self._metrics.requests.labels(rules.name, "connections").inc()
            _turn_away(writer, rules.policy.connections)
            return
        gate.connections.add(task)
        self._connections += 1
        open_now = self._metrics.open.labels(rules.name)
        open_now.inc()
        try:
            await Proxying(gate.access, self._dialer, self._metrics, (reader, writer)).serve()
        except asyncio.CancelledError:
            writer.transport.abort()
        except Exception:
            _log.exception("egress_connection_failed")
            writer.transport.abort()
        finally:
            gate.connections.discard(task)
            self._connections -= 1
            open_now.dec()


def _turn_away(writer: asyncio.StreamWriter, most: int) -> None:
    head, body = problem(Denied(503, "connections", f"a job may have {most} connections at once"))
    lines = [f"HTTP/1.1 {head.status_code} Service Unavailable".encode()]
    lines += [name + b": " + value for name, value in head.headers]
    writer.write(b"\r\n".join([*lines, b"", body]))
    writer.close()
