"""Everything that can go wrong between a client and a fleet, each with what to do about it."""

from collections.abc import Sequence
from dataclasses import dataclass


class FleetError(Exception):
    """Anything that this package raises on purpose. Its text is one line that may be shown to a user."""


class InvalidJobError(FleetError, ValueError):
    """A job that the contract does not allow, found before anything was sent.

    `field` is the part of the job, as the API names it.
    """

    def __init__(self, field: str, message: str) -> None:
        """`message` goes on from the field's name: what was given, what is allowed."""
        super().__init__(f"{field}: {message}")
        self.field = field


class UnreachableError(FleetError):
    """Nothing answered at the fleet's address, however often it was tried. `may_pass` says whether it was worth it."""

    def __init__(self, message: str, *, may_pass: bool = True) -> None:
        """`message` names the address and the reason."""
        super().__init__(message)
        self.may_pass = may_pass


class BrokenStreamError(UnreachableError):
    """What came piece by piece stopped coming."""


class AnswerError(FleetError):
    """Something answered that is not a fleet, or not one that this version understands."""


@dataclass(frozen=True)
class FieldProblem:
    """One field that the fleet refused: its name as it was sent, and what is allowed."""

    field: str
    message: str


class RefusedError(FleetError):
    """The fleet answered with problem details (RFC 9457).

    `status` is the HTTP status (401 key, 404 unknown job, 410 expired result, 413 too large, 422 invalid, 429 over
    budget, 503 not accepting), `kind` the last part of the problem's type, `errors` the fields that are wrong,
    `retry_after_seconds` what the fleet asked to wait, and `request_id` what its logs know the request by.
    """

    def __init__(
        self,
        status: int,
        kind: str,
        title: str,
        detail: str,
        *,
        errors: Sequence[FieldProblem] = (),
        retry_after_seconds: float | None = None,
        request_id: str | None = None,
    ) -> None:
        """Take the document's members as they came."""
        super().__init__(f"{title} ({status}): {detail}" if detail else f"{title} ({status})")
        self.status = status
        self.kind = kind
        self.title = title
        self.detail = detail
        self.errors = tuple(errors)
        self.retry_after_seconds = retry_after_seconds
        self.request_id = request_id
