"""What the cloud says of this host: that it will be taken away, that it may be, or that it is out of service."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from fleet_runtime.worker.instance_metadata import InstanceMetadata

_SPOT_ACTION = "spot/instance-action"
_REBALANCE = "events/recommendations/rebalance"
_TARGET_STATE = "autoscaling/target-lifecycle-state"
_TERMINATED = ("Terminated", "Warmed:Terminated")
_OUT_OF_SERVICE = ("Standby", "Warmed:Hibernated", "Warmed:Running", "Warmed:Stopped")


class NoticeKind(StrEnum):
    """Why a host should take no more jobs."""

    SPOT_INTERRUPTION = "spot_interruption"
    """EC2 takes the instance back, two minutes after it has said so."""
    TERMINATION = "termination"
    """Its Auto Scaling group ends the instance, once its lifecycle hook is completed."""
    REBALANCE = "rebalance"
    """EC2 is more likely than usual to take the instance back; it may never do."""
    OUT_OF_SERVICE = "out_of_service"
    """Its Auto Scaling group has it stand by, or wait in the warm pool; it may come back."""


@dataclass(frozen=True)
class Notice:
    """One of them, and when the host goes, where that is said."""

    kind: NoticeKind
    at: datetime | None = None


async def look(metadata: InstanceMetadata) -> dict[NoticeKind, Notice]:
    """Return the notices that stand now, by kind. Raises MetadataAwayError.

    What each item holds: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html,
    rebalance-recommendations.html, and retrieving-target-lifecycle-state-through-imds.html of EC2 Auto Scaling.
    """
    found: list[Notice] = []
    if (action := await metadata.get(_SPOT_ACTION)) is not None:
        found.append(Notice(NoticeKind.SPOT_INTERRUPTION, _time(action)))
    state = (await metadata.get(_TARGET_STATE) or "").strip()
    if state in _TERMINATED:
        found.append(Notice(NoticeKind.TERMINATION))
    elif state in _OUT_OF_SERVICE:
        found.append(Notice(NoticeKind.OUT_OF_SERVICE))
    if await metadata.get(_REBALANCE) is not None:
        found.append(Notice(NoticeKind.REBALANCE))
    return {each.kind: each for each in found}


def _time(action: str) -> datetime | None:
    """The time in `{"action": "terminate", "time": "2026-11-21T08:22:00Z"}`; None where it cannot be read."""
    try:
        said = datetime.fromisoformat(str(json.loads(action)["time"]))
    except (ValueError, KeyError, TypeError):
        return None
    return said if said.tzinfo else said.replace(tzinfo=UTC)
