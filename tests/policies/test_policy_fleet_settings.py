"""This project's own configuration: no exception and nothing listed as unknown outlives what it was for."""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import pytest
from agent_fleet_policies.settings import unjudged
from analyzer_process import GATE, Given, Pack, Said
from cluster_stacks import eks
from queue_fleet import changed
from shipped_stacks import CONFIGURATION, declared, shipped

# Unknown in previews of prod on the real engine (tests/engine/test_policy_pack.py), and known to mocks, which give a
# class its name at once.
_ON_THE_ENGINE = ("workspace-claims", "kubernetes:core/v1:PersistentVolumeClaim", "spec.storageClassName")
_STACKS = ("prod", "staging", "dev", "local-cluster")


@cache
def _given() -> tuple[tuple[Given, ...], ...]:
    """The shipped stacks, and two with what none of them has."""
    queue = {"doorbell": {"kind": "redis"}, "queue": {"registry": {"replica_regions": ["eu-central-1"]}}}
    installed = {**dict.fromkeys(("istio", "keda", "karpenter"), "install"), "gateway_api": "exists"}
    cluster = eks(platform=installed, workspace={"enabled": True})
    return (*(shipped(stack) for stack in _STACKS), declared("test", changed(**queue)), declared("test", cluster))


def _said(pack: Pack, configuration: Mapping[str, Any]) -> Iterator[Said]:
    pack.configure(configuration)
    for given in _given():
        yield from pack.judge(given)


def test_every_exception_excuses_something(pack: Pack) -> None:
    """It would hide the next one that breaks the rule there."""
    without = {
        name: {key: value for key, value in settings.items() if key != "exceptions"}
        for name, settings in CONFIGURATION.items()
    }
    said = list(_said(pack, without))
    for rule, settings in CONFIGURATION.items():
        for exception in settings.get("exceptions", ()):
            alone = {**without, rule: {**without[rule], "exceptions": [exception]}}
            now = set(_said(pack, alone))
            assert {each for each in said if each.policy == rule} - now, f"{rule}: {exception['resource']}"


def test_everything_that_is_listed_as_unknown_is_so_somewhere(pack: Pack) -> None:
    """What has become known, or is asked for no more, would be let through when it is unknown again by mistake."""
    said = [each for each in _said(pack, {**CONFIGURATION, GATE: {}}) if each.policy == GATE]
    listed = unjudged(CONFIGURATION[GATE], GATE)
    seen = {_ON_THE_ENGINE}
    for each in said:
        text = each.message.partition("\n")[2]
        rule, colon, paths = text.partition(" is unknown in the preview")[0].partition(": ")
        kind = each.urn.split("::")[2].rpartition("$")[2] if colon else ""
        seen |= {(rule, kind, path) for path in paths.split(", ")}
    assert [each for each in listed if not any(each.covers(*found) for found in seen)] == []


@pytest.mark.parametrize("rule", [name for name in CONFIGURATION if "exceptions" in CONFIGURATION[name]])
def test_an_exception_of_this_project_ends_on_a_day(rule: str) -> None:
    """An exception for ever is another rule, which nobody has decided on."""
    assert all(each["expires"] < "2028" for each in CONFIGURATION[rule]["exceptions"])
