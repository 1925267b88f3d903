"""Which settings mean something where: for one architecture or several, or for some of their targets.

The marks are part of the JSON Schema, so that the reference, the refusals and the models cannot disagree. A place is an
architecture (`vm`) or one target of it (`vm/ec2`).
"""

from collections.abc import Mapping, Sequence
from typing import Any

_PLACES, _INSTEAD, _WHY = "x-only-for", "x-instead", "x-why"


def only(*places: str, instead: Mapping[str, str] | None = None, why: str | None = None) -> dict[str, Any]:
    """The mark of a setting that means something in these places only.

    `instead` names what another place has in its stead, and `why` says why others cannot have it.
    """
    mark: dict[str, Any] = {_PLACES: list(places)}
    if instead:
        mark[_INSTEAD] = dict(instead)
    if why is not None:
        mark[_WHY] = why
    return mark


CLUSTER_ONLY = only("cluster")
EKS_ONLY = only("cluster/eks")
EXISTING_ONLY = only("cluster/existing")
VM_ONLY = only("vm")
EC2_HOST_ONLY = only("vm/ec2")
QUEUE_ONLY = only("queue")
HOSTS_ONLY = only("vm", "queue")
EC2_ONLY = only("vm/ec2", "queue")
AWS_ONLY = only("vm/ec2", "queue", "cluster/eks")


def hosts_only(in_a_cluster: str) -> dict[str, Any]:
    """A setting of Docker hosts, and what a cluster has in its place."""
    return only("vm", "queue", instead={"cluster": in_a_cluster})


def applies(schema: Mapping[str, Any], architecture: str, target: str) -> bool:
    """Whether a setting means something there."""
    return _PLACES not in schema or any(_covers(place, architecture, target) for place in schema[_PLACES])


def in_words(schema: Mapping[str, Any]) -> str:
    """`Only for …`, or nothing for a setting that means something everywhere."""
    return f"Only for {_listed(schema[_PLACES])}." if _PLACES in schema else ""


def out_of_place(schema: Mapping[str, Any], architecture: str, target: str) -> str | None:
    """Why a setting cannot stand in this stack; None if it can."""
    if applies(schema, architecture, target):
        return None
    found = [name for place, name in schema.get(_INSTEAD, {}).items() if _covers(place, architecture, target)]
    advice = f"use {found[0]} instead" if found else "remove it"
    why = f" ({schema[_WHY]})" if _WHY in schema else ""
    stack = _in_full(f"{architecture}/{target}")
    return f"given, but it is only for {_listed(schema[_PLACES])}{why}, and this stack has {stack}: {advice}"


def _covers(place: str, architecture: str, target: str) -> bool:
    return place in (architecture, f"{architecture}/{target}")


def _listed(places: Sequence[str]) -> str:
    words = [_in_full(place) for place in places]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _in_full(place: str) -> str:
    architecture, _, target = place.partition("/")
    return f"`architecture: {architecture}`" + (f" with `target: {target}`" if target else "")
