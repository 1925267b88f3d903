"""What a tenant may send and receive in a day, counted by the day of UTC."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime

_TENANTS_IN_A_MESSAGE = 100


@dataclass
class Spent:
    """Of one tenant, today."""

    sent_and_received_bytes: int = 0
    requests: int = 0


def today() -> date:
    """The day of UTC that it is."""
    return datetime.now(UTC).date()


class Budgets:
    """The tenants' days. What was spent outlives this process at sandboxd, which is told and gives it back."""

    def __init__(self, daily_bytes: int, daily_requests: int, now: Callable[[], date] = today) -> None:
        """Take the limits of each tenant."""
        self._daily_bytes = daily_bytes
        self._daily_requests = daily_requests
        self._now = now
        self._day = now()
        self._spent: dict[str, Spent] = {}
        self._changed: set[str] = set()

    def request(self, tenant: str) -> str | None:
        """Count a request; why it is one too many, or None."""
        spent = self._of(tenant)
        spent.requests += 1
        self._changed.add(tenant)
        if spent.requests > self._daily_requests:
            return f"the tenant's {self._daily_requests} requests of today are used up"
        return self._bytes_left(spent)

    def add(self, tenant: str, count: int) -> str | None:
        """Count bytes that have passed; why these were too many, or None."""
        spent = self._of(tenant)
        spent.sent_and_received_bytes += count
        self._changed.add(tenant)
        return self._bytes_left(spent)

    def _bytes_left(self, spent: Spent) -> str | None:
        if spent.sent_and_received_bytes > self._daily_bytes:
            return f"the tenant's {self._daily_bytes} bytes of today are used up"
        return None

    def take_back(self, day: str, tenants: Mapping[str, tuple[int, int]]) -> None:
        """Go on from what an earlier process had counted on this day."""
        if day != self._today().isoformat():
            return
        for tenant, (count, requests) in tenants.items():
            spent = self._of(tenant)
            spent.sent_and_received_bytes = max(spent.sent_and_received_bytes, count)
            spent.requests = max(spent.requests, requests)

    def changes(self) -> Iterator[tuple[str, dict[str, tuple[int, int]]]]:
        """Yield the day, and what each tenant that has spent something since the last call has spent by now."""
        day = self._today().isoformat()
        changed, self._changed = sorted(self._changed), set()
        for start in range(0, len(changed), _TENANTS_IN_A_MESSAGE):
            names = changed[start : start + _TENANTS_IN_A_MESSAGE]
            found = {name: self._of(name) for name in names}
            yield day, {name: (spent.sent_and_received_bytes, spent.requests) for name, spent in found.items()}

    def _of(self, tenant: str) -> Spent:
        self._today()
        return self._spent.setdefault(tenant, Spent())

    def _today(self) -> date:
        day = self._now()
        # A clock that is set back must not give anybody a second day.
        if day > self._day:
            self._day = day
            self._spent.clear()
            self._changed.clear()
        return self._day
