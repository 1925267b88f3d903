"""Writes docs/cost.md from the price table and the sizing: `python -m engine.cost.document --write` or `--check`."""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from engine.cost import sizing
from engine.cost.price_table import price_table, regional
from engine.paths import CHECKOUT

DOCUMENT = CHECKOUT / "docs" / "cost.md"
_TEMPLATE = Path(__file__).with_name("document.md")
_REGION = "eu-west-1"
"""The region of the shipped stacks."""


def document() -> str:
    """The whole of docs/cost.md."""
    prices = regional(_REGION)
    return _TEMPLATE.read_text(encoding="utf-8").format(
        region=_REGION,
        table_region=prices.table.region,
        seconds=f"{prices.assumed('job_seconds'):g}",
        utilisation=_percent(prices.assumed("worker_utilisation")),
        spot=_percent(prices.assumed("spot_share_of_on_demand")),
        floor=sizing.FLOOR,
        sizes="\n".join(_sizes()),
        sources="\n".join(_sources()),
        assumptions="\n".join(f"- {each.what}" for each in prices.table.assumptions.values()),
    )


def stale() -> bool:
    """Whether docs/cost.md does not hold what it should."""
    return not DOCUMENT.is_file() or DOCUMENT.read_text(encoding="utf-8") != document()


def _percent(share: float) -> str:
    return f"{share * 100:g} %"


def _sizes() -> Iterator[str]:
    yield f"| jobs a minute | {' | '.join(sizing.ARCHITECTURES)} | a thousand jobs, on the cheapest |"
    yield f"| --- | {'--- | ' * len(sizing.ARCHITECTURES)}--- |"
    for load in sizing.LOADS:
        sized = sizing.sizes(load, _REGION)
        least = sizing.cheapest(sized)
        cells = [_cell(each, bold=each is least) for each in sized]
        yield f"| {load:,} | {' | '.join(cells)} | {least.usd_per_thousand(load):.3f} |"


def _cell(sized: sizing.Sized | None, *, bold: bool) -> str:
    if sized is None:
        return "does not fit on one host"
    usd = f"{sized.estimate.usd_at_rest:,.0f}"
    return f"{f'**{usd}**' if bold else usd}: {sized.hosts}"


def _sources() -> Iterator[str]:
    table = price_table()
    priced: dict[str, list[str]] = {name: [] for name in table.sources}
    for name, price in table.prices.items():
        priced[price.source].append(f"`{name}`")
    for what, source in (
        ("EC2 instances", table.instances.source),
        ("RDS classes", table.databases.source),
        ("ElastiCache nodes", table.caches.source),
        ("factors of regions", table.regions.source),
    ):
        priced[source].append(what)
    yield "| source | read | prices |"
    yield "| --- | --- | --- |"
    for name, source in table.sources.items():
        if priced[name]:
            assumed = "**assumed**: " if source.assumed else ""
            yield f"| {assumed}{source.what} | {source.date} | {', '.join(priced[name])} |"


def main() -> int:
    """Write the document, or check that it is fresh: exit code 1 where it is not."""
    parser = argparse.ArgumentParser(description="What the architectures cost, made from the price table.")
    mode = parser.add_mutually_exclusive_group(required=True)
    mode.add_argument("--write", action="store_true", help="write docs/cost.md")
    mode.add_argument("--check", action="store_true", help="fail if it is not what the price table says")
    if parser.parse_args().write:
        DOCUMENT.write_text(document(), encoding="utf-8")
        return 0
    if stale():
        sys.stderr.write("docs/cost.md: not what engine/cost/ says; run make cost-reference\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
