"""What a team sets: levels, options, exceptions with an end, and what may stay unjudged."""

from typing import Any

import grpc
import pytest
from agent_fleet_policies import eks, eks_access, messaging, storage
from analyzer_process import ADVISORY, GATE, MANDATORY, UNKNOWN, Given, Pack, Said, secret

GROUP = Given(messaging.LOG_GROUP, {"name": "fleet"}, "logs")
FILES = Given(storage.FILE_SYSTEM, {"encrypted": True, "kmsKeyId": UNKNOWN}, "files")
WAIVER = {"resource": "logs", "reason": "kept for the auditors", "expires": "2999-12-31"}
LISTED = {
    "rule": "efs-own-key",
    "type": storage.FILE_SYSTEM,
    "path": "kmsKeyId",
    "reason": "the key is made in the same update",
}


def policies(said: list[Said]) -> dict[str, int]:
    """Who reported, and how."""
    return {each.policy: each.level for each in said}


def test_every_rule_is_mandatory_until_somebody_says_otherwise(pack: Pack) -> None:
    """A pack that only advises is switched on, and never looked at."""
    assert policies(pack.judge([GROUP])) == {"logs-retention": MANDATORY}


@pytest.mark.parametrize(("level", "wanted"), [("advisory", {"logs-retention": ADVISORY}), ("disabled", {})])
def test_a_rule_can_be_advisory_or_off(pack: Pack, level: str, wanted: dict[str, int]) -> None:
    """Nobody would switch on 64 rules at once."""
    pack.configure({"logs-retention": level})
    assert policies(pack.judge([GROUP])) == wanted


def test_options_of_a_rule_decide_what_is_allowed(pack: Pack) -> None:
    """A list of registries, versions or principals that is built in fits one team."""
    admin = Given(
        eks_access.ACCESS_POLICY,
        {"principalArn": "arn:aws:iam::1:role/platform-a", "policyArn": "x/AmazonEKSClusterAdminPolicy"},
    )
    assert policies(pack.judge([admin])) == {"eks-listed-admins": MANDATORY}
    pack.configure({"eks-listed-admins": {"principals": ["arn:aws:iam::1:role/platform-*"]}})
    assert pack.judge([admin]) == []


def test_an_exception_lets_its_resource_through_and_no_other(pack: Pack) -> None:
    """One exception would switch the rule off."""
    pack.configure({"logs-retention": {"exceptions": [WAIVER]}})
    other = Given(messaging.LOG_GROUP, {"name": "other"}, "other")
    assert [each.urn for each in pack.judge([GROUP, other])] == [other.urn]


def test_an_exception_can_name_a_urn_with_a_star(pack: Pack) -> None:
    """Resources of one stack are told from the same ones of another by their URN alone."""
    pack.configure({"logs-retention": {"exceptions": [{**WAIVER, "resource": "urn:pulumi:test::*::logs"}]}})
    assert pack.judge([GROUP]) == []


def test_an_expired_exception_fails_and_says_so(pack: Pack) -> None:
    """What was excused for a week would be excused for ever."""
    pack.configure({"logs-retention": {"exceptions": [{**WAIVER, "expires": "2020-01-31"}]}})
    (said,) = pack.judge([GROUP])
    assert said.level == MANDATORY
    assert "the exception for it expired on 2020-01-31: kept for the auditors" in said.message


def test_what_is_unjudged_and_unlisted_stops_the_preview(pack: Pack) -> None:
    """A mandatory rule that meets an unknown becomes advisory with Pulumi's own SDK."""
    said = pack.judge([FILES])
    gate = [each for each in said if each.policy == GATE]
    assert [(each.level, each.urn) for each in gate] == [(MANDATORY, FILES.urn)]
    assert "efs-own-key: kmsKeyId is unknown in the preview" in gate[0].message


def test_what_is_unjudged_and_listed_is_counted(pack: Pack) -> None:
    """Nobody would know how much of a preview was not judged at all."""
    pack.configure({GATE: {"allowed": [LISTED]}, "efs-transport": "disabled"})
    (said,) = pack.judge([FILES, Given(storage.FILE_SYSTEM, FILES.properties, "more")])
    assert (said.policy, said.level) == (GATE, ADVISORY)
    assert "2 properties (efs-own-key 2)" in said.message


@pytest.mark.parametrize("change", [{"rule": "efs-encrypted"}, {"type": eks.CLUSTER}, {"path": "encrypted"}])
def test_a_listed_property_is_one_of_that_rule_and_type(pack: Pack, change: dict[str, str]) -> None:
    """A list for one property would let all others through."""
    pack.configure({GATE: {"allowed": [{**LISTED, **change}]}, "efs-transport": "disabled"})
    assert policies(pack.judge([FILES])) == {GATE: MANDATORY}


def test_a_rule_that_only_advises_leaves_only_advice_unjudged(pack: Pack) -> None:
    """Advisory first would end in a gate that stops everything."""
    pack.configure({"efs-own-key": "advisory", "efs-transport": "disabled"})
    assert policies(pack.judge([FILES])) == {GATE: ADVISORY}


def test_a_team_can_demand_that_a_property_be_known(pack: Pack) -> None:
    """Waiting for the update is too late for some."""
    pack.configure({"efs-own-key": {"demands": ["kmsKeyId"]}, "efs-transport": "disabled"})
    assert policies(pack.judge([FILES])) == {"efs-own-key": MANDATORY}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"logs-retenion": "advisory"}, "logs-retenion: there is no such rule"),
        ({"logs-retention": {"days": 3}}, "logs-retention.days: there is no such setting; allowed are minimum_days"),
        ({"logs-retention": {"minimum_days": "3"}}, "logs-retention.minimum_days: given '3'; a number is wanted"),
        ({"eks-version": {"versions": "1.35"}}, "eks-version.versions: given '1.35'; a list of texts is wanted"),
        ({"eks-version": {"exceptions": [{"resource": "it"}]}}, "exactly resource, reason, expires are wanted"),
        ({"eks-version": {"exceptions": [{**WAIVER, "expires": "soon"}]}}, "given 'soon'; a day as 2027-01-31"),
        ({"eks-version": {"exceptions": [{**WAIVER, "reason": "no"}]}}, "given 'no'; a sentence is wanted"),
        ({"eks-version": {"exceptions": [{**WAIVER, "resource": "*"}]}}, "name a resource, not all of them"),
        ({GATE: {"allowed": [{**LISTED, "reason": ""}]}}, "not-judged.allowed[0].reason: given ''; a text is wanted"),
    ],
)
def test_a_wrong_setting_is_refused_with_what_is_allowed(pack: Pack, given: dict[str, Any], told: str) -> None:
    """A misspelt rule or field would leave the default in force, without a word."""
    with pytest.raises(grpc.RpcError) as error:
        pack.configure(given)
    assert told in str(error.value)


def test_a_secret_is_never_shown(pack: Pack) -> None:
    """A violation's message goes into logs and pull requests."""
    group = Given(messaging.LOG_GROUP, {"name": "x", "retentionInDays": secret("hunter2")})
    (said,) = pack.judge([group])
    assert "a secret" in said.message
    assert "hunter2" not in said.message
