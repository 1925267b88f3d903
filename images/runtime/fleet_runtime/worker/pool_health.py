"""Whether sandboxd can run jobs now, and the heartbeat that tells the fleet so."""

import asyncio
import contextlib
from collections.abc import Callable

import structlog

from fleet_runtime.database import DatabaseAway
from fleet_runtime.sandboxd.client import Sandboxes, SandboxLost, SandboxRefused
from fleet_runtime.store.fleet import Fleet, WorkerState

log = structlog.get_logger()

_ASK_SECONDS = 5.0
_UNHEALTHY_INTERVAL_SECONDS = 1.0


class PoolHealth:
    """Asks sandboxd at every heartbeat, at once after a fault, and every second until it is well again."""

    def __init__(
        self,
        sandboxes: Sandboxes,
        fleet: Fleet,
        *,
        describe: Callable[[bool, str | None], WorkerState],
        template: str,
        interval_seconds: float,
        on_recovery: Callable[[], None],
        on_drain: Callable[[bool], None],
    ) -> None:
        """Beat every `interval_seconds`.

        `on_recovery` is called when jobs may be claimed again, `on_drain` when an operator wants this worker to take no
        more jobs (True), or to take jobs again (False).
        """
        self.healthy = False
        self.drain_requested = False
        self.capacity = 0
        """How many jobs of the template sandboxd takes at once."""
        self._reason: str | None = "sandboxd has not been asked yet"
        self._sandboxes = sandboxes
        self._fleet = fleet
        self._describe = describe
        self._template = template
        self._interval_seconds = interval_seconds
        self._on_recovery = on_recovery
        self._on_drain = on_drain
        self._ask_now = asyncio.Event()

    @property
    def reason(self) -> str | None:
        """Why no job is taken; None where jobs are."""
        if self.drain_requested:
            return "drained by an operator: `workers undrain` has it take jobs again"
        return None if self.healthy else self._reason or "sandboxd is not healthy"

    def doubt(self, reason: str) -> None:
        """Take sandboxd for unhealthy until it says otherwise: a job has just met a fault."""
        self.healthy, self._reason = False, reason
        self._ask_now.set()

    async def run(self) -> None:
        """Ask and beat until cancelled."""
        while True:
            self._ask_now.clear()
            await self._ask()
            await self.beat()
            wait = self._interval_seconds if self.healthy else _UNHEALTHY_INTERVAL_SECONDS
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._ask_now.wait()
                    # At most some ten questions a second, however many jobs meet the fault together.
                    await asyncio.sleep(0.1)

    async def beat(self) -> None:
        """Tell the fleet how this worker is."""
        with contextlib.suppress(DatabaseAway):
            wanted = await self._fleet.beat(self._describe(self.healthy, self._reason))
            if wanted != self.drain_requested:
                self.drain_requested = wanted
                log.info("drain_requested" if wanted else "drain_taken_back")
                self._on_drain(wanted)
                # The fleet learns of it now and not at the next beat.
                await self._fleet.beat(self._describe(self.healthy, self._reason))

    async def _ask(self) -> None:
        was_healthy = self.healthy
        try:
            async with asyncio.timeout(_ASK_SECONDS):
                count = await self._sandboxes.count()
            template = count.templates.get(self._template)
            self.capacity = template.maximum if template else 0
            self.healthy, self._reason = count.healthy, count.reason
            if template is None:
                self.healthy, self._reason = False, f"sandboxd has no template {self._template!r}"
        except (SandboxLost, SandboxRefused, TimeoutError, OSError) as error:
            self.healthy, self._reason = False, f"sandboxd: {error or type(error).__name__}"
        if self.healthy and not was_healthy:
            log.info("sandboxes_ready", capacity=self.capacity)
            self._on_recovery()
        elif not self.healthy and was_healthy:
            log.warning("sandboxes_not_ready", reason=self._reason)
