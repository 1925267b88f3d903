"""The tables of what replaces: each entry has a source, and speaks of properties that exist."""

import json
from pathlib import Path
from typing import Any

import pytest

from engine.standins import replacements, sdk_types
from engine.standins.differences import Difference, Kind, compare
from engine.standins.replacements import ReplacementTable
from engine.standins.sdk_types import Property, ResourceType
from engine.standins.values import UNKNOWN, Secret

FOLDER = Path(replacements.__file__).parent / "replacement_tables"
ENTRIES = [
    (token, entry) for path in sorted(FOLDER.glob("*.json")) for token, entry in json.loads(path.read_text()).items()
]


def exists(path: str, resource: ResourceType) -> bool:
    """Whether a property path leads to an input of the SDK's type."""
    known: dict[str, Property] = resource.inputs
    for step in path.split("."):
        if step not in known:
            return False
        shape = known[step].shape
        while shape.parts:
            shape = shape.parts[0]
        nested = resource.nested(shape.name) if shape.name else None
        known = nested.properties if nested else {}
    return True


@pytest.mark.parametrize(("token", "entry"), ENTRIES, ids=[token for token, _ in ENTRIES])
def test_an_entry_has_a_source_and_names_inputs_of_the_sdk(token: str, entry: dict[str, Any]) -> None:
    """Prevents a rule that a new SDK, or a typing mistake, makes void."""
    assert entry["source"]
    resource = sdk_types.resource_type(token)
    assert resource is not None
    paths = [*entry["replace"], *entry.get("update", []), *entry.get("unordered", [])]
    assert [path for path in paths if path != "*" and not exists(path, resource)] == []


def test_a_rule_reaches_into_lists_and_objects() -> None:
    """Prevents `ports[0].external` from being taken for something that the table does not know."""
    container = ReplacementTable("docker").rule("docker:index/container:Container")
    assert container.replaces("ports[0].external")
    assert container.replaces("capabilities")
    assert not container.replaces("memory")
    cluster = ReplacementTable("aws").rule("aws:eks/cluster:Cluster")
    assert cluster.replaces("kubernetesNetworkConfig.ipFamily")
    assert cluster.replaces("kubernetesNetworkConfig")
    assert not cluster.replaces("kubernetesNetworkConfig.elasticLoadBalancing")
    flow_log = ReplacementTable("aws").rule("aws:ec2/flowLog:FlowLog")
    assert flow_log.replaces("trafficType")
    assert not flow_log.replaces('tags["a"]')


def test_differences_are_found_where_they_are() -> None:
    """Prevents changes that go unseen, and changes that are none."""
    old = {"a": 1, "b": {"c": [1, 2], "d": "x"}, "set": ["p", "q"], "gone": 1, "same": True}
    new = {"a": Secret(1), "b": {"c": [1, 3, 4], "d": UNKNOWN}, "set": ["q", "p"], "new": 1, "same": 1}
    assert compare(old, new, unordered=frozenset({"set"})) == [
        Difference("b.c[1]", Kind.CHANGED),
        Difference("b.c[2]", Kind.ADDED),
        Difference("b.d", Kind.CHANGED),
        Difference("gone", Kind.DELETED),
        Difference("new", Kind.ADDED),
        Difference("same", Kind.CHANGED),
    ]
