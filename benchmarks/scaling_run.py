"""The simulated policy held against the real service at small scale: API, PostgreSQL and worker processes.

A worker process is a host. What decides is the policy that is simulated, with a minute made a second; what it decides
about, the jobs that wait and run, is what the database says. Jobs sleep in the sandbox's stead: nothing else is to be
measured than who waits for whom.
"""

import asyncio
import statistics
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

import psycopg

from benchmarks.connections import Connections, request
from benchmarks.figures import Figure, percentile
from benchmarks.processes import Processes, api_and_database
from benchmarks.scaling_arrivals import Arrivals, arrivals
from benchmarks.scaling_model import GroupPlan, Outcome, Plan, Sample, simulate
from benchmarks.scaling_plan import policies
from benchmarks.scaling_policy import GroupState, decide
from tests.runtime.runtime_processes import Process

SECONDS = 100.0
_PLACES = 4
_JOBS_PER_HOST = 3
_MOST_HOSTS = 6
_DRAIN_LIMIT_SECONDS = 60.0
_AGAIN_SECONDS = 0.2
"""After an API that could not take a job: it says to send it again."""
_OPEN = b"SELECT count(*) FILTER (WHERE status = 'queued'), count(*) FROM jobs WHERE ended_at IS NULL"
_WAITS = b"SELECT extract(epoch FROM claimed_at - created_at)::float8 FROM jobs WHERE attempt = 1 ORDER BY seq"


@dataclass
class _Host:
    group: GroupPlan
    process: Process
    started: float
    begun: datetime
    taking: bool = True


@dataclass
class Measured:
    """What the real run gave, and the simulation of the same jobs."""

    real: Outcome
    simulated: Outcome
    start_seconds: float


def small_plan() -> Plan:
    """A minute is a second. `start_seconds` is measured."""
    floor, spare = policies(_JOBS_PER_HOST)
    return Plan(
        groups=(
            GroupPlan("floor", 1, 1, 0.0, floor),
            GroupPlan("hosts", 0, _MOST_HOSTS - 1, 0.0, spare, spot=True),
        ),
        places=_PLACES,
        period_seconds=1,
        metric_delay_seconds=1,
        in_service_seconds=0.5,
        warm_up_seconds=3,
        drain_seconds=_DRAIN_LIMIT_SECONDS,
        least_billed_seconds=0,
    )


def small_load() -> Arrivals:
    """Little, then for 40 s more than the first host bears, then little again."""

    def per_minute(at: float) -> float:
        return 660 if 20 <= at < 60 else 60

    return arrivals("small scale", SECONDS, per_minute, 1.0)


def measure() -> Measured:
    """Run the load for real, then simulate it with the time that a worker took to start."""
    with api_and_database() as fleet:
        run = _Run(fleet, small_plan(), small_load())
        real = asyncio.run(run.run())
        start = run.start_seconds()
    return Measured(real, simulate(small_load(), replace(small_plan(), start_seconds=start)), start)


def agreement(found: Measured) -> Iterator[Figure]:
    """Real figures, each against the simulated one."""
    load = small_load()
    how = (
        f"{len(load.jobs)} jobs of 1 s on average in {SECONDS:.0f} s, worker processes of {_PLACES} places as hosts, "
        f"a minute of the policy in a second; a worker took {found.start_seconds:.1f} s to start"
    )
    pairs = [
        ("worker hosts, mean", "hosts", _mean_hosts(found.real), _mean_hosts(found.simulated)),
        ("worker hosts, most", "hosts", float(found.real.most_hosts), float(found.simulated.most_hosts)),
        ("a job waits for its start, mean", "s", *(statistics.mean(each.waits) for each in _both(found))),
        ("a job waits for its start, p95", "s", *(percentile(each.waits, 0.95) for each in _both(found))),
    ]
    for name, unit, real, simulated in pairs:
        yield Figure(f"scaling, real run at small scale: {name}", real, unit, how, "simulated", simulated)


def _both(found: Measured) -> tuple[Outcome, Outcome]:
    return found.real, found.simulated


def _mean_hosts(outcome: Outcome) -> float:
    return sum(outcome.host_seconds.values()) / SECONDS


