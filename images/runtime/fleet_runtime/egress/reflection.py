"""Keeps a credential from coming back to the job in an answer that repeats what it was asked.

A second line of defence: who answers with the credential in another form (split, encoded) is not found out. Domains
with a credential are trusted with it.
"""

from collections.abc import Iterable

from fleet_runtime.egress.config import Credential

_SHORTEST = 8


class Reflected(Exception):  # noqa: N818 - it is a verdict
    """The answer holds the credential."""


class Reflection:
    """Looks through one answer. What may be the beginning of the credential is held back until more has come."""

    def __init__(self, credential: Credential | None) -> None:
        """Look for the secret part of the header's value: what follows `Bearer ` or another scheme."""
        value = "" if credential is None else credential.value.get_secret_value()
        last = value.rpartition(" ")[2]
        self._secret = (last if len(last) >= _SHORTEST else value).encode()
        self._held = b""

    def check(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Look at the answer's headers; raises Reflected."""
        if self._secret and any(self._secret in name + value for name, value in headers):
            raise Reflected

    def feed(self, data: bytes) -> bytes:
        """Take a piece of the body and return what may go on to the job; raises Reflected."""
        if not self._secret:
            return data
        data = self._held + data
        if self._secret in data:
            raise Reflected
        held = next(
            (size for size in range(min(len(self._secret) - 1, len(data)), 0, -1) if self._begins(data, size)), 0
        )
        self._held = data[len(data) - held :]
        return data[: len(data) - held]

    def rest(self) -> bytes:
        """Return what was held back, at the end of the body."""
        held, self._held = self._held, b""
        return held

    def _begins(self, data: bytes, size: int) -> bool:
        return self._secret.startswith(data[len(data) - size :])
