"""How long `make up` takes, and what the fleet takes while nobody uses it."""

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from docker.models.containers import Container

from benchmarks.figures import Figure
from benchmarks.fleet import Fleet

_IDLE_SECONDS = 20.0


def deployment(fleet: Fleet) -> Iterator[Figure]:
    """Times of `make up`; the fleet is up afterwards."""
    fleet.make("up")
    fleet.make("down")
    first = fleet.make("up")
    yield Figure(
        "make up, everything cached, to the first job's result", first, "s", "make up, after make down", bar=90
    )
    again = sorted(fleet.make("up") for _ in range(3))
    yield Figure("second make up, nothing changed, median of 3", again[1], "s", "make up", bar=30, samples=3)


def idle(fleet: Fleet) -> Iterator[Figure]:
    """Memory and processor time of the whole fleet at rest, as its control groups count them."""
    time.sleep(_IDLE_SECONDS)
    before, began = _processor_seconds(fleet), time.monotonic()
    time.sleep(_IDLE_SECONDS)
    used, passed = _processor_seconds(fleet) - before, time.monotonic() - began
    containers = fleet.containers()
    inside = sum(_working_set(_stats(each)) for each in containers)
    beside = sum(_shim(str(each.id)) for each in containers)
    how = "memory usage less inactive file cache of each container's control group (docker stats), pool of 4 warm"
    yield Figure("idle memory of the local stack, containers", inside / 1e6, "MB", how, bar=500)
    yield Figure(
        "idle memory of the local stack, with Docker's own process for each container",
        (inside + beside) / 1e6,
        "MB",
        f"{how}; plus the proportional set size of each containerd-shim",
        bar=500,
    )
    yield Figure(
        "idle processor use of the local stack, containers, health checks included",
        100 * used / passed,
        "% of one",
        f"processor time of each container's control group over {_IDLE_SECONDS:.0f} s",
    )


def _stats(container: Container) -> dict[str, Any]:
    return cast(dict[str, Any], container.stats(stream=False))


def _processor_seconds(fleet: Fleet) -> float:
    return sum(_stats(each)["cpu_stats"]["cpu_usage"]["total_usage"] for each in fleet.containers()) / 1e9


def _working_set(stats: dict[str, Any]) -> int:
    found = stats["memory_stats"]
    details = found.get("stats", {})
    # The names of control groups of version 1 and 2.
    return int(found["usage"]) - int(details.get("total_inactive_file", details.get("inactive_file", 0)))


def _shim(container: str) -> int:
    """Bytes of the process that stands between Docker and the container; shared pages by their share."""
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            words = (entry / "cmdline").read_bytes().split(b"\0")
            if b"containerd-shim" in words[0] and container.encode() in words:
                rollup = (entry / "smaps_rollup").read_text().splitlines()
                return next(int(line.split()[1]) for line in rollup if line.startswith("Pss:")) * 1024
    return 0
