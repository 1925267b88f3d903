"""The doorbell: tells others that something about a job has changed, and carries its id and nothing else.

Whatever it says is also in the jobs table. A ring that is lost costs one polling interval, one that comes twice costs a
query; so ringing never fails and never waits.
"""

from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Protocol
from uuid import UUID

Listener = Callable[[frozenset[UUID]], None]
"""Called with the jobs' ids; with none, it means that rings may have been missed and everything should be looked at."""


class Bell(StrEnum):
    """What there is to ring about."""

    QUEUED = "fleet_queued"
    """For the workers of one template, any of them."""
    CANCEL = "fleet_cancel"
    """For the one worker that runs the job, whichever it is: so for all."""
    ENDED = "fleet_ended"
    """For the API processes whose clients wait for the job: so for all."""
    WATCHED = "fleet_watched"
    """Somebody follows a job's output. For the worker that runs the job: so for all."""
    WRITTEN = "fleet_written"
    """A job that is followed has started or written. For the API processes whose clients follow it: so for all."""


class Doorbell(Protocol):
    """Carried by PostgreSQL, Redis or SQS; `doorbell.choice` makes the one that the settings name."""

    def ring(self, bell: Bell, ids: Iterable[UUID], template: str | None = None) -> None:
        """Tell every listener, soon; returns at once.

        `template` is the jobs', where the caller knows that all have the same: a carrier that cannot tell everybody
        tells the workers of that template.
        """
        ...

    def listen(self, bell: Bell, listener: Listener) -> None:
        """Have `listener` called on every ring from now on; to be called before `run`."""
        ...

    async def run(self) -> None:
        """Carry rings both ways until cancelled; reconnects for ever."""
        ...