@dataclass
class _Run:
    fleet: Processes
    plan: Plan
    load: Arrivals
    hosts: list[_Host] = field(default_factory=list[_Host])
    gone: list[_Host] = field(default_factory=list[_Host])

    def __post_init__(self) -> None:
        self._policies = {group.name: tuple(group.policies()) for group in self.plan.groups}
        self._desired = {group.name: group.minimum for group in self.plan.groups}
        self._out = Outcome(host_seconds={group.name: 0.0 for group in self.plan.groups})
        self._known: deque[tuple[float, dict[str, float | None]]] = deque()
        self._began = 0.0

    async def run(self) -> Outcome:
        """Send the jobs and move the hosts until all have ended."""
        for group in self.plan.groups:
            self._resize(group)
        for host in self.hosts:
            await asyncio.to_thread(host.process.line, "sandboxes_ready")
        self._began = time.monotonic()
        for host in self.hosts:
            host.started = self._began
        sending = asyncio.create_task(self._send())
        with psycopg.connect(self.fleet.database.url, autocommit=True) as connection:
            tick = 0
            while True:
                tick += 1
                await asyncio.sleep(max(0, self._began + tick * self.plan.period_seconds - time.monotonic()))
                queued, unfinished = await asyncio.to_thread(_counts, connection)
                self._step(queued, unfinished)
                if sending.done() and not unfinished:
                    break
                if self._now > SECONDS + _DRAIN_LIMIT_SECONDS:
                    raise SystemExit(f"{unfinished} jobs had not ended {_DRAIN_LIMIT_SECONDS:.0f} s after the last")
            await sending
            self._out.waits = [float(row[0]) for row in connection.execute(_WAITS)]
        for host in list(self.hosts):
            self._leave(host)
        return self._out

    def start_seconds(self) -> float:
        """From a process's start until its worker takes jobs, the median of all but the first."""
        took = [
            (datetime.fromisoformat(line["timestamp"]) - host.begun.astimezone()).total_seconds()
            for host in self.gone
            for line in host.process.lines()
            if line["event"] == "sandboxes_ready"
        ]
        return statistics.median(took)

    @property
    def _now(self) -> float:
        return time.monotonic() - self._began

    async def _send(self) -> None:
        connections = Connections(self.fleet.ports[0])

        async def one(number: int, at: float, seconds: float) -> None:
            await asyncio.sleep(max(0, at - self._now))
            body = {"language": "bash", "code": f"sleep {seconds:.3f}", "idempotency_key": f"job-{number}"}
            while True:
                async with connections.one() as connection:
                    status, answer = await connection.ask(request("POST", "/execute", self.fleet.key, body))
                if status in (200, 202):
                    return
                if status != 503:
                    raise SystemExit(f"a job was answered {status}: {answer[:300].decode(errors='replace')}")
                await asyncio.sleep(_AGAIN_SECONDS)

        try:
            await asyncio.gather(*(one(number, job.at, job.seconds) for number, job in enumerate(self.load.jobs)))
        finally:
            connections.close()

    def _step(self, queued: int, unfinished: int) -> None:
        """One period: sample, and decide by what the alarms know by now."""
        for host in [each for each in self.hosts if each.process.popen.poll() is not None]:
            self._leave(host)
        counts = tuple(sum(host.group is group for host in self.hosts) for group in self.plan.groups)
        self._out.samples.append(Sample(self._now, queued, unfinished - queued, counts))
        metrics: dict[str, float | None] = {"backlog": float(unfinished)}
        metrics |= {group.name: float(len(self._serving(group))) for group in self.plan.groups}
        self._known.append((self._now + self.plan.metric_delay_seconds - 0.05, metrics))
        while self._known and self._known[0][0] <= self._now:
            self._decide(self._known.popleft()[1])

    def _serving(self, group: GroupPlan) -> Sequence[_Host]:
        least = self.plan.in_service_seconds
        now = time.monotonic()
        return [host for host in self.hosts if host.group is group and host.taking and now - host.started >= least]

    def _decide(self, metrics: dict[str, float | None]) -> None:
        for group in self.plan.groups:
            youngest = max((host.started for host in self.hosts if host.group is group), default=float("-inf"))
            state = GroupState(
                desired=self._desired[group.name],
                in_service=int(metrics[group.name] or 0),
                warming=time.monotonic() - youngest < self.plan.warm_up_seconds,
            )
            self._desired[group.name] = decide(
                self._policies[group.name], metrics, state, minimum=group.minimum, maximum=group.maximum
            )
            self._resize(group)

    def _resize(self, group: GroupPlan) -> None:
        taking = [host for host in self.hosts if host.group is group and host.taking]
        for _ in range(self._desired[group.name] - len(taking)):
            begun = datetime.now().astimezone()
            process = self.fleet.stack.start_worker(CONCURRENCY=str(self.plan.places))
            self.hosts.append(_Host(group, process, time.monotonic(), begun))
            self._out.most_hosts = max(self._out.most_hosts, len(self.hosts))
        for host in taking[: max(0, len(taking) - self._desired[group.name])]:
            host.taking = False
            host.process.terminate()

    def _leave(self, host: _Host) -> None:
        self.hosts.remove(host)
        self.gone.append(host)
        self._out.host_seconds[host.group.name] += time.monotonic() - host.started


def _counts(connection: psycopg.Connection[tuple[int, ...]]) -> tuple[int, int]:
    row = connection.execute(_OPEN).fetchone()
    assert row is not None
    return row[0], row[1]
