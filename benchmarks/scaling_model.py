"""A simulation of worker hosts that follow jobs: what waits, what runs, what each minute costs.

Time is simulated: a day takes seconds. Jobs go in order to any host with a place. A host takes `start_seconds` until it
runs jobs; one that is taken away drains; a spot host may be taken back with a notice of two minutes, and the jobs that
cannot end in time begin anew elsewhere.
"""

import heapq
import itertools
import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from benchmarks.scaling_arrivals import Arrivals, Job
from benchmarks.scaling_policy import GroupState, StepScaling, TargetTracking, decide

NOTICE_SECONDS = 120.0
"""What EC2 gives."""


@dataclass(frozen=True)
class GroupPlan:
    """One group of hosts: how many, what moves them, and what one costs."""

    name: str
    """As the expressions call the number of its hosts."""
    minimum: int
    maximum: int
    usd_per_hour: float
    policies: Callable[[], Sequence[TargetTracking | StepScaling]] = tuple
    spot: bool = False


@dataclass(frozen=True)
class Plan:
    """All that is not the jobs."""

    groups: tuple[GroupPlan, ...]
    places: int
    """Jobs that a host runs at once."""
    period_seconds: float = 60
    metric_delay_seconds: float = 60
    """From the end of a period until the alarms know its metrics."""
    in_service_seconds: float = 40
    """From a host's start until its group counts it."""
    start_seconds: float = 120
    """From a host's start until it runs jobs."""
    warm_up_seconds: float = 180
    drain_seconds: float = 600
    interruptions_per_hour: float = 0.0
    """Of one spot host."""
    hand_back_seconds: float = 25
    """Of the notice, what is kept for handing jobs back."""
    least_billed_seconds: float = 60
    """An instance is paid by the second, but so long at the least."""
    seed: int = 5


@dataclass
class Host:
    """One host."""

    group: GroupPlan
    started: float
    ready: bool = False
    taking: bool = True
    ended: float | None = None
    running: set[int] = field(default_factory=set[int])


@dataclass(frozen=True)
class Sample:
    """The fleet at one moment."""

    at: float
    queued: int
    running: int
    hosts: tuple[int, ...]
    """Of each group, in the plan's order."""


@dataclass
class Outcome:
    """What came of it."""

    waits: list[float] = field(default_factory=list[float])
    """From a job's coming until it first ran, in seconds."""
    samples: list[Sample] = field(default_factory=list[Sample])
    host_seconds: dict[str, float] = field(default_factory=dict[str, float])
    most_hosts: int = 0
    usd: float = 0.0
    interrupted_hosts: int = 0
    handed_back: list[float] = field(default_factory=list[float])
    """For each job that was handed back: how long it waited to run again."""
    ended: int = 0


def simulate(arrivals: Arrivals, plan: Plan) -> Outcome:
    """Run all jobs to their ends, and let the hosts go on until the arrivals' time is over."""
    return _Fleet(arrivals, plan).run()


