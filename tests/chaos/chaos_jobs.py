"""Clients that send jobs and insist on their results, whatever becomes of the service meanwhile."""

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

_TERMINAL = {"succeeded", "failed", "timed_out", "cancelled", "lost"}
_CLIENTS = 8
_PAUSE_SECONDS = 0.2


@dataclass
class Jobs:
    """`count` jobs, each with an idempotency key, and what was answered for each."""

    url: str
    key: str
    count: int
    last_sent_at: float
    """No new job is sent after this (monotonic seconds)."""
    stalled_seconds: float
    """When nothing was accepted and nothing ended for so long, the clients give up: that is not a slow machine."""
    seed: str
    results: dict[int, dict[str, Any]] = field(default_factory=dict[int, dict[str, Any]])
    problems: list[str] = field(default_factory=list[str])
    _next: int = 0
    _moved_at: float = field(default_factory=time.monotonic)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def start(self) -> list[threading.Thread]:
        """Start the clients; they end when every job that was sent has a result, or when nothing moves any more."""
        threads = [threading.Thread(target=self._client, name=f"client-{number}") for number in range(_CLIENTS)]
        for thread in threads:
            thread.start()
        return threads

    def body(self, number: int) -> dict[str, Any]:
        """Return the request of one job: some end at once, some are long enough to be met by a kill."""
        chosen = random.Random(f"{self.seed}-{number}")
        seconds = chosen.choice([0, 0, 0, 0.2, 1])
        code = (
            f"import time\nprint({number}, flush=True)\ntime.sleep({seconds})"
            if chosen.random() < 0.7
            else f"echo {number}; sleep {seconds}"
        )
        return {
            "language": "python" if code.startswith("import") else "bash",
            "code": code,
            "idempotency_key": f"job-{number}",
            "max_attempts": 10,
        }

    def _take(self) -> int | None:
        with self._lock:
            if self._next >= self.count or time.monotonic() > self.last_sent_at:
                return None
            self._next += 1
            return self._next - 1

    def _client(self) -> None:
        headers = {"Authorization": f"Bearer {self.key}"}
        with httpx.Client(base_url=self.url, headers=headers, timeout=30, trust_env=False) as client:
            while (number := self._take()) is not None:
                job = self._insist(lambda number=number: self._submit(client, number))
                if job is None:
                    self.problems.append(f"job {number} was not accepted: nothing moved any more")
                    continue
                result = self._insist(lambda job=job: self._result(client, job))
                if result is None:
                    self.problems.append(f"job {number}, {job}, had no result: nothing moved any more")
                    continue
                again = self._insist(lambda number=number: self._submit(client, number)) if number % 10 == 0 else job
                if again != job:
                    self.problems.append(f"job {number} was accepted as {job}, and then as {again}")
                self.results[number] = result

    def _insist(self, ask: Callable[[], Any]) -> Any:
        while time.monotonic() - self._moved_at < self.stalled_seconds:
            try:
                if (answer := ask()) is not None:
                    self._moved_at = time.monotonic()
                    return answer
            except httpx.TransportError:
                pass
            threading.Event().wait(_PAUSE_SECONDS)
        return None

    def _submit(self, client: httpx.Client, number: int) -> str | None:
        answer = client.post("/execute", json=self.body(number))
        if answer.status_code in (200, 202):
            return str(answer.json()["id"])
        if answer.status_code != 503:
            self.problems.append(f"job {number} was answered with {answer.status_code}: {answer.text}")
        return None

    def _result(self, client: httpx.Client, job: str) -> dict[str, Any] | None:
        answer = client.get(f"/result/{job}", headers={"Prefer": "wait=5"})
        if answer.status_code in (200, 202):
            found = answer.json()
            return found if found["status"] in _TERMINAL else None
        if answer.status_code != 503:
            self.problems.append(f"{job} was answered with {answer.status_code}: {answer.text}")
        return None
