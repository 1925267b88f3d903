"""What CI's roles may do in the account, and who may take them: judged by parliament and by the project's own rules."""

import fnmatch
import json
import os
import re
import subprocess
import warnings
from pathlib import Path
from typing import Any

import aws_fleet
import pytest
import queue_fleet
from recording import FLEET, Recording
from test_host_stack import declared
from users_workflows import CHECKOUT, GITLAB, gitlab_jobs, jobs

with warnings.catch_warnings():
    # It imports pkg_resources, which says of itself that it is deprecated.
    warnings.simplefilter("ignore")
    from parliament import analyze_policy_string  # pyright: ignore[reportUnknownVariableType]

_FOLDER = CHECKOUT / "ci" / "aws"
_LONGEST = 10_240
"""Characters of all inline policies of a role, without white space, by AWS's quotas."""
_BROAD = {"NetworkAndHosts", "WhatHasNoNameOfItsOwn", "NewKeys", "ReadWhatTheFleetIsMadeOf"}
"""Statements on every resource of the region: AWS names these by ids that nobody can know in advance, or knows no
resource for what they read."""


def _document(name: str) -> dict[str, Any]:
    return json.loads((_FOLDER / f"{name}.json").read_text())


def _findings(document: dict[str, Any]) -> set[tuple[str, str]]:
    found: set[tuple[str, str]] = set()
    for each in analyze_policy_string(json.dumps(document)).findings:
        details: Any = each.detail if isinstance(each.detail, list) else [each.detail]
        for detail in details:
            found.add((str(each.issue), str(detail["action"]) if isinstance(detail, dict) else str(detail)))
    return found


@pytest.mark.parametrize("name", ["rights-read", "rights-deploy"])
def test_parliament_finds_nothing_in_what_ci_may_do(name: str) -> None:
    """A misspelt action allows nothing, which shows when an update stops half-way."""
    document = _document(name)
    judged = 0
    for statement in document["Statement"]:
        alone = {"Version": document["Version"], "Statement": [statement]}
        whole_services = [each for each in [statement["Action"]] if isinstance(each, list) and each[0].endswith(":*")]
        found = _findings(alone)
        if statement["Sid"] in _BROAD:
            assert statement["Resource"] == "*"
            assert statement["Condition"] == {"StringEquals": {"aws:RequestedRegion": "eu-west-1"}}
            found = {each for each in found if each[0] != "RESOURCE_STAR"}
        if whole_services:
            # `service:*` on named resources allows what fits them; what does not is the finding.
            found = {each for each in found if each[0] != "RESOURCE_MISMATCH"}
        # The parameters under /aws/service are AWS's own, and their ARNs have no account.
        found -= {("RESOURCE_MISMATCH", "ssm:GetParameter"), ("RESOURCE_MISMATCH", "ssm:GetParameters")}
        assert found == set(), statement["Sid"]
        judged += 1
    assert judged >= 8


def test_both_documents_fit_into_one_role() -> None:
    """AWS refuses the second one otherwise, after the first has been taken."""
    documents = [json.dumps(_document(name)) for name in ("rights-read", "rights-deploy")]
    assert len("".join("".join(documents).split())) <= _LONGEST


