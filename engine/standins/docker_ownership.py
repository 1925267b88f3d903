"""Whether an existing Docker object is one that an interrupted run of the same fleet left behind.

An engine that is killed between an object's creation and its own note of it leaves the object unrecorded. The labels
tell: an object with the same fleet and role under the same name can only have been meant for this resource.
"""

from collections.abc import Mapping

_PREFIX = "agent-fleet."


def left_behind(existing: Mapping[str, str] | None, wanted: Mapping[str, str]) -> bool:
    """Whether the existing object carries the same agent-fleet labels, at least the fleet's name."""
    own = {key: value for key, value in wanted.items() if key.startswith(_PREFIX)}
    found = existing or {}
    return f"{_PREFIX}fleet" in own and all(found.get(key) == value for key, value in own.items())
