"""Jobs as they come: when, and how long each runs. Made from a seed, so that every run sees the same ones."""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

PATTERNS = ("steady", "burst", "daily wave")
_HOUR = 3_600.0


@dataclass(frozen=True)
class Job:
    """One job that comes."""

    at: float
    """Seconds from the beginning."""
    seconds: float
    """How long it runs, once it has a place."""


@dataclass(frozen=True)
class Arrivals:
    """The jobs of one pattern, in order."""

    name: str
    seconds: float
    """How long they come; they may end later."""
    jobs: tuple[Job, ...]


def durations(mean_seconds: float, chosen: random.Random) -> Callable[[], float]:
    """Most are short and a few are long: log-normal, with a mean that is 1.65 times the median (sigma 1)."""
    median = math.log(mean_seconds) - 0.5
    return lambda: chosen.lognormvariate(median, 1.0)


def arrivals(
    name: str, seconds: float, per_minute: Callable[[float], float], mean_seconds: float, seed: int = 5
) -> Arrivals:
    """Jobs at random moments (a Poisson process) whose rate follows `per_minute(at)`, thinned from the highest rate."""
    chosen = random.Random(seed)
    last = durations(mean_seconds, chosen)
    highest = max(per_minute(seconds * step / 1_000) for step in range(1_001)) / 60
    jobs: list[Job] = []
    at = chosen.expovariate(highest)
    while at < seconds:
        if chosen.random() < per_minute(at) / 60 / highest:
            jobs.append(Job(at, last()))
        at += chosen.expovariate(highest)
    return Arrivals(name, seconds, tuple(jobs))


def steady(per_minute: float, mean_seconds: float, hours: float = 4) -> Arrivals:
    """The same rate all the time, from nothing."""
    return arrivals("steady", hours * _HOUR, lambda _: per_minute, mean_seconds)


def burst(quiet_per_minute: float, per_minute: float, mean_seconds: float, hours: float = 4) -> Arrivals:
    """Little to do, and for a quarter of an hour, after the first one, a lot."""
    begin, end = _HOUR, 1.25 * _HOUR

    def rate(at: float) -> float:
        return per_minute if begin <= at < end else quiet_per_minute

    return arrivals("burst", hours * _HOUR, rate, mean_seconds)


def daily_wave(night_per_minute: float, noon_per_minute: float, mean_seconds: float) -> Arrivals:
    """A day from midnight to midnight, the most at noon."""
    day = 24 * _HOUR

    def rate(at: float) -> float:
        return night_per_minute + (noon_per_minute - night_per_minute) * (1 - math.cos(2 * math.pi * at / day)) / 2

    return arrivals("daily wave", day, rate, mean_seconds)
