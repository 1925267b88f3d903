"""The rules as a set: all there, about types and properties that exist, documented, and free of the project's code."""

import fnmatch
import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from agent_fleet_policies import reference
from agent_fleet_policies.iam_actions import ESCALATING, NOT_NARROWABLE
from agent_fleet_policies.kubernetes_others import CUSTOM
from agent_fleet_policies.rules import RULES
from analyzer_process import PACK, Given, Pack, changed
from policy_case import Case
from policy_cases import CASES

from engine.standins import sdk_types, type_check


def test_the_sixty_four_rules_are_there_once() -> None:
    """One that is registered twice, or not at all, would be seen by nobody."""
    assert [rule.number for rule in RULES] == list(range(1, 65))
    assert len({rule.id for rule in RULES}) == 64
    for rule in RULES:
        assert all((rule.title, rule.reason, rule.fix, rule.source, rule.types))
        assert (rule.check is None) != (rule.check_stack is None)


def test_every_type_of_a_rule_has_a_class_in_the_sdk() -> None:
    """A misspelt type never matches, and the rule passes for ever (pulumi-policy #258)."""
    named = {token for rule in RULES for token in rule.types}
    assert {token for token in named if sdk_types.resource_type(token) is None} == set(CUSTOM)


def test_a_misspelt_type_would_be_seen() -> None:
    """The test above would prove nothing if it found any type."""
    for token in ("aws:ecr/repository:Repositroy", "aws:ecr/repo:Repository", "kubernetes:apps/v1:Deploymnet"):
        assert sdk_types.resource_type(token) is None


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_the_properties_of_a_case_are_those_of_the_sdk(case: Case) -> None:
    """A rule that reads a property that nobody can set would be tried with one that nobody has."""
    variants = [list(case.given), *(changed(case.given, path, value) for path, value in case.broken)]
    for given in variants:
        for each in given:
            resource = sdk_types.resource_type(each.type)
            if resource is None:
                assert each.type in CUSTOM
                continue
            failures = type_check.check(_without_marks(each), resource)
            unknown = [failure for failure in failures if "no such property" in failure.reason]
            assert not unknown, (each.type, unknown)


def _without_marks(given: Given) -> dict[str, Any]:
    """The inputs with secrets as their values."""
    return json.loads(
        json.dumps(given.properties), object_hook=lambda each: each.get("value") if _marked(each) else each
    )


def _marked(each: dict[str, Any]) -> bool:
    return "4dabf18193072939515e22adb298388d" in each


def test_actions_that_may_stand_for_every_resource_cannot_be_narrowed() -> None:
    """An action on that list that has resources would be let through for all of them."""
    # Its data alone: the package itself warns on import.
    found_at = find_spec("parliament")
    assert found_at is not None
    assert found_at.origin is not None
    services: list[Any] = json.loads(Path(found_at.origin).with_name("iam_definition.json").read_text(encoding="utf-8"))
    known = {
        f"{service['prefix']}:{each['privilege']}".lower(): [kind["resource_type"] for kind in each["resource_types"]]
        for service in services
        for each in service["privileges"]
    }
    for pattern in NOT_NARROWABLE:
        found = {name: kinds for name, kinds in known.items() if fnmatch.fnmatchcase(name, pattern.lower())}
        assert found, f"{pattern}: AWS knows no such action"
        assert not {name for name, kinds in found.items() if any(kinds)}, pattern
    assert {name for name in ESCALATING if name.lower() not in known} == set()


def test_the_documented_table_is_the_rules() -> None:
    """A rule that is documented otherwise is looked for in vain."""
    page = reference.PAGE.read_text(encoding="utf-8")
    assert page == reference.rendered(page), "run make policies-reference"


def test_the_pack_tells_the_engine_of_every_rule(pack: Pack) -> None:
    """Without its level and schema a rule could not be configured."""
    info = pack.info()
    told = {each.name: each for each in info.policies}
    assert set(told) == {rule.id for rule in RULES} | {"not-judged"}
    for rule in RULES:
        assert set(rule.options) | {"exceptions", "demands"} == set(told[rule.id].configSchema.properties)
        assert told[rule.id].remediation_steps == rule.fix


def test_the_pack_needs_nothing_but_pulumi() -> None:
    """Another project could not use it without all of this one, and every preview would import two SDKs more."""
    script = (
        "import sys, agent_fleet_policies.analyzer; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    loaded = subprocess.run(
        [sys.executable, "-P", "-c", script],
        cwd=Path("/"),
        env={"PYTHONPATH": str(PACK)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert not {"pulumi_aws", "pulumi_kubernetes", "agent_fleet", "architectures", "settings", "engine"} & set(loaded)
