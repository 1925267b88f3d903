"""How long a job takes at sandboxd, and how many it runs, beside what Docker offers for the same image and limits.

    python benchmarks/sandbox.py --image agent-fleet/sandbox:dev --jobs 200 --seconds 20

Prints one JSON object a line: figure, value, unit, compared_with, compared_value, ratio (how many times better ours
is), bar and more_is_better. Everything is measured in turns in one run, because a machine's load changes: one
`docker run` and one `docker exec` to ten jobs of each backend, and the throughputs in rounds. The oci backend takes
root and runc; without, `--backends docker`.
"""

import argparse
import asyncio
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path

# Where this file is run as a program, its folder stands in the project's place.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import docker
import uvloop
from docker.errors import DockerException, ImageNotFound
from fleet_runtime.payload import encode
from fleet_runtime.sandboxd.client import RunRequest, RunResult, SandboxdClient, SandboxLost

from benchmarks.sandbox_backends import BACKENDS, MEBIBYTE, Measured, sandboxd, unpacked
from benchmarks.sandbox_floor import floor
from benchmarks.stopping import end_in_order, undisturbed

PROGRAM = "print(6 * 7)"
PAYLOAD = encode("python", PROGRAM, None, {})
WARM = 4
CONCURRENCY = 4
ROUNDS = 4
HARDENED = [
    # The image's interpreter turns into the runner where it is process 1.
    "--init",
    "--network=none",
    "--cap-drop=ALL",
    "--read-only",
    "--security-opt=no-new-privileges",
    "--pids-limit=128",
    "--memory=256m",
    "--memory-swap=256m",
    "--cpus=1",
    "--user=10001:10001",
    "--ipc=private",
    "--log-driver=none",
    "--tmpfs=/job:size=64m",
    "--workdir=/job",
]
BARS_MS = {"runc": (3.0, 10.0), "runsc": (5.0, 20.0)}
"""p50 and p99 of a warm job on a quiet machine."""
BARS_MEBIBYTES = {"runc": 22.0, "runsc": 55.0}
BAR_TIMES_DOCKER_RUN = 5


def line(
    figure: str,
    value: float,
    unit: str,
    compared: tuple[str, float] | None = None,
    bar: float | None = None,
    *,
    more_is_better: bool = False,
) -> None:
    """Print one figure."""
    with_what, other = compared or (None, None)
    ratio = None
    if other and value:
        ratio = round(value / other if more_is_better else other / value, 1)
    record = {"figure": figure, "value": round(value, 2), "unit": unit, "more_is_better": more_is_better}
    compared_value = None if other is None else round(other, 2)
    held = {"compared_with": with_what, "compared_value": compared_value, "ratio": ratio, "bar": bar}
    print(json.dumps({**record, **held}), flush=True)


def percentile(values: list[float], share: float) -> float:
    """The smallest value that so large a share of all does not exceed."""
    return sorted(values)[min(math.ceil(len(values) * share), len(values)) - 1]


def timed(command: list[str]) -> float:
    """Milliseconds that a command takes, its start included."""
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return (time.perf_counter() - began) * 1000


async def warm(client: SandboxdClient) -> None:
    """Wait until the pool is at rest, so that a job meets neither a start nor a removal."""
    async with asyncio.timeout(120):
        while True:
            try:
                counts = (await client.count()).templates["default"]
                if counts.warm >= WARM and counts.running == counts.starting == 0:
                    return
            except SandboxLost:
                pass
            await asyncio.sleep(0.02)


async def job(client: SandboxdClient) -> tuple[float, RunResult]:
    """Run one; its milliseconds, and what came of it."""
    began = time.perf_counter()
    result = await client.run(RunRequest("bench", 1, "default", 60, PAYLOAD), kill=asyncio.Event())
    took = (time.perf_counter() - began) * 1000
    if result.stdout != b"42\n":
        raise SystemExit(f"a job gave {result}")
    return took, result


async def latencies(options: argparse.Namespace, measured: list[Measured], server: str) -> None:
    """Run jobs of all backends and Docker's own ways in turns; `server` is a container to execute in."""
    total: dict[str, list[float]] = {each.backend: [] for each in measured}
    parts: dict[str, list[RunResult]] = {each.backend: [] for each in measured}
    run: list[float] = []
    execs: list[float] = []
    least: list[float] = []
    with floor(server, PROGRAM) as bare:
        for number in range(options.jobs + 10):
            for each in measured:
                await warm(each.client)
                await asyncio.sleep(options.quiet_seconds)
                took, result = await job(each.client)
                # The first few warm the interpreter of sandboxd and of this program.
                if number >= 10:
                    total[each.backend].append(took)
                    parts[each.backend].append(result)
            await asyncio.sleep(options.quiet_seconds)
            least.append(bare.once())
            if number % 10 == 9:
                run.append(timed(docker_run(options)))
                execs.append(timed(["docker", "exec", server, "python3", "-c", PROGRAM]))
    middle, worst = BARS_MS.get(options.runtime, (None, None))
    runs = "hardened docker run --rm"
    for backend, values in total.items():
        name = f"warm python job at sandboxd, {named(backend, options)}"
        for others, theirs in ((runs, run), ("docker exec", execs)):
            held = (f"{others}, p50", statistics.median(theirs))
            line(f"{name}, p50", statistics.median(values), "ms", held, middle)
            held = (f"{others}, p99", percentile(theirs, 0.99))
            line(f"{name}, p99", percentile(values, 0.99), "ms", held, worst)
        in_parts(name, values, parts[backend], least)
    cold = sum(not each.warm for results in parts.values() for each in results)
    name = f"warm python job at sandboxd, {options.runtime}: cold misses of all"
    line(name, 100 * cold / (options.jobs * len(measured)), "%")


