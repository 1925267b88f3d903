"""How many jobs a tenant may have queued, and when one that has too many may come again."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from fleet_runtime.store.acceptance import Acceptance
from fleet_runtime.store.budgets import Budgets

_FRESH_SECONDS = 1.0
_REMEMBERED = 4_096
_RETRY_SECONDS = 5
"""When places free as jobs end, which nobody can foresee."""


@dataclass
class _Count:
    queued: int
    counted_at: float


class QueueBudget:
    """Refuses a tenant's jobs above a limit.

    Counting for every job would cost more than accepting it, so a count is good for a second, and what this process
    accepts in between is added to it. Several API processes can pass the limit by what they accept in a second.
    """

    def __init__(
        self, acceptance: Acceptance, budgets: Budgets, *, limit: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Allow each tenant `limit` queued jobs in each template."""
        self.limit = limit
        self._acceptance = acceptance
        self._budgets = budgets
        self._clock = clock
        self._counts: dict[tuple[str, str], _Count] = {}
        self._moving_again: dict[str, tuple[float, int | None]] = {}

    async def allows(self, tenant: str, template: str) -> bool:
        """Say whether the tenant may queue one more. Raises DatabaseAway."""
        count = self._counts.get((tenant, template))
        now = self._clock()
        if count is None or now - count.counted_at > _FRESH_SECONDS or count.queued >= self.limit:
            queued = await self._acceptance.queued(tenant, template, self.limit)
            if len(self._counts) >= _REMEMBERED:
                self._counts.clear()
            count = self._counts[tenant, template] = _Count(queued, now)
        return count.queued < self.limit

    def accepted(self, tenant: str, template: str) -> None:
        """Count a job that was just accepted."""
        if (tenant, template) in self._counts:
            self._counts[tenant, template].queued += 1

    async def retry_after_seconds(self, tenant: str) -> int:
        """Return when a place in a full queue may be free: when the tenant's budget lets its jobs begin again.

        Raises DatabaseAway.
        """
        now = self._clock()
        asked_at, seconds = self._moving_again.get(tenant, (float("-inf"), None))
        if now - asked_at > _FRESH_SECONDS:
            usage = await self._budgets.usage(tenant)
            seconds = usage.frees_in_seconds if usage is not None else None
            if len(self._moving_again) >= _REMEMBERED:
                self._moving_again.clear()
            self._moving_again[tenant] = (now, seconds)
        return _RETRY_SECONDS if seconds is None else max(1, seconds)
