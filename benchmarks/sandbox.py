"""How long a job on a warm sandbox takes at sandboxd, beside what Docker itself offers for the same image and limits.

    python benchmarks/sandbox.py --image agent-fleet/sandbox:dev --jobs 300

Prints one JSON object a line: figure, value, unit, compared_with, ratio (theirs divided by ours), bar. Everything is
measured in turns in one run, because a machine's load changes: one `docker run` and one `docker exec` to ten jobs.
"""

import argparse
import asyncio
import json
import math
import os
import secrets
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import docker
import uvloop
from docker.errors import ImageNotFound
from fleet_runtime.payload import encode
from fleet_runtime.sandboxd.client import RunRequest, SandboxdClient, SandboxLost

MEBIBYTE = 1024 * 1024
PROGRAM = "print(6 * 7)"
WARM = 4
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


def line(
    figure: str, value: float, unit: str, compared: tuple[str, float] | None = None, bar: float | None = None
) -> None:
    """Print one figure."""
    with_what, other = compared or (None, None)
    ratio = round(other / value, 1) if other is not None and value else None
    record = {"figure": figure, "value": round(value, 2), "unit": unit}
    print(json.dumps({**record, "compared_with": with_what, "ratio": ratio, "bar": bar}), flush=True)


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
    async with asyncio.timeout(60):
        while True:
            try:
                counts = (await client.count()).templates["default"]
                if counts.warm >= WARM and counts.running == counts.starting == 0:
                    return
            except SandboxLost:
                pass
            await asyncio.sleep(0.02)


async def measure(options: argparse.Namespace, socket: Path, server: str) -> None:
    """Run all three in turns and print the figures; `server` is a container to execute in."""
    client = SandboxdClient(socket)
    payload = encode("python", PROGRAM, None, {})
    total: list[float] = []
    start: list[float] = []
    cpu: list[float] = []
    run: list[float] = []
    execs: list[float] = []
    cold = 0
    for number in range(options.jobs + 10):
        await warm(client)
        await asyncio.sleep(options.quiet_seconds)
        began = time.perf_counter()
        result = await client.run(RunRequest(f"bench-{number}", 1, "default", 30, payload), kill=asyncio.Event())
        took = (time.perf_counter() - began) * 1000
        if result.stdout != b"42\n":
            raise SystemExit(f"a job gave {result}")
        # The first few warm the interpreter of sandboxd and of this program.
        if number >= 10:
            total.append(took)
            start.append(result.start_ms)
            cpu.append(result.cpu_ms or 0.0)
            cold += not result.warm
        if number % 10 == 9:
            python = ["--entrypoint=python3", options.image, "-c", PROGRAM]
            run.append(timed(["docker", "run", "--rm", *HARDENED, f"--runtime={options.runtime}", *python]))
            execs.append(timed(["docker", "exec", server, "python3", "-c", PROGRAM]))
    name = f"warm python job at sandboxd, {options.runtime}"
    bars = BARS_MS.get(options.runtime, (None, None))
    line(
        f"{name}, p50",
        statistics.median(total),
        "ms",
        ("hardened docker run --rm, p50", statistics.median(run)),
        bars[0],
    )
    line(f"{name}, p50", statistics.median(total), "ms", ("docker exec, p50", statistics.median(execs)), bars[0])
    line(
        f"{name}, p99", percentile(total, 0.99), "ms", ("hardened docker run --rm, p99", percentile(run, 0.99)), bars[1]
    )
    line(f"{name}, until its code starts, p50", statistics.median(start), "ms")
    line(f"{name}, processor time in the sandbox, p50", statistics.median(cpu), "ms")
    line(f"{name}, cold misses", 100 * cold / len(total), "%")
    line("hardened docker run --rm, p50", statistics.median(run), "ms")
    line("docker exec, p50", statistics.median(execs), "ms")
    line("load average over the last minute", os.getloadavg()[0], "processes")


def main() -> None:
    """Start a sandboxd of this program's own, measure, and take it down."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--image", default="agent-fleet/sandbox:agent-fleet-local", help="the sandbox image (%(default)s)"
    )
    parser.add_argument("--runtime", default="runc", help="runc or runsc (%(default)s)")
    parser.add_argument("--jobs", type=int, default=300, help="jobs measured (%(default)s)")
    parser.add_argument("--quiet-seconds", type=float, default=0.05, help="pause before each job (%(default)s)")
    options = parser.parse_args()
    try:
        image = docker.from_env().images.get(options.image)
    except ImageNotFound:
        raise SystemExit(
            f"There is no image {options.image} here: `make up` builds it, or name one with --image."
        ) from None
    template = {
        "image": image.id,
        "runtime": options.runtime,
        "memory_bytes": 256 * MEBIBYTE,
        "scratch_bytes": 64 * MEBIBYTE,
        "warm": WARM,
        "maximum": 2 * WARM,
    }
    with tempfile.TemporaryDirectory() as folder:
        socket = Path(folder) / "sandboxd.sock"
        environment = {
            **os.environ,
            "FLEET_NAME": f"bench-{secrets.token_hex(4)}",
            "FLEET_LOG_LEVEL": "warning",
            "FLEET_SANDBOXD_SOCKET": str(socket),
            "FLEET_SANDBOX_TEMPLATES": json.dumps({"default": template}),
        }
        server = subprocess.check_output(
            [
                "docker",
                "run",
                "-d",
                *HARDENED,
                f"--runtime={options.runtime}",
                "--entrypoint=sleep",
                options.image,
                "3600",
            ],
            text=True,
        ).strip()
        sandboxd = subprocess.Popen([sys.executable, "-m", "fleet_runtime", "sandboxd"], env=environment)
        try:
            uvloop.run(measure(options, socket, server))
        finally:
            sandboxd.send_signal(signal.SIGTERM)
            sandboxd.wait(30)
            subprocess.run(["docker", "rm", "-f", server], check=False, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
