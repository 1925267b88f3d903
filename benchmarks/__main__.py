"""`make bench`: deploys a fleet of its own, measures, and writes results.json and the table of README.md.

python -m benchmarks [--only deployment,idle,latency,sandbox,throughput] [--jobs 200] [--seconds 40]
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from benchmarks.deployment import deployment, idle
from benchmarks.figures import FOLDER, Figure, commit, keep, machine
from benchmarks.fleet import Fleet, fleet, quiet_load
from benchmarks.jobs import latency, throughput

PARTS = ("deployment", "idle", "latency", "sandbox", "throughput")
"""The one that leaves the machine busiest comes last."""


def _sandbox(image: str, jobs: int) -> Iterator[Figure]:
    """The figures of sandboxd alone, from its own program."""
    words = ["benchmarks/sandbox.py", "--image", image, "--jobs", str(jobs)]
    output = subprocess.check_output([sys.executable, *words], cwd=FOLDER.parent, text=True, timeout=1800)
    for line in output.splitlines():
        found = json.loads(line)
        other = found["compared_with"]
        name = f"{found['figure']}, against {other.partition(',')[0]}" if other else found["figure"]
        yield Figure(
            name,
            found["value"],
            found["unit"],
            "python benchmarks/sandbox.py",
            other,
            found["compared_value"],
            found["bar"],
            more_is_better=found["more_is_better"],
            samples=jobs,
        )


def _measure(part: str, measured: Fleet, options: argparse.Namespace) -> Iterable[Figure]:
    match part:
        case "deployment":
            return deployment(measured)
        case "idle":
            return idle(measured)
        case "latency":
            return latency(measured, options.jobs)
        case "throughput":
            return throughput(measured, options.seconds)
        case _:
            return _sandbox(measured.sandbox_image(), options.jobs)


def main() -> None:
    """Measure what was asked for; what was measured before an interruption is kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(PARTS), help="parts, separated by commas (%(default)s)")
    parser.add_argument("--jobs", type=int, default=200, help="jobs for each latency (%(default)s)")
    parser.add_argument("--seconds", type=float, default=40, help="time for the throughput (%(default)s)")
    options = parser.parse_args()
    parts = options.only.split(",")
    if wrong := set(parts) - set(PARTS):
        parser.error(f"--only: {', '.join(sorted(wrong))} is none of {', '.join(PARTS)}")
    on, version = machine(), commit()
    if quiet_load() > 0.5:
        print(f"The machine is busy (load {on['load_average']}): the figures will be about that as well.")
    with tempfile.TemporaryDirectory() as folder, fleet(Path(folder)) as measured:
        if "deployment" not in parts:
            measured.make("up")
        for part in parts:
            print(f"{part}:", flush=True)
            for figure in _measure(part, measured, options):
                keep([figure], on, version)
                against = f"; {figure.compared_with} {figure.compared_value:.4g}" if figure.compared_value else ""
                bar = "" if figure.bar is None else f"; bar {figure.bar:g} {'kept' if figure.bar_met else 'MISSED'}"
                print(f"  {figure.figure}: {figure.value:.4g} {figure.unit}{against}{bar}", flush=True)


if __name__ == "__main__":
    main()
