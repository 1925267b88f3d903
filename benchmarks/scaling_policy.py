"""EC2 Auto Scaling's part: when alarms over the deployed expressions make a group larger or smaller.

As AWS describes it: target tracking scales out, in proportion to the load, when three data points in a row are above
the target, and in, more gradually, when fifteen are below; not while hosts warm up. Step scaling adds what the step of
the breach says, and hosts that were asked for count as there. What AWS gives no number for is assumed: "below" is below
nine tenths of the target, "gradually" is as far as the highest of the fifteen points allows.
https://docs.aws.amazon.com/autoscaling/ec2/userguide/as-scaling-target-tracking.html, as-scaling-simple-step.html.
"""

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.scaling_expressions import Value, evaluate

_OUT_POINTS = 3
_IN_POINTS = 15
_IN_SHARE = 0.9


@dataclass(frozen=True)
class GroupState:
    """A group as it is when its alarms are looked at."""

    desired: int
    in_service: int
    warming: bool
    """Whether a host was started less than the warm-up ago."""


@dataclass
class TargetTracking:
    """Keeps what an expression says of each host at a target."""

    expression: str
    target: float
    _points: deque[Value] = field(default_factory=lambda: deque[Value](maxlen=_IN_POINTS))

    def decide(self, metrics: Mapping[str, Value], group: GroupState) -> int | None:
        """Take in one period's metrics; return how many hosts are wanted, or None where nothing changes."""
        value = evaluate(self.expression, metrics)
        self._points.append(value)
        recent = list(self._points)
        if value is None:
            return None
        if len(recent) >= _OUT_POINTS and all(_above(each, self.target) for each in recent[-_OUT_POINTS:]):
            wanted = self._hosts(group, value)
            return wanted if wanted > group.desired else None
        known = [each for each in recent if each is not None]
        if len(known) == _IN_POINTS and max(known) < self.target * _IN_SHARE and not group.warming:
            wanted = self._hosts(group, max(known))
            return wanted if wanted < group.desired else None
        return None

    def _hosts(self, group: GroupState, value: float) -> int:
        return math.ceil(group.in_service * value / self.target - 1e-9)


@dataclass
class StepScaling:
    """Adds hosts by how far an expression is above 1."""

    expression: str
    steps: Sequence[tuple[int, int]]
    """From which value on how many are added."""

    def decide(self, metrics: Mapping[str, Value], group: GroupState) -> int | None:
        """Take in one period's metrics; return how many hosts are wanted, or None where nothing changes."""
        value = evaluate(self.expression, metrics)
        if value is None or value < 1:
            return None
        added = max(step for least, step in self.steps if value >= least)
        # Those that were asked for and do not serve yet are part of what is added.
        wanted = group.in_service + added
        return wanted if wanted > group.desired else None


def decide(
    policies: Sequence[TargetTracking | StepScaling],
    metrics: Mapping[str, Value],
    group: GroupState,
    *,
    minimum: int,
    maximum: int,
) -> int:
    """The group's new size: of several policies the one that wants the most counts, so one alone may not scale in."""
    wanted = [found for each in policies if (found := each.decide(metrics, group)) is not None]
    out = [each for each in wanted if each > group.desired]
    chosen = max(out or wanted, default=group.desired)
    return min(maximum, max(minimum, chosen))


def _above(value: Value, limit: float) -> bool:
    return value is not None and value > limit