def test_the_documented_commands_make_whole_documents_and_both_roles(tmp_path: Path) -> None:
    """A trust in which the example's repository stayed is a role for somebody else."""
    page = (CHECKOUT / "docs" / "ci.md").read_text()
    [commands] = [each for each in re.findall(r"```sh\n(.*?)```", page, re.DOTALL) if "create-role" in each]
    calls = tmp_path / "calls"
    aws = tmp_path / "bin" / "aws"
    aws.parent.mkdir()
    aws.write_text(
        f'#!/bin/sh\necho "$*" >> {calls}\nif [ "$1" = kms ]; then echo 0f0f0f0f-0000-4000-8000-000000000000; fi\n'
    )
    aws.chmod(0o755)
    (tmp_path / "ci").symlink_to(CHECKOUT / "ci")
    ended = subprocess.run(
        ["bash", "-euc", commands],
        cwd=tmp_path,
        env={"PATH": f"{aws.parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    written = {path.name: path.read_text() for path in (tmp_path / "roles").iterdir()}
    assert set(written) == {path.name for path in _FOLDER.glob("*.json")}
    for name, text in written.items():
        json.loads(text)
        for example in ("123456789012", "example-org", "1234abcd", "456789012"):
            assert example not in text, name
    assert "repo:my-org@1234567/my-repo@7654321:environment:prod-read" in written["trust-github-read.json"]
    assert "key/0f0f0f0f-0000-4000-8000-000000000000" in written["rights-read.json"]
    assert calls.read_text().count("iam create-role ") == 2
    assert calls.read_text().count("iam put-role-policy ") == 3
    for file in re.findall(r"file://(\S+)", calls.read_text()):
        assert (tmp_path / file).is_file()


def test_the_reading_role_changes_nothing_but_a_lock() -> None:
    """A preview runs what a branch says: whatever its role may change, every branch may."""
    writing = re.compile(r":(Put|Create|Delete|Update|Modify|Run|Terminate|Attach|Tag|Set|Pass|\*)")
    for statement in _document("rights-read")["Statement"]:
        actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        changing = {each for each in actions if writing.search(each)}
        if statement["Sid"] == "LockForDrift":
            assert statement["Resource"].endswith("/.pulumi/locks/*")
        else:
            assert changing == set(), statement["Sid"]


def test_the_deploying_role_cannot_change_itself_or_the_states_key() -> None:
    """Whoever gets into one update would else keep the account: a wider role, or a state that nobody can read."""
    document = _document("rights-deploy")
    for statement in document["Statement"]:
        actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        if statement["Effect"] == "Allow" and any(each.startswith("iam:") for each in actions):
            resources = statement["Resource"] if isinstance(statement["Resource"], list) else [statement["Resource"]]
            assert all(
                re.search(r":(role|instance-profile)/(agent-fleet-|aws-service-role/)", each) for each in resources
            )
            assert "fleet-ci-" not in " ".join(resources)
    [denied] = [each for each in document["Statement"] if each["Effect"] == "Deny"]
    assert {"kms:ScheduleKeyDeletion", "kms:PutKeyPolicy"} <= set(denied["Action"])


def _recordings() -> dict[str, Recording]:
    return {"dev": declared(False), "staging": queue_fleet.deployed(False), "prod": aws_fleet.cloud(False)}


def test_the_deploying_role_covers_the_names_and_policies_of_every_stack() -> None:
    """A role or an attachment that CI may not make stops the first update after an hour, at the one thing missing."""
    statements = {each["Sid"]: each for each in _document("rights-deploy")["Statement"]}
    attachable = set(statements["ListedPoliciesOnly"]["Condition"]["ArnEquals"]["iam:PolicyARN"])
    passed = set(statements["RolesGoToTheirServices"]["Condition"]["StringEquals"]["iam:PassedToService"])
    tagged = statements["KeysOfTheFleet"]["Condition"]["StringEquals"]["aws:ResourceTag/project"]
    logs = [each for each in statements["ServicesThatNameTheFleet"]["Resource"] if ":log-group:" in each]
    attached: set[str] = set()
    trusted: set[str] = set()
    for stack, recording in _recordings().items():
        for each in recording.resources:
            if each.type in ("aws:iam/role:Role", "aws:secretsmanager/secret:Secret", "aws:sqs/queue:Queue"):
                name = each.inputs.get("name") or each.inputs.get("namePrefix") or each.name
                assert str(name).startswith(FLEET), f"{stack}: {each.type} {name}"
            if each.type == "aws:kms/key:Key":
                assert each.inputs["tags"]["project"] == tagged
            if each.type == "aws:cloudwatch/logGroup:LogGroup":
                arn = f"arn:aws:logs:eu-west-1:123456789012:log-group:{each.inputs['name']}"
                assert any(fnmatch.fnmatchcase(arn, pattern) for pattern in logs), arn
            if each.type == "aws:iam/role:Role":
                trust = json.loads(each.inputs["assumeRolePolicy"])
                trusted |= {statement["Principal"]["Service"] for statement in trust["Statement"]}
            if each.type == "aws:iam/rolePolicyAttachment:RolePolicyAttachment":
                attached.add(each.inputs["policyArn"])
    assert attached <= attachable
    assert trusted <= passed
    assert len(attached) > 5
    assert FLEET.startswith("agent-fleet-")


@pytest.mark.parametrize("path", sorted(_FOLDER.glob("trust-*.json")), ids=lambda path: path.stem)
def test_trust_names_audience_and_subject_of_one_purpose(path: Path) -> None:
    """Without the subject every repository of GitHub, or every project of GitLab, may take the role."""
    document = json.loads(path.read_text())
    # A trust has no resource, which parliament asks for in a role's rights; and it knows no provider of one's own.
    assert {name for name, _ in _findings(document)} <= {"MALFORMED", "UNKNOWN_FEDERATION_SOURCE"}
    [statement] = document["Statement"]
    provider = statement["Principal"]["Federated"].partition("oidc-provider/")[2]
    exact = statement["Condition"]["StringEquals"]
    assert exact[f"{provider}:aud"] == "sts.amazonaws.com"
    purpose = "read" if path.stem.endswith("read") else "deploy"
    if "github" in path.stem:
        assert "StringLike" not in statement["Condition"]
        subject = exact[f"{provider}:sub"]
        environment = "prod-read" if purpose == "read" else "prod"
        assert re.fullmatch(rf"repo:[^*:@]+@\d+/[^*:@]+@\d+:environment:{environment}", subject)
        assert any(each.get("environment") == environment for _, each in jobs())
    else:
        subject = (exact if purpose == "deploy" else statement["Condition"]["StringLike"])[f"{provider}:sub"]
        assert re.fullmatch(r"project_path:[^*:]+:ref_type:branch:ref:(main|\*)", subject)
        assert subject.endswith("main") == (purpose == "deploy")


def test_gitlabs_tokens_are_for_the_audience_that_the_trust_names() -> None:
    """Another audience is refused by AWS, with words that name neither side."""
    audiences = {each["id_tokens"]["FLEET_ID_TOKEN"]["aud"] for each in gitlab_jobs().values() if "id_tokens" in each}
    assert audiences == {"sts.amazonaws.com"}, GITLAB
