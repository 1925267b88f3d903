"""How long a preview takes for 5, 50 and 500 pools, against a flat program with the same resources and no components.

python benchmarks/preview.py [--pools 5,50,500] [--runs 3]: a figure in each line, as JSON. Both
programs run under Pulumi's own mocks, so that what is measured is the programs and the SDK: no engine, no provider, no
cluster. The flat one declares what the first one was seen to declare, resource by resource, with the same inputs,
already known and in plain mappings. So the ratio is worse than that of whole previews, whose engine and providers do
the same work for both: the bar of 30 % is for those, and is not judged here. That the seconds for each pool stay the
same is.
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import pulumi
from pulumi.runtime import rpc
from pulumi.runtime.mocks import MockCallArgs, MockMonitor, MockResourceArgs, Mocks

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

from architectures import cluster  # noqa: E402 - the project is no package
from settings.load import from_mapping  # noqa: E402
from settings.model import Settings  # noqa: E402

AGENT_TYPES = ("implementation", "testing", "security", "documentation", "review")
FLEET = "agent-fleet-preview"
Declared = tuple[str, str, dict[str, Any]]


class _Provider(Mocks):
    def call(self, args: MockCallArgs) -> Any:
        raise AssertionError(f"the program called {args.token}")

    def new_resource(self, args: MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        made = {"hex": "00", "result": "password"} if args.typ.startswith("random:") else {}
        return args.name, {**args.inputs, **made}


class _Monitor(MockMonitor):
    """Keeps what is declared, but for components, which declare nothing themselves."""

    def __init__(self, mocks: Mocks, kept: list[Declared]) -> None:
        super().__init__(mocks)
        self._kept = kept

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 - the method's name in the protocol
        if request.custom:
            self._kept.append((request.type, request.name, rpc.deserialize_properties(request.object)))
        return super().RegisterResource(request)


class _Flat(pulumi.CustomResource):
    """Any resource, by its type: what a program without components is made of."""

    def __init__(self, declared: Declared) -> None:
        kind, name, inputs = declared
        super().__init__(kind, name, inputs)


def settings(pools: int) -> Settings:
    """A fleet with so many pools, five to a team, on a cluster that exists."""
    teams = {
        f"team-{number}": {"pools": {name: {} for name in AGENT_TYPES}} for number in range(pools // len(AGENT_TYPES))
    }
    given = {
        "architecture": "cluster",
        "target": "existing",
        "limits": {"max_concurrent_agents": 100_000},
        "agent_types": {"review": {}},
        "teams": teams,
        "images": {
            "digests": {name: f"registry.test/{name}@sha256:{'a' * 64}" for name in ("runtime", "sandbox", "postgres")}
        },
    }
    return from_mapping(given, stack="preview", today=datetime.now(UTC).date())


def timed(program: Callable[[], Any], *, preview: bool = True) -> tuple[float, list[Declared]]:
    """Seconds of processor time that the program takes, in a preview or an update, and what it declares."""
    kept: list[Declared] = []
    mocks = _Provider()
    asyncio.set_event_loop(asyncio.new_event_loop())
    monitor = _Monitor(mocks, kept)
    pulumi.runtime.set_mocks(mocks, project="agent-fleet", stack="preview", preview=preview, monitor=monitor)

    @pulumi.runtime.test
    def run() -> Any:
        program()

    begin = time.process_time()
    run()
    return time.process_time() - begin, kept


def compare(pools: int, runs: int) -> tuple[float, float, int]:
    """The seconds of both programs, the medians, in turns; and the number of resources."""
    chosen = settings(pools)

    def composed() -> None:
        cluster.deploy(FLEET, chosen)

    _, declared = timed(composed)

    def flat() -> None:
        for each in declared:
            _Flat(each)

    pairs = [(timed(composed)[0], timed(flat)[0]) for _ in range(runs)]
    return median(pair[0] for pair in pairs), median(pair[1] for pair in pairs), len(declared)


def main(arguments: Sequence[str]) -> None:
    """Print a figure in each line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pools", default="5,50,500", help="numbers of pools, multiples of five (%(default)s)")
    parser.add_argument("--runs", type=int, default=3, help="runs of each program (%(default)s)")
    options = parser.parse_args(arguments)
    # The first preview imports the SDK's modules, which the later ones have.
    timed(lambda: cluster.deploy(FLEET, settings(5)))
    for pools in (int(each) for each in options.pools.split(",")):
        ours, theirs, resources = compare(pools, options.runs)
        found = {
            "figure": f"preview of {pools} pools, processor time",
            "value": round(ours, 3),
            "unit": "s",
            "compared_with": f"a flat program with the same {resources} resources",
            "compared_value": round(theirs, 3),
            "ratio": round(theirs / ours, 3),
            "bar": None,
            "seconds_per_pool": round(ours / pools, 4),
        }
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
