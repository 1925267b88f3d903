"""How long a job on a warm sandbox pod takes at the worker, and how many a second, beside a pod made for each job.

    python -m benchmarks.sandbox_pods --kubeconfig .fleet/cluster/kubeconfig --image 127.0.0.1:5001/sandbox:1

Makes a namespace with a pool of its own and removes it again. Prints one JSON object a line, as benchmarks/sandbox.py.
"""

import argparse
import asyncio
import json
import os
import secrets
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import uvloop
from fleet_runtime.payload import encode
from fleet_runtime.sandboxd.client import RunRequest, RunResult, SandboxdClient, SandboxLost

from benchmarks.sandbox import line, percentile
from tests.cluster.sandbox_pods import Cluster, PodPool, until

PROGRAM = "print(6 * 7)"
CONCURRENCY = 4
SERVER = Path(__file__).parents[1] / "tests" / "cluster" / "sandbox_pods_process.py"


async def run(client: SandboxdClient) -> tuple[float, RunResult]:
    """Run one job; the milliseconds that it took."""
    request = RunRequest(secrets.token_hex(6), 1, "default", 30, encode("python", PROGRAM, None, {}))
    began = time.perf_counter()
    result = await client.run(request, kill=asyncio.Event())
    if result.stdout != b"42\n":
        raise SystemExit(f"a job gave {result}")
    return (time.perf_counter() - began) * 1000, result


async def warm(client: SandboxdClient, wanted: int) -> None:
    """Wait until so many pods are attached and nothing is under way."""
    async with asyncio.timeout(120):
        while True:
            try:
                counts = (await client.count()).templates["default"]
                if counts.warm >= wanted and counts.running == counts.starting == 0:
                    return
            except SandboxLost:
                pass
            await asyncio.sleep(0.02)


async def latency(client: SandboxdClient, pool: PodPool, jobs: int) -> None:
    """One job at a time, on a pool at rest."""
    total: list[float] = []
    start: list[float] = []
    code: list[float] = []
    refill: list[float] = []
    for number in range(jobs + 5):
        await warm(client, CONCURRENCY)
        await asyncio.to_thread(pool.ready)
        took, result = await run(client)
        ended = time.perf_counter()
        await asyncio.to_thread(pool.ready)
        if number >= 5:
            total.append(took)
            start.append(result.start_ms)
            code.append(result.run_ms)
            refill.append(time.perf_counter() - ended)
    line("warm python job through a pod, p50", statistics.median(total), "ms")
    line("warm python job through a pod, p99", percentile(total, 0.99), "ms")
    line("of that until its code starts, p50", statistics.median(start), "ms")
    line("of that its code, p50", statistics.median(code), "ms")
    line("until a used pod is replaced by a ready one, p50", statistics.median(refill), "s")


async def throughput(client: SandboxdClient, pool: PodPool, image: str, jobs: int) -> None:
    """As many at once as a worker runs by default, against a pod made for each job."""
    await warm(client, CONCURRENCY)
    waiting = iter(range(jobs))

    async def one_after_another() -> None:
        for _ in waiting:
            await run(client)

    began = time.perf_counter()
    await asyncio.gather(*(one_after_another() for _ in range(CONCURRENCY)))
    ours = jobs / (time.perf_counter() - began)
    made = iter(range(max(jobs // 4, CONCURRENCY)))

    async def make_one_after_another() -> int:
        count = 0
        for _ in made:
            await asyncio.to_thread(pod_for_a_job, pool, image)
            count += 1
        return count

    began = time.perf_counter()
    ended = sum(await asyncio.gather(*(make_one_after_another() for _ in range(CONCURRENCY))))
    theirs = ended / (time.perf_counter() - began)
    line(f"jobs a second through pods, {CONCURRENCY} at once, {pool.replicas} pods", ours, "1/s")
    line(f"jobs a second by kubectl run --rm, {CONCURRENCY} at once", theirs, "1/s")
    print(json.dumps({"figure": "ours divided by theirs", "value": round(ours / theirs, 1), "unit": "times"}))


def pod_for_a_job(pool: PodPool, image: str) -> None:
    """What one does without a pool: a pod with the same limits, made, attached to and deleted."""
    spec = pool.pod_spec()
    (container,) = spec["containers"]
    container |= {"command": ["python3", "-c", PROGRAM], "stdin": False, "stdinOnce": False}
    name = f"job-{secrets.token_hex(4)}"
    given = ["run", name, "-n", pool.namespace, "--rm", "-i", "--quiet", "--restart=Never", f"--image={image}"]
    pool.cluster(*given, f"--overrides={json.dumps({'spec': spec})}")


def start(environment: dict[str, str], folder: Path) -> subprocess.Popen[bytes]:
    """Start a sandboxd on pods."""
    with (folder / "log").open("wb") as log:
        return subprocess.Popen([sys.executable, str(SERVER)], env=environment, stdout=log, stderr=log)


async def measure(options: argparse.Namespace, pool: PodPool, folder: Path) -> None:
    """Start a sandboxd on the pool, and measure."""
    socket = folder / "sandboxd.sock"
    environment = {
        **os.environ,
        **pool.environment(folder / "credentials", warm=CONCURRENCY, maximum=2 * CONCURRENCY, start_timeout_seconds=60),
        "FLEET_NAME": "benchmark",
        "FLEET_SANDBOXD_SOCKET": str(socket),
        "FLEET_WORKER_ID": "benchmark",
    }
    server = start(environment, folder)
    try:
        client = SandboxdClient(socket)
        await asyncio.to_thread(until, socket.exists, 30, "the socket")
        await latency(client, pool, options.jobs)
        await throughput(client, pool, options.image, options.jobs)
        line("load average over the last minute", os.getloadavg()[0], "processes")
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(60)


def main() -> None:
    """Make the pool, measure, and take it down."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kubeconfig", type=Path, required=True, help="of a cluster to make a namespace in")
    parser.add_argument("--image", required=True, help="the sandbox image, as the cluster's nodes pull it")
    parser.add_argument("--kubectl", default="kubectl", help="the program (%(default)s)")
    parser.add_argument("--jobs", type=int, default=40, help="jobs measured (%(default)s)")
    parser.add_argument("--pods", type=int, default=8, help="sandbox pods (%(default)s)")
    options = parser.parse_args()
    pool = PodPool(Cluster(options.kubeconfig, options.kubectl), options.image, replicas=options.pods)
    try:
        pool.create()
        # Of the pods that are ready, the worker holds this many claimed.
        pool.replicas = options.pods - CONCURRENCY
        with tempfile.TemporaryDirectory() as folder:
            uvloop.run(measure(options, pool, Path(folder)))
    finally:
        pool.delete()


if __name__ == "__main__":
    main()
