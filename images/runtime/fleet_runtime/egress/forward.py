"""One HTTP request passed on over TLS, with a credential where there is one, and its answer streamed back."""

import asyncio
from collections.abc import Iterable

import h11

from fleet_runtime.egress.config import Credential
from fleet_runtime.egress.dialer import Streams
from fleet_runtime.egress.exchange import Denied
from fleet_runtime.egress.reflection import Reflected, Reflection
from fleet_runtime.egress.request import Target
from fleet_runtime.egress.tunnel import IDLE_SECONDS, Count
from fleet_runtime.tasks import end

_CHUNK_BYTES = 64 * 1024
_LONGEST_HEADERS_BYTES = 64 * 1024
_PIECES_AT_ONCE = 256
"""Each takes as long whether it holds a byte or thousands: after so many it is the other connections' turn."""
_HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authentication-info",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
"""RFC 9110, 7.6.1: of one connection, not of the message."""

Headers = list[tuple[bytes, bytes]]


class Forwarding:
    """One request between a job and an upstream. Neither connection is used again."""

    def __init__(
        self,
        job: Streams,
        conversation: h11.Connection,
        request: h11.Request,
        target: Target,
        credential: Credential | None,
        count: Count,
    ) -> None:
        """Take the job's side as far as its request has been read."""
        self._reader, self._writer = job
        self._job = conversation
        self._request = request
        self._target = target
        self._credential = credential
        self._count = count
        self._reflection = Reflection(credential)
        self.answered = False

    async def run(self, streams: Streams) -> None:
        """Pass it on; raises Denied while nothing of an answer was given, and otherwise whatever broke it."""
        reader, writer = streams
        upstream = h11.Connection(h11.CLIENT, max_incomplete_event_size=_LONGEST_HEADERS_BYTES)
        async with asyncio.timeout(IDLE_SECONDS) as self._idle:
            head = upstream.send(self._outgoing()) or b""
            self._count(len(head), "sent")
            writer.write(head)
            sending = asyncio.create_task(self._send_body(upstream, writer))
            receiving = asyncio.create_task(self._receive(upstream, reader))
            try:
                await asyncio.wait({sending, receiving}, return_when=asyncio.FIRST_COMPLETED)
                # An upstream that reads no further may have answered already, so a broken pipe alone ends nothing.
                if sending.done() and (failed := sending.exception()) is not None and not isinstance(failed, OSError):
                    raise failed
                await receiving
            except h11.RemoteProtocolError:
                raise Denied(502, "upstream_broken", f"{self._target.host} did not answer in HTTP/1.1") from None
            except Reflected:
                text = f"the answer of {self._target.host} holds the credential, which no job may see"
                raise Denied(502, "credential_reflected", text) from None
            finally:
                await end((sending, receiving))

    def _outgoing(self) -> h11.Request:
        headers = _end_to_end(self._request.headers, without={b"host", b"expect"})
        framing = [(name, value) for name, value in self._request.headers if name == b"transfer-encoding"]
        if self._credential is not None:
            own = self._credential.header.encode()
            # A compressed answer could not be looked through for the credential.
            headers = [(name, value) for name, value in headers if name not in (own, b"accept-encoding")]
            headers += [(own, self._credential.value.get_secret_value().encode()), (b"accept-encoding", b"identity")]
        host = [(b"host", self._target.host.encode())]
        return h11.Request(
            method=self._request.method,
            target=self._target.path,
            headers=host + headers + framing + [(b"connection", b"close")],
        )

    async def _send_body(self, upstream: h11.Connection, writer: asyncio.StreamWriter) -> None:
        if self._job.they_are_waiting_for_100_continue:
            self._writer.write(self._job.send(h11.InformationalResponse(status_code=100, headers=[])) or b"")
        while True:
            try:
                body, event = _body(self._job)
            except h11.RemoteProtocolError:
                raise Denied(400, "bad_request", "the request's body is malformed, or ended too early") from None
            if body:
                self._count(len(body), "sent")
                writer.write(upstream.send(h11.Data(data=body)) or b"")
                await writer.drain()
            if event is h11.NEED_DATA:
                data = await self._reader.read(_CHUNK_BYTES)
                self._alive()
                self._job.receive_data(data)
            elif event is None:
                await asyncio.sleep(0)
            elif isinstance(event, h11.EndOfMessage):
                # Trailers are dropped: what follows a body was not looked at with the headers.
                writer.write(upstream.send(h11.EndOfMessage()) or b"")
                await writer.drain()
                return
            else:
                return

    async def _receive(self, upstream: h11.Connection, reader: asyncio.StreamReader) -> None:
        while True:
            body, event = _body(upstream)
            if body:
                await self._pass_on(self._reflection.feed(body))
            if event is h11.NEED_DATA:
                data = await reader.read(_CHUNK_BYTES)
                self._alive()
                upstream.receive_data(data)
            elif event is None:
                await asyncio.sleep(0)
            elif isinstance(event, h11.Response):
                await self._answer(event)
            elif isinstance(event, h11.EndOfMessage):
                await self._pass_on(self._reflection.rest())
                self._writer.write(self._job.send(h11.EndOfMessage()) or b"")
                await self._writer.drain()
                return
            elif not isinstance(event, h11.InformationalResponse):
                raise h11.RemoteProtocolError("the connection ended before the answer did")

    async def _answer(self, response: h11.Response) -> None:
        headers = _end_to_end(response.headers)
        self._reflection.check([*headers, (b"", bytes(response.reason))])
        head = h11.Response(
            status_code=response.status_code, headers=[*headers, (b"connection", b"close")], reason=response.reason
        )
        data = self._job.send(head) or b""
        self._count(len(data), "received")
        self.answered = True
        self._writer.write(data)
        await self._writer.drain()

    async def _pass_on(self, data: bytes) -> None:
        if data:
            self._count(len(data), "received")
            self._writer.write(self._job.send(h11.Data(data=data)) or b"")
            await self._writer.drain()

    def _alive(self) -> None:
        self._idle.reschedule(asyncio.get_running_loop().time() + IDLE_SECONDS)


def _body(conversation: h11.Connection) -> tuple[bytes, object]:
    """Return what is there of a body, in one, and the event after it; None for that where there may be more at once."""
    pieces: list[bytes] = []
    for _ in range(_PIECES_AT_ONCE):
        event = conversation.next_event()
        if not isinstance(event, h11.Data):
            return b"".join(pieces), event
        pieces.append(bytes(event.data))
    return b"".join(pieces), None


def _end_to_end(
    headers: Iterable[tuple[bytes, bytes]], without: frozenset[bytes] | set[bytes] = frozenset()
) -> Headers:
    """Return the headers that are of the message and not of the connection; names are in small letters already."""
    pairs = list(headers)
    named = {word.strip().lower() for name, value in pairs if name == b"connection" for word in value.split(b",")} - {
        b"content-length",
        b"content-type",
    }
    dropped = _HOP_BY_HOP | named | without
    return [(name, value) for name, value in pairs if name not in dropped]
