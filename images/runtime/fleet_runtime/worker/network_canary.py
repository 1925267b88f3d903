"""One sandbox tries what no sandbox may achieve: a connection. Until it has failed, no stranger's code is run."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import structlog

from fleet_runtime.payload import encode
from fleet_runtime.sandboxd.client import RunRequest, RunResult, SandboxLost, SandboxRefused
from fleet_runtime.telemetry.metrics import WorkerMetrics
from fleet_runtime.worker.canary_targets import Target

_TRY_SECONDS = 3.0
_JOB_SECONDS = 20.0
_AGAIN_SECONDS = 5.0
_REACHED_SECONDS = 30.0

_PROGRAM = f"""
import errno, json, os, select, socket, sys, time
trying, found = {{}}, {{}}
for name, address, port in json.load(sys.stdin):
    try:
        one = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
        one.setblocking(False)
        code = one.connect_ex((address, port))
        if code in (0, errno.EINPROGRESS):
            trying[one] = name
        else:
            found[name] = os.strerror(code)
    except OSError as error:
        found[name] = error.strerror
end = time.monotonic() + {_TRY_SECONDS}
while trying and (left := end - time.monotonic()) > 0:
    for one in select.select([], list(trying), [], left)[1]:
        code = one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        found[trying.pop(one)] = os.strerror(code) if code else "reached"
found.update(dict.fromkeys(trying.values(), "no answer"))
print(json.dumps(found))
"""

_log = structlog.get_logger(__name__)


class Runner(Protocol):
    """What runs the canary's job."""

    async def run(self, request: RunRequest, *, kill: asyncio.Event) -> RunResult:
        """Run one job; raises SandboxRefused or SandboxLost."""
        ...


class NetworkCanary:
    """Tries at the start and again from time to time, and says whether jobs may be run."""

    def __init__(
        self,
        sandboxes: Runner,
        *,
        template: str,
        targets: Callable[[], Awaitable[Sequence[Target]]],
        enforced: bool,
        interval_seconds: float,
        metrics: WorkerMetrics,
    ) -> None:
        """Nothing is tried before `run`. Where it is not enforced, what it finds is only logged and counted."""
        self._sandboxes = sandboxes
        self._template = template
        self._targets = targets
        self._enforced = enforced
        self._interval_seconds = interval_seconds
        self._metrics = metrics
        self._number = 0
        self.refusal: str | None = "the network canary has not been tried yet" if enforced else None
        """Why no job may be run; None where jobs may."""

    async def run(self) -> None:
        """Try for ever."""
        while True:
            reached: list[str] | None = None
            try:
                reached = await self._try()
            except (SandboxRefused, SandboxLost, OSError, ValueError) as error:
                self._metrics.canary_runs.labels("failed").inc()
                _log.warning("network_canary_failed", template=self._template, reason=str(error))
                # What an earlier attempt has shown still stands.
                if self.refusal is not None:
                    self.refusal = f"the network canary could not be tried: {error}"
            else:
                self._judge(reached)
            await asyncio.sleep(
                _AGAIN_SECONDS if reached is None else _REACHED_SECONDS if reached else self._interval_seconds
            )

    async def _try(self) -> list[str]:
        """Return what a sandbox could reach."""
        targets = await self._targets()
        self._number += 1
        payload = encode("python", _PROGRAM, json.dumps(targets).encode(), {})
        request = RunRequest(f"network-canary-{self._number}", 1, self._template, _JOB_SECONDS, payload)
        result = await self._sandboxes.run(request, kill=asyncio.Event())
        if result.exit_code != 0:
            said = result.stderr.decode(errors="replace").strip()[-200:]
            raise ValueError(f"its job ended by {result.reason} with exit code {result.exit_code}: {said}")
        answers: dict[str, str] = json.loads(result.stdout)
        missing = {name for name, _, _ in targets} - answers.keys()
        if missing:
            raise ValueError(f"its job says nothing of {', '.join(sorted(missing))}")
        _log.info("network_canary_tried", template=self._template, answers=answers)
        return sorted(name for name, answer in answers.items() if answer == "reached")

    def _judge(self, reached: list[str]) -> None:
        self._metrics.canary_reached.set(len(reached))
        self._metrics.canary_runs.labels("reached" if reached else "denied").inc()
        if reached:
            _log.error("network_canary_reached", template=self._template, reached=reached, enforced=self._enforced)
        if self._enforced:
            self.refusal = (
                f"a sandbox reached {', '.join(reached)}: nothing enforces the NetworkPolicy that denies it; install a "
                "network plugin that does, or set FLEET_NETWORK_CANARY=report to run jobs with an open network"
                if reached
                else None
            )
