"""Talks to a fleet's API as its first client: waits until it is ready, and runs a job."""

import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from engine.errors import UserFacingError

CODE = 'print("Hello from a sandbox.")'
_ANSWER_SECONDS = 10.0
_HEALTH_SECONDS = 5.0


@dataclass(frozen=True)
class Readiness:
    """What GET /ready said; `reasons` is empty where it is ready."""

    ready: bool
    reasons: str
    draining: str = ""
    """The workers that take no more jobs, because an operator or their end wants it so."""


def _request(
    url: str,
    *,
    key: str = "",
    body: Any = None,
    headers: dict[str, str] | None = None,
    seconds: float = _ANSWER_SECONDS + 60,
) -> tuple[int, Any]:
    """The status and the JSON of an answer; raises OSError when there is none."""
    data = None if body is None else json.dumps(body).encode()
    every = {"Accept": "application/json", **(headers or {})}
    if key:
        every["Authorization"] = f"Bearer {key}"
    if data is not None:
        every["Content-Type"] = "application/json"
    request = urllib.request.Request(url, data=data, headers=every)  # noqa: S310 - the stack's own output
    # No proxy: the fleet is on this machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=seconds) as answer:
            status, text = answer.status, answer.read()
    except urllib.error.HTTPError as error:
        status, text = error.code, error.read()
    except http.client.HTTPException as error:
        raise ConnectionError(f"no HTTP answer: {error!r}") from error
    try:
        return status, json.loads(text)
    except ValueError:
        return status, {"detail": text[:200].decode(errors="replace")}


def health(url: str) -> tuple[int, Any]:
    """The status and the JSON of GET /health; raises OSError where nothing answers."""
    return _request(f"{url}/health", seconds=_HEALTH_SECONDS)


def readiness(url: str) -> Readiness:
    """Ask GET /ready once."""
    try:
        status, answer = _request(f"{url}/ready")
    except OSError as error:
        return Readiness(ready=False, reasons=f"{url} does not answer ({getattr(error, 'reason', error)})")
    if status == 200:
        draining = answer.get("draining") if isinstance(answer, dict) else None
        return Readiness(ready=True, reasons="", draining=", ".join(str(worker) for worker in draining or ()))
    reasons = answer.get("reasons") or answer.get("detail") or answer if isinstance(answer, dict) else answer
    if isinstance(reasons, list):
        reasons = "; ".join(str(reason) for reason in reasons)
    return Readiness(ready=False, reasons=str(reasons))


def _none() -> str:
    return ""


def wait_until_ready(
    url: str, seconds: float, tick: Callable[[str], None], troubles: Callable[[], str] = _none
) -> None:
    """Wait until the fleet accepts and runs jobs. `tick` gets the reasons why it does not yet, when they change.

    `troubles` is what the place says of containers that do not run, asked where the time is up.
    """
    deadline = time.monotonic() + seconds
    said = ""
    while not (found := readiness(url)).ready:
        if time.monotonic() > deadline:
            raise UserFacingError(
                "\n".join(
                    filter(
                        None,
                        (
                            f"The fleet was deployed, but after {seconds:.0f} s it is not ready: {found.reasons}",
                            troubles(),
                        ),
                    )
                ),
                "`make status` shows its containers and `make logs` what they say; run `make up` again after that.",
            )
        if found.reasons != said and time.monotonic() > deadline - seconds + 5:
            said = found.reasons
            tick(said)
        time.sleep(0.2)


def run(url: str, key: str, key_resources: Sequence[str] = ()) -> dict[str, Any]:
    """Run one job to its end and return its result. `key_resources` are the URNs of what the key is made from."""
    body = {"language": "python", "code": CODE}
    try:
        status, answer = _request(f"{url}/execute", key=key, body=body, headers={"Prefer": "wait=30"})
    except OSError as error:
        raise UserFacingError(
            f"The first job could not be sent: {url} does not answer ({error}).", "`make logs` shows what the API says."
        ) from error
    if status == 202:
        raise UserFacingError(
            "The first job was accepted but has not ended within 30 s.", "`make logs` shows what the workers say."
        )
    if status == 401:
        replace = " ".join(f"--target-replace '{urn}'" for urn in key_resources)
        raise UserFacingError(
            "The first job was refused (401): the fleet does not accept the stack's own API key. It was revoked, or "
            "the database is that of another deployment.",
            f"Make a new key: in `make shell`, run\n  pulumi up {replace}\nand after that `make up`.",
        )
    if status >= 300:
        detail = answer.get("detail") or answer.get("title") or answer
        raise UserFacingError(f"The first job was refused ({status}): {detail}", "`make logs` shows what the API says.")
    if answer.get("status") != "succeeded":
        raise UserFacingError(
            f"The first job ended as {answer.get('status')}: {answer.get('error') or answer.get('stderr')}",
            "`make logs` shows what the workers and sandboxd say.",
        )
    return answer
