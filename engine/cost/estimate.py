"""The estimate of a stack: what its planned resources cost a month, and what could not be estimated."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from engine.cost.charges import Charge, WorkerHosts
from engine.cost.job_cost import JobCost, job_cost
from engine.cost.planned import Plan
from engine.cost.price_table import PriceTable, RegionalPrices, price_table, regional, used
from engine.cost.rules import is_cloud, judge

_OWN_CLUSTER = "aws:eks/cluster:Cluster"


@dataclass(frozen=True)
class NotEstimated:
    """Resources of one type that have no price here."""

    type: str
    why: str
    count: int


@dataclass(frozen=True)
class Estimate:
    """What a stack costs, in US dollars."""

    region: str
    parts: tuple[Charge, ...]
    """The dearest at rest first."""
    not_estimated: tuple[NotEstimated, ...]
    jobs: JobCost | None
    assumptions: tuple[str, ...]
    read: tuple[date, date] | None
    """When the prices were read that it uses: the first and the last of them. None where it uses none."""
    in_an_account: bool
    """Whether the stack has anything in a cloud account at all."""

    @property
    def usd_at_rest(self) -> float:
        """A month without jobs."""
        return sum(part.usd_at_rest for part in self.parts)

    @property
    def usd_at_most(self) -> float:
        """A month with every group at its maximum."""
        return sum(part.usd_at_most for part in self.parts)


def estimate(plan: Plan, table: PriceTable | None = None) -> Estimate:
    """Price a plan. Nothing is left out in silence: what has no price is among `not_estimated`."""
    table = table or price_table()
    prices = regional(plan.region or table.region, table)
    own_cluster = bool(plan.of_type(_OWN_CLUSTER))
    charges: list[Charge] = []
    workers: list[WorkerHosts] = []
    unpriced: dict[tuple[str, str], int] = {}
    notes: set[str] = set()
    for planned in plan.resources.values():
        verdict = judge(planned, plan, prices, own_cluster=own_cluster)
        charges += verdict.charges
        workers += verdict.workers
        notes |= verdict.notes
        if verdict.not_estimated:
            reason = (planned.type, verdict.not_estimated)
            unpriced[reason] = unpriced.get(reason, 0) + 1
    return Estimate(
        region=prices.region,
        parts=_added(charges),
        not_estimated=tuple(NotEstimated(kind, why, count) for (kind, why), count in sorted(unpriced.items())),
        jobs=job_cost(workers, plan, prices),
        assumptions=tuple(_assumptions(prices, plan, notes)),
        read=_read(prices),
        in_an_account=any(is_cloud(each.type) for each in plan.resources.values()),
    )


def _added(charges: Iterable[Charge]) -> tuple[Charge, ...]:
    sums: dict[str, Charge] = {}
    for each in charges:
        so_far = sums.get(each.what, Charge(each.what, 0, 0, 0, 0))
        sums[each.what] = Charge(
            each.what,
            so_far.usd_at_rest + each.usd_at_rest,
            so_far.usd_at_most + each.usd_at_most,
            so_far.count_at_rest + each.count_at_rest,
            so_far.count_at_most + each.count_at_most,
        )
    return tuple(sorted(sums.values(), key=lambda part: (-part.usd_at_rest, -part.usd_at_most, part.what)))


def _read(prices: RegionalPrices) -> tuple[date, date] | None:
    dates = [each.date for each in used(prices).values()]
    return (min(dates), max(dates)) if dates else None


def _assumptions(prices: RegionalPrices, plan: Plan, notes: Iterable[str]) -> Sequence[str]:
    table = prices.table
    found = [table.assumptions[name].what for name in table.assumptions if name in prices.used_assumptions]
    if not plan.region:
        found.append(f"the plan does not say the region: prices of {table.region}")
    elif not prices.region_is_known:
        found.append(f"the price table does not have {prices.region}: prices of {table.region}")
    elif prices.factor != 1.0:
        found.append(f"prices in {prices.region} are {prices.factor:g} times those of {table.region}")
    return [*found, *sorted(notes), "traffic to the internet and between zones is not counted"]