class _Fleet:
    def __init__(self, arrivals: Arrivals, plan: Plan) -> None:
        self._arrivals = arrivals
        self._plan = plan
        self._chosen = random.Random(plan.seed)
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._now = 0.0
        self._queue: deque[int] = deque()
        self._attempts = [0] * len(arrivals.jobs)
        self._waiting_since: dict[int, float] = {}
        self._places: list[Host] = []
        self._hosts: dict[str, list[Host]] = {group.name: [] for group in plan.groups}
        self._policies = {group.name: tuple(group.policies()) for group in plan.groups}
        self._desired = {group.name: group.minimum for group in plan.groups}
        self._running = 0
        self._out = Outcome(host_seconds={group.name: 0.0 for group in plan.groups})

    def run(self) -> Outcome:
        for group in self._plan.groups:
            for _ in range(group.minimum):
                host = self._launch(group)
                self._begin(host)
        self._expect(0)
        self._at(self._plan.period_seconds, self._measure)
        while self._events and (self._now < self._arrivals.seconds or self._out.ended < len(self._arrivals.jobs)):
            self._now, _, happens = heapq.heappop(self._events)
            happens()
        for hosts in self._hosts.values():
            for host in list(hosts):
                self._end(host)
        return self._out

    def _at(self, moment: float, happens: Callable[[], None]) -> None:
        heapq.heappush(self._events, (moment, next(self._numbers), happens))

    # Jobs

    def _expect(self, number: int) -> None:
        if number < len(self._arrivals.jobs):
            self._at(self._arrivals.jobs[number].at, lambda: self._arrive(number))

    def _arrive(self, number: int) -> None:
        self._expect(number + 1)
        self._queue.append(number)
        self._dispatch()

    def _dispatch(self) -> None:
        while self._queue and self._places:
            # Which worker is the first to ask is chance.
            chosen = self._chosen.randrange(len(self._places))
            self._places[chosen], self._places[-1] = self._places[-1], self._places[chosen]
            host = self._places.pop()
            if host.ended is None and host.taking:
                self._start(self._queue.popleft(), host)

    def _start(self, number: int, host: Host) -> None:
        job: Job = self._arrivals.jobs[number]
        if self._attempts[number] == 0:
            self._out.waits.append(self._now - job.at)
        else:
            self._out.handed_back.append(self._now - self._waiting_since.pop(number))
        self._attempts[number] += 1
        attempt = self._attempts[number]
        host.running.add(number)
        self._running += 1
        self._at(self._now + job.seconds, lambda: self._finish(number, attempt, host))

    def _finish(self, number: int, attempt: int, host: Host) -> None:
        if number not in host.running or self._attempts[number] != attempt:
            return
        host.running.discard(number)
        self._running -= 1
        self._out.ended += 1
        if host.taking:
            self._places.append(host)
            self._dispatch()
        elif not host.running:
            self._end(host)

    # Hosts

    def _launch(self, group: GroupPlan) -> Host:
        host = Host(group, self._now)
        self._hosts[group.name].append(host)
        self._out.most_hosts = max(self._out.most_hosts, sum(map(len, self._hosts.values())))
        if group.spot and self._plan.interruptions_per_hour:
            lives = self._chosen.expovariate(self._plan.interruptions_per_hour / 3_600)
            self._at(self._now + lives, lambda: self._interrupt(host))
        return host

    def _begin(self, host: Host) -> None:
        if host.ended is None and host.taking:
            host.ready = True
            self._places += [host] * self._plan.places
            self._dispatch()

    def _drain(self, host: Host, seconds: float) -> None:
        host.taking = False
        if host.running:
            self._at(self._now + seconds, lambda: self._hand_back(host))
        else:
            self._end(host)

    def _hand_back(self, host: Host) -> None:
        if host.ended is not None:
            return
        for number in sorted(host.running, reverse=True):
            self._waiting_since[number] = self._now
            self._queue.appendleft(number)
        self._running -= len(host.running)
        host.running.clear()
        self._end(host)
        self._dispatch()

    def _end(self, host: Host) -> None:
        if host.ended is not None:
            return
        host.ended, host.taking = self._now, False
        self._hosts[host.group.name].remove(host)
        lived = max(self._plan.least_billed_seconds, self._now - host.started)
        self._out.host_seconds[host.group.name] += lived
        self._out.usd += lived / 3_600 * host.group.usd_per_hour

    def _interrupt(self, host: Host) -> None:
        if host.ended is not None:
            return
        self._out.interrupted_hosts += 1
        if host.taking:
            self._drain(host, NOTICE_SECONDS - self._plan.hand_back_seconds)
        # Its group starts another at once.
        self._at(self._now + 1, lambda: self._resize(host.group))

    # What the groups do

    def _serving(self, group: GroupPlan) -> int:
        return sum(
            host.taking and self._now - host.started >= self._plan.in_service_seconds
            for host in self._hosts[group.name]
        )

    def _measure(self) -> None:
        hosts = tuple(len(self._hosts[group.name]) for group in self._plan.groups)
        self._out.samples.append(Sample(self._now, len(self._queue), self._running, hosts))
        metrics: dict[str, float | None] = {"backlog": float(len(self._queue) + self._running)}
        metrics |= {group.name: float(self._serving(group)) for group in self._plan.groups}
        self._at(self._now + self._plan.metric_delay_seconds, lambda: self._decide(metrics))
        self._at(self._now + self._plan.period_seconds, self._measure)

    def _decide(self, metrics: dict[str, float | None]) -> None:
        for group in self._plan.groups:
            youngest = max((host.started for host in self._hosts[group.name]), default=float("-inf"))
            state = GroupState(
                desired=self._desired[group.name],
                in_service=int(metrics[group.name] or 0),
                warming=self._now - youngest < self._plan.warm_up_seconds,
            )
            self._desired[group.name] = decide(
                self._policies[group.name], metrics, state, minimum=group.minimum, maximum=group.maximum
            )
            self._resize(group)

    def _resize(self, group: GroupPlan) -> None:
        taking = [host for host in self._hosts[group.name] if host.taking]
        for _ in range(self._desired[group.name] - len(taking)):
            host = self._launch(group)
            self._at(self._now + self._plan.start_seconds, lambda host=host: self._begin(host))
        # The oldest go first, as the groups' termination policies have it.
        for host in sorted(taking, key=lambda each: each.started)[: max(0, len(taking) - self._desired[group.name])]:
            self._drain(host, self._plan.drain_seconds)
