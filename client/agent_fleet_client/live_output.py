"""A job's output while it runs: what the events of `GET /jobs/{id}/output` say."""

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Any, cast

from agent_fleet_client.errors import AnswerError
from agent_fleet_client.events import Event

STREAMS = ("stdout", "stderr")


@dataclass(frozen=True)
class OutputPart:
    """The next bytes of one stream, `stdout` or `stderr`."""

    stream: str
    data: bytes


@dataclass(frozen=True)
class OutputVoid:
    """The job begins anew, where its host died: what came so far is not its output. `attempt` counts from 1."""

    attempt: int


@dataclass(frozen=True)
class StateSeen:
    """The job is queued or running."""

    status: str
    attempt: int


@dataclass(frozen=True)
class OutputEnd:
    """Nothing more comes: the job has ended."""


LiveEvent = OutputPart | OutputVoid | StateSeen | OutputEnd


def read_event(event: Event) -> LiveEvent | None:
    """Return what an event says, None for one that this version does not know; raises AnswerError."""
    try:
        match event.name:
            case "stdout" | "stderr":
                data = base64.b64decode(str(_fields(event)["base64"]), validate=True)
                return OutputPart(event.name, data)
            case "restart":
                return OutputVoid(int(_fields(event)["attempt"]))
            case "state":
                fields = _fields(event)
                return StateSeen(str(fields["status"]), int(fields["attempt"]))
            case "end":
                return OutputEnd()
            case _:
                return None
    except (KeyError, TypeError, ValueError, binascii.Error) as error:
        raise AnswerError(f"The fleet's event {event.name!r} is not understood: {error}.") from None


def _fields(event: Event) -> dict[str, Any]:
    fields = json.loads(event.data)
    if not isinstance(fields, dict):
        raise TypeError("it is no JSON object")
    return cast("dict[str, Any]", fields)
