"""One connection of a job: its request is read, judged, passed on or refused, and noted. Then it is closed."""

import asyncio
import contextlib
import time

import h11
import structlog

from fleet_runtime.egress.access import Access, BudgetSpent
from fleet_runtime.egress.client_hello import ClientHelloError
from fleet_runtime.egress.dialer import Dialer, RefusedAddress, Streams, Unreachable
from fleet_runtime.egress.exchange import Denied, problem
from fleet_runtime.egress.forward import Forwarding
from fleet_runtime.egress.metrics import Metrics
from fleet_runtime.egress.request import BadRequest, Target, target_of
from fleet_runtime.egress.tunnel import client_hello, join

HEADER_SECONDS = 10.0
LONGEST_HEADERS_BYTES = 16 * 1024
LONGEST_SECONDS = 3600.0
"""No connection lasts longer, whatever passes."""
_LOGGED_REFUSALS = 100
"""Of one job; beyond, its refusals are only counted: a job must not fill the log."""
_CHUNK_BYTES = 16 * 1024
_SETTING = "fleet.sandbox.egress.domains"

_log = structlog.get_logger(__name__)


class Proxying:
    """Serves one connection. It never carries a second request, so there is none to be smuggled."""

    def __init__(self, access: Access, dialer: Dialer, metrics: Metrics, job: Streams) -> None:
        """Nothing is read before `serve`."""
        self._access = access
        self._dialer = dialer
        self._metrics = metrics
        self._streams = job
        self._reader, self._writer = job
        # Every drain then waits for the last byte, so nothing is left to be sent when a connection is closed.
        self._writer.transport.set_write_buffer_limits(high=0)
        self._conversation = _conversation()
        self._target: Target | None = None
        self._passed = {"sent": 0, "received": 0}
        self._answered = False
        self._without_body = False

    async def serve(self) -> None:
        """See it to its end; raises nothing but CancelledError."""
        began = time.monotonic()
        verdict, private = "broken", None
        try:
            async with asyncio.timeout(LONGEST_SECONDS):
                await self._serve()
            verdict = "allowed"
        except Denied as denied:
            verdict, private = denied.verdict, denied.private
            await self._refuse(denied)
        except BaseExceptionGroup as group:
            verdict = "budget" if group.subgroup(BudgetSpent) is not None else "broken"
        except BudgetSpent as spent:
            verdict = "budget"
            await self._refuse(Denied(429, verdict, str(spent)))
        except TimeoutError:
            verdict = "timed_out"
            await self._refuse(Denied(408 if self._target is None else 504, verdict, "nothing came in time"))
        except (OSError, EOFError, h11.ProtocolError):
            pass
        finally:
            if verdict == "broken":
                self._writer.transport.abort()
            self._writer.close()
            self._note(verdict, private, time.monotonic() - began)

    async def _serve(self) -> None:
        request, target = await self._next(None)
        self._judge(target)
        if target.tunnel and target.port == 80:
            # Some clients tunnel plain HTTP too. What comes in the tunnel is one request as any other.
            await self._establish()
            early, _ = self._conversation.trailing_data
            self._conversation = _conversation()
            if early:
                self._conversation.receive_data(early)
            self._answered = False
            request, target = await self._next(target)
        credential = self._access.rules.credentials.get(target.host)
        if target.tunnel:
            await self._tunnel(target)
            return
        upstream = await self._open(target, tls=True)
        forwarding = Forwarding(self._streams, self._conversation, request, target, credential, self._count)
        try:
            await forwarding.run(upstream)
        finally:
            self._answered = forwarding.answered
            upstream[1].transport.abort()

    async def _next(self, within: Target | None) -> tuple[h11.Request, Target]:
        request = await self._request()
        if request is None:
            raise EOFError
        try:
            self._target = target_of(request, within)
        except BadRequest as error:
            self._access.begin_request()
            raise Denied(400, "bad_request", str(error)) from None
        return request, self._target

    async def _request(self) -> h11.Request | None:
        async with asyncio.timeout(HEADER_SECONDS):
            while True:
                try:
                    event = self._conversation.next_event()
                except h11.RemoteProtocolError as error:
                    raise Denied(error.error_status_hint, "bad_request", "the request is malformed") from None
                if isinstance(event, h11.Request):
                    self._without_body = event.method == b"HEAD"
                    return event
                if event is not h11.NEED_DATA:
                    return None
                self._conversation.receive_data(await self._reader.read(_CHUNK_BYTES))

    def _judge(self, target: Target) -> None:
        """Raise Denied for what this job may not have."""
        rules = self._access.rules
        if self._access.job is None:
            raise Denied(403, "no_job", "no job runs here yet")
        self._access.begin_request()
        if not rules.domains.allows(target.host):
            text = f"{target.host} is not among the domains that this pool's jobs may reach ({_SETTING})"
            raise Denied(403, "domain", text)
        if target.port not in ((80, 443) if target.tunnel else (80,)):
            text = f"port {target.port} is not allowed: tunnels lead to port 443, and http:// goes out as TLS"
            raise Denied(403, "port", text)
        if target.tunnel and target.port == 443 and target.host in rules.credentials:
            text = f"the proxy adds a credential for {target.host}: use http://{target.host}/, which goes out as TLS"
            raise Denied(403, "credential", text)

    async def _open(self, target: Target, *, tls: bool) -> Streams:
        try:
            return await self._dialer.open(target.host, 443, tls=tls)
        except RefusedAddress as error:
            text = f"{target.host} does not lead to a public address"
            raise Denied(403, "address", text, private=str(error)) from None
        except Unreachable as error:
            raise Denied(502, "unreachable", str(error)) from None

    async def _tunnel(self, target: Target) -> None:
        upstream = await self._open(target, tls=False)
        try:
            await self._establish()
            early, _ = self._conversation.trailing_data
            try:
                first = await client_hello(self._reader, early, target.host)
            except ClientHelloError as error:
                raise Denied(403, "server_name", str(error), private=str(error)) from None
            self._count(len(first), "sent")
            upstream[1].write(first)
            await upstream[1].drain()
            await join(self._streams, upstream, self._count)
        finally:
            upstream[1].transport.abort()

    async def _establish(self) -> None:
        # h11 would announce a body; the answer to CONNECT has none (RFC 9110, 9.3.6).
        self._answered = True
        self._writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await self._writer.drain()
        self._conversation.next_event()

    def _count(self, size: int, direction: str) -> None:
        self._passed[direction] += size
        self._access.passed(size, direction)

    async def _refuse(self, denied: Denied) -> None:
        """Answer, where no answer has begun; where one has, the connection breaks off in the middle."""
        if self._answered:
            self._writer.transport.abort()
            return
        head, body = problem(denied)
        with contextlib.suppress(OSError, TimeoutError, h11.ProtocolError):
            async with asyncio.timeout(HEADER_SECONDS):
                self._writer.write(self._conversation.send(head) or b"")
                if not self._without_body:
                    self._writer.write(self._conversation.send(h11.Data(data=body)) or b"")
                self._writer.write(self._conversation.send(h11.EndOfMessage()) or b"")
                await self._writer.drain()

    def _note(self, verdict: str, private: str | None, seconds: float) -> None:
        access, target = self._access, self._target
        self._metrics.requests.labels(access.rules.name, verdict).inc()
        if verdict != "allowed":
            access.logged += 1
            if access.logged > _LOGGED_REFUSALS:
                return
        _log.info(
            "egress_request",
            job_id=access.job.job_id if access.job else None,
            tenant=access.job.tenant if access.job else None,
            template=access.rules.name,
            host=target.host if target else None,
            port=target.port if target else None,
            verdict=verdict,
            reason=private,
            sent_bytes=self._passed["sent"],
            received_bytes=self._passed["received"],
            seconds=round(seconds, 3),
        )


def _conversation() -> h11.Connection:
    return h11.Connection(h11.SERVER, max_incomplete_event_size=LONGEST_HEADERS_BYTES)
