"""What a rule says about one resource: what it costs a month, at rest and at most, or that it cannot be estimated."""

from dataclasses import dataclass, field

LATER = "is known only after the update"
"""Why something is not estimated in a preview; goes after what is meant."""


@dataclass(frozen=True)
class Charge:
    """A part of the bill. Charges of one `what` are added up, their counts too."""

    what: str
    """One of them, as a person names it, such as `m7i.large, on demand`."""
    usd_at_rest: float
    """A month with nothing to do: every group at its minimum."""
    usd_at_most: float
    """A month with every group at its maximum all the time."""
    count_at_rest: int = 1
    count_at_most: int = 1


def steady(what: str, usd: float, count: int = 1) -> Charge:
    """What costs the same whether there are jobs or not; `usd` is for all of them."""
    return Charge(what, usd, usd, count, count)


@dataclass(frozen=True)
class WorkerHosts:
    """Hosts that run jobs: what a vCPU of them costs, and how many there are."""

    name: str
    instance_type: str
    spot: bool
    usd_per_hour: float
    """One host."""
    vcpus: int
    memory_gibibytes: float
    at_rest: int
    at_most: int


@dataclass(frozen=True)
class Verdict:
    """All that a rule says of one resource."""

    charges: tuple[Charge, ...] = ()
    workers: tuple[WorkerHosts, ...] = ()
    not_estimated: str = ""
    """Why not, in words that go after the resource's type; empty where it is estimated."""
    notes: frozenset[str] = field(default_factory=frozenset[str])
    """Sentences for the list of assumptions."""


FREE = Verdict()
"""Nothing is charged for it."""


def charged(*charges: Charge) -> Verdict:
    """A verdict that is nothing but charges."""
    return Verdict(charges=charges)


def not_estimated(why: str) -> Verdict:
    """A verdict that says why there is no price."""
    return Verdict(not_estimated=why)