def in_parts(name: str, total: list[float], results: list[RunResult], least: list[float]) -> None:
    """Where a job's time goes, and the least that it can be."""
    before = statistics.median(each.start_ms for each in results)
    code = statistics.median(each.run_ms for each in results)
    way = statistics.median(took - each.start_ms - each.run_ms for took, each in zip(total, results, strict=True))
    line(f"{name}: until its code starts, p50", before, "ms")
    held = ("the same interpreter, forked and waiting, with nothing around it, p50", statistics.median(least))
    line(f"{name}: its code, until its report, p50", code, "ms", held)
    line(f"{name}: to sandboxd and back, p50", way, "ms")


def docker_run(options: argparse.Namespace) -> list[str]:
    """The command that Docker itself has for one job."""
    python = ["--entrypoint=python3", options.image, "-c", PROGRAM]
    return ["docker", "run", "--rm", *HARDENED, f"--runtime={options.runtime}", *python]


async def sustained(options: argparse.Namespace, measured: list[Measured]) -> None:
    """Keep each of them busy with so many jobs at once, in rounds."""
    command = docker_run(options)

    async def by_docker() -> None:
        process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.DEVNULL)
        if await process.wait() != 0:
            raise SystemExit("a docker run failed")

    def by(client: SandboxdClient) -> Callable[[], Awaitable[object]]:
        return lambda: job(client)

    ways: dict[str, Callable[[], Awaitable[object]]] = {"docker run": by_docker}
    ways |= {each.backend: by(each.client) for each in measured}
    counts = dict.fromkeys(ways, 0)
    spent = dict.fromkeys(ways, 0.0)
    for _ in range(ROUNDS):
        for name, one in ways.items():
            began = time.monotonic()
            counts[name] += await busy(one, options.seconds / ROUNDS)
            spent[name] += time.monotonic() - began
            # What was started for the next job is there before the next one is measured.
            for each in measured:
                await warm(each.client)
    theirs = counts["docker run"] / spent["docker run"]
    for each in measured:
        rate = counts[each.backend] / spent[each.backend]
        name = f"sustained jobs at sandboxd, {CONCURRENCY} at once, {named(each.backend, options)}"
        bar = BAR_TIMES_DOCKER_RUN * theirs if each.backend == "oci" else None
        line(name, rate, "jobs/s", ("hardened docker run --rm", theirs), bar, more_is_better=True)


async def busy(one: Callable[[], Awaitable[object]], seconds: float) -> int:
    """Run so many at once for a while, and return how many ended."""
    until = time.monotonic() + seconds
    ended = 0

    async def go_on() -> None:
        nonlocal ended
        while time.monotonic() < until:
            await one()
            ended += 1

    await asyncio.gather(*(go_on() for _ in range(CONCURRENCY)))
    return ended


def named(backend: str, options: argparse.Namespace) -> str:
    """As figures have been called from the start: Docker's by the runtime alone."""
    return options.runtime if backend == "docker" else f"{options.runtime}, oci backend"


async def measure(options: argparse.Namespace, measured: list[Measured], server: str) -> None:
    """Measure all."""
    await latencies(options, measured, server)
    if os.geteuid() == 0:
        for each in measured:
            await warm(each.client)
            bar = BARS_MEBIBYTES.get(options.runtime)
            line(
                f"idle warm sandbox, PSS with what keeps it, {named(each.backend, options)}",
                each.mebibytes_each(),
                "MiB",
                bar=bar,
            )
    await sustained(options, measured)


def main() -> None:
    """Start a sandboxd for each backend, measure, and take them down."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--image", default="agent-fleet/sandbox:agent-fleet-local", help="the sandbox image (%(default)s)"
    )
    parser.add_argument("--runtime", default="runc", help="runc or runsc (%(default)s)")
    parser.add_argument("--jobs", type=int, default=200, help="jobs of each backend measured (%(default)s)")
    parser.add_argument("--seconds", type=float, default=20, help="time for each throughput (%(default)s)")
    parser.add_argument("--quiet-seconds", type=float, default=0.3, help="pause before each job (%(default)s)")
    parser.add_argument("--backends", default=",".join(BACKENDS), help="separated by commas (%(default)s)")
    options = parser.parse_args()
    backends = [each for each in BACKENDS if each in options.backends.split(",")]
    found = shutil.which(options.runtime, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if "oci" in backends and (os.geteuid() != 0 or found is None):
        raise SystemExit(f"The oci backend takes root and {options.runtime}: be root, or give --backends docker.")
    end_in_order()
    try:
        image = str(docker.from_env().images.get(options.image).id)
    except DockerException as error:
        if not isinstance(error, ImageNotFound):
            raise SystemExit(f"Docker cannot be reached: {error}") from None
        raise SystemExit(
            f"There is no image {options.image} here: `make up` builds it, or name one with --image."
        ) from None
    template = {
        "image": image,
        "runtime": options.runtime,
        "memory_bytes": 256 * MEBIBYTE,
        "scratch_bytes": 64 * MEBIBYTE,
        "warm": WARM,
        "maximum": 4 * WARM,
    }
    serve = ["--entrypoint=sleep", options.image, "7200"]
    start = ["docker", "run", "-d", "--rm", *HARDENED, f"--runtime={options.runtime}", *serve]
    server = ""
    try:
        with undisturbed():
            server = subprocess.check_output(start, text=True).strip()
        with unpacked(image, "oci" in backends) as state, ExitStack() as running:
            measured = [running.enter_context(sandboxd(backend, state, template)) for backend in backends]
            uvloop.run(measure(options, measured, server))
    finally:
        subprocess.run(["docker", "rm", "-f", server], check=False, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
