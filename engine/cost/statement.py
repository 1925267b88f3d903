"""An estimate in words and columns, as the end of a preview prints it."""

import textwrap
from collections.abc import Iterator

from engine.cost.charges import Charge
from engine.cost.estimate import Estimate
from engine.cost.job_cost import JobCost

_WIDTH = 118
_NOTHING = "This stack makes nothing in a cloud account, and costs nothing there."


def statement(estimate: Estimate) -> Iterator[str]:
    """The lines of the whole estimate."""
    if not estimate.in_an_account:
        yield _NOTHING
        return
    read = f", read {estimate.read[0]} to {estimate.read[1]}" if estimate.read else ""
    yield f"What this costs in the account, estimated, in US dollars a month (list prices for {estimate.region}{read}):"
    rows = [(counted(part), part.usd_at_rest, part.usd_at_most) for part in estimate.parts]
    rows.append(("in all", estimate.usd_at_rest, estimate.usd_at_most))
    width = max(len(name) for name, _, _ in rows)
    yield f"  {'':<{width}} {'at rest':>10} {'at most':>10}"
    for name, at_rest, at_most in rows:
        yield f"  {name:<{width}} {at_rest:>10,.2f} {at_most:>10,.2f}"
    yield from _wrapped(_jobs(estimate.jobs))
    for each in estimate.not_estimated:
        yield from _wrapped(f"not estimated: {each.count} {each.type}: {each.why}")
    yield from _wrapped(f"assumed: {'; '.join(estimate.assumptions)}")
    yield "  docs/cost.md says where the prices are from."


def brief(estimate: Estimate) -> str:
    """One line, for the end of an update."""
    if not estimate.in_an_account:
        return _NOTHING
    missing = sum(each.count for each in estimate.not_estimated)
    resources = "1 resource that has" if missing == 1 else f"{missing} resources that have"
    without = f", without {resources} no price here" if missing else ""
    return (
        f"Estimated cost in the account: {estimate.usd_at_rest:,.0f} US dollars a month at rest, at most "
        f"{estimate.usd_at_most:,.0f}{without}; `make preview` has the parts."
    )


def counted(part: Charge) -> str:
    """`3 x m7i.large, on demand`, or `2 to 10 x …`."""
    count = str(part.count_at_rest)
    if part.count_at_most != part.count_at_rest:
        count += f" to {part.count_at_most}"
    return f"{count} x {part.what}"


def _jobs(jobs: JobCost | None) -> str:
    if jobs is None:
        return "per thousand jobs: not estimated, as the plan has no hosts that are known to run jobs"
    text = (
        f"per thousand jobs: {jobs.usd_always:.4f} while the hosts that are there at rest have room (about "
        f"{jobs.fit_at_rest:,} jobs a month)"
    )
    if jobs.usd_beyond is None:
        return f"{text}; no group of hosts grows beyond that"
    return f"{text}, then {jobs.usd_beyond:.2f} ({jobs.beyond_on})"


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent="  ", subsequent_indent="    ", break_on_hyphens=False)
