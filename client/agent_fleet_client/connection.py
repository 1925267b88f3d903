"""Requests to a fleet: the key, limits of time, and which failures are tried again."""

import contextlib
import json
import random
import re
import socket
import ssl
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx

from agent_fleet_client.errors import AnswerError, BrokenStreamError, FleetError, RefusedError, UnreachableError
from agent_fleet_client.problems import refusal

_CONNECT_SECONDS = 10.0
_ANSWER_SECONDS = 30.0
"""How long an answer may take beyond what the request itself asked to wait."""
_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 5.0
_FIRST_CONTACT_SECONDS = 10.0
"""How long an address is tried that has never answered: it is more often wrong than away."""

_LATER = frozenset({429, 502, 503, 504})
"""Answers that may be others in a moment: the fleet, or what stands before it, does not accept now."""
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_KEY = re.compile(r"[\x21-\x7e]+")

_T = TypeVar("_T")


@dataclass(frozen=True)
class Answer:
    """A status below 300 and the JSON that came with it."""

    status: int
    document: Any


class Connection:
    """A fleet at an address, and a key for it. One thread uses it at a time."""

    def __init__(self, url: str, key: str, *, patience_seconds: float, on_retry: Callable[[str], None] | None) -> None:
        """`on_retry` is told why a request is tried again. Raises FleetError for an address or key that cannot be."""
        self.url = _checked(url)
        if not _KEY.fullmatch(key):
            raise FleetError(
                "The key is empty or holds spaces, line breaks or other characters that no key has: check where it "
                "comes from."
            )
        self._patience_seconds = patience_seconds
        self._on_retry = on_retry
        self._answered = False
        self._client = httpx.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {key}", "Accept": "application/json"},
            # The system's certificates, to which a company adds its own; read only where they are needed.
            verify=ssl.create_default_context() if self.url.startswith("https:") else False,
            # A fleet on this machine is never behind a proxy.
            trust_env=urlsplit(self.url).hostname not in _LOOPBACK,
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def request(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        wait_seconds: int | None = None,
    ) -> Answer:
        """Make a request that may be made twice, until it is answered or patience ends.

        `wait_seconds` asks the fleet to hold its answer for that long (`Prefer: wait`). Raises RefusedError,
        UnreachableError, AnswerError.
        """
        every = dict(headers or {})
        if body is not None:
            every["Content-Type"] = "application/json"
        if wait_seconds is not None:
            every["Prefer"] = f"wait={wait_seconds}"
        timeout = httpx.Timeout(_ANSWER_SECONDS + (wait_seconds or 0), connect=_CONNECT_SECONDS)

        def once() -> Answer:
            with self._failures():
                answer = self._client.request(method, path, content=body, params=params, headers=every, timeout=timeout)
            self._accept(answer)
            return Answer(answer.status_code, _document(answer))

        return self._retried(once)

    @contextlib.contextmanager
    def stream(self, path: str, *, headers: Mapping[str, str], silence_seconds: float) -> Generator[httpx.Response]:
        """Open an answer that comes piece by piece; opening it is tried again, what follows is the caller's.

        Raises as `request` does, and BrokenStreamError where nothing comes for `silence_seconds` or the stream breaks.
        """
        timeout = httpx.Timeout(_ANSWER_SECONDS, connect=_CONNECT_SECONDS, read=silence_seconds)
        every = {"Accept": "text/event-stream, application/problem+json", "Cache-Control": "no-store", **headers}

        def once() -> httpx.Response:
            with self._failures():
                answer = self._client.send(
                    self._client.build_request("GET", path, headers=every, timeout=timeout), stream=True
                )
                if answer.status_code >= 300:
                    answer.read()
                    answer.close()
            self._accept(answer)
            return answer

        answer = self._retried(once)
        try:
            with self._failures():
                yield answer
        except UnreachableError as failure:
            raise BrokenStreamError(str(failure)) from None
        finally:
            answer.close()

    def _retried(self, once: Callable[[], _T]) -> _T:
        began = time.monotonic()
        pause = _FIRST_PAUSE_SECONDS
        while True:
            try:
                return once()
            except (RefusedError, UnreachableError) as failure:
                if not _may_pass(failure):
                    raise
                patience = self._patience_seconds
                if not self._answered:
                    patience = min(patience, _FIRST_CONTACT_SECONDS)
                asked = failure.retry_after_seconds if isinstance(failure, RefusedError) else None
                # Not all at once, where many were sent away by the same restart.
                seconds = max(asked or 0.0, pause * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
                if time.monotonic() + seconds > began + patience:
                    raise
                if self._on_retry is not None:
                    self._on_retry(str(failure))
            time.sleep(seconds)
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)

    def _accept(self, answer: httpx.Response) -> None:
        """Note that something is there; raise what it refuses."""
        self._answered = True
        if answer.status_code >= 400:
            raise refusal(answer)
        if answer.status_code >= 300:
            # Never followed: the key would go to an address that nobody gave it to.
            target = answer.headers.get("location", "another address")
            raise AnswerError(
                f"{self.url} sends clients on to {target}: give that as the address, if it is the fleet's."
            )

    @contextlib.contextmanager
    def _failures(self) -> Generator[None]:
        """Raise this package's errors for httpx's."""
        try:
            yield
        except httpx.TimeoutException:
            raise UnreachableError(f"{self.url} did not answer in time.") from None
        except httpx.HTTPError as error:
            raise self._unreachable(error) from None

    def _unreachable(self, error: httpx.HTTPError) -> UnreachableError:
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, ssl.SSLCertVerificationError):
                reason = f"its certificate is not trusted here: {cause.verify_message}; SSL_CERT_FILE names others"
                return UnreachableError(f"{self.url} was not talked to: {reason}.", may_pass=False)
            if isinstance(cause, socket.gaierror) and cause.errno == socket.EAI_NONAME:
                return UnreachableError(f"{self.url} has a host name that nobody knows.", may_pass=False)
            if isinstance(cause, ConnectionRefusedError):
                return UnreachableError(f"{self.url} does not answer: the connection was refused.")
            cause = cause.__cause__ or cause.__context__
        return UnreachableError(f"{self.url} does not answer: {str(error) or type(error).__name__}.")


def _may_pass(failure: RefusedError | UnreachableError) -> bool:
    return failure.status in _LATER if isinstance(failure, RefusedError) else failure.may_pass


def _checked(url: str) -> str:
    try:
        parts = urlsplit(url.strip())
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable, parts = False, None
    if not usable or parts is None or parts.query or parts.fragment:
        raise FleetError(f"{url!r} is not a fleet's address; one looks like http://127.0.0.1:8080.")
    if "@" in parts.netloc:
        raise FleetError(
            "The fleet's address holds a user or password (before the @): a key is all that a fleet takes."
        )
    return url.strip().rstrip("/")


def _document(answer: httpx.Response) -> Any:
    try:
        return json.loads(answer.content)
    except ValueError:
        kind = answer.headers.get("content-type", "no media type")
        raise AnswerError(
            f"{answer.url.host} answered with {kind} and not JSON: is that the fleet's address?"
        ) from None
