"""Server-sent events (WHATWG HTML, 9.2), from bytes as they arrive."""

from collections.abc import Generator, Iterable
from dataclasses import dataclass

from agent_fleet_client.errors import AnswerError

_MAXIMUM_LINE_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True)
class Event:
    """One event: `id` is the last that the stream has given, empty before there is one."""

    name: str
    data: str
    id: str


def read_events(parts: Iterable[bytes]) -> Generator[Event]:
    """Give the events of a stream. What an end cuts off is no event; a line beyond 16 MiB raises AnswerError."""
    name, data, last_id = "", list[str](), ""
    for line in _lines(parts):
        if line:
            field, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if field == "event":
                name = value
            elif field == "data":
                data.append(value)
            elif field == "id" and "\0" not in value:
                last_id = value
        elif data or name:
            if data:
                yield Event(name or "message", "\n".join(data), last_id)
            name, data = "", []


def _lines(parts: Iterable[bytes]) -> Generator[str]:
    """Give lines, which end with CR, LF or both; a CR at the end of a part may have its LF in the next."""
    rest = bytearray()
    after_return = False
    for part in parts:
        given = part[1:] if after_return and part.startswith(b"\n") else part
        if part:
            after_return = part.endswith(b"\r")
        rest += given
        if b"\n" not in given and b"\r" not in given:
            if len(rest) > _MAXIMUM_LINE_BYTES:
                raise AnswerError(f"The fleet's answer has a line of more than {_MAXIMUM_LINE_BYTES} bytes.")
            continue
        *whole, last = rest.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        rest = bytearray(last)
        for line in whole:
            yield line.decode(errors="replace")
