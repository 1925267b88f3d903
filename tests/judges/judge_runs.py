"""The judges over all that is no Kubernetes object: files as they are, AWS resources, IAM documents, Python."""

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from aws_fleet import policy_documents
from judge_excuses import Finding
from judge_tools import checkov, judged
from recording import Declared
from terraform_plan import plan
from test_iam_documents import STACKS, recording

PROJECT = Path(__file__).parents[2]
SOURCES = (
    "__main__.py", "settings", "architectures", "client", "components", "engine", "images", "policies", "examples",
    "ci",
)  # fmt: skip
PLANTED = "planted"
"""What is put among the rest, so that a judge that is called wrongly is seen to find nothing."""
_WORKFLOWS = Path(".github") / "workflows"
_BAD_DOCKERFILE = "FROM debian:latest\nUSER root\nRUN apt-get update\n"
_BAD_WORKFLOW = "on: push\njobs:\n  it:\n    runs-on: x\n    steps:\n      - run: curl ${{ github.head_ref }}\n"
_BAD_FILES = Declared("aws:efs/fileSystem:FileSystem", PLANTED, {"encrypted": False}, frozenset(), "", (), False)
_BAD_POLICY = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": ["iam:PutRolePolicy", "s3:GetObject"], "Resource": "*"}],
}
# Names of cloudsplaining's own report.
_RISKS = {
    "PrivilegeEscalation": "allows_privilege_escalation",
    "DataExfiltration": "allows_data_exfiltration_actions",
    "CredentialsExposure": "credentials_exposure",
    "InfrastructureModification": "infrastructure_modification",
    "ResourceExposure": "permissions_management_without_constraints",
    "ServiceWildcard": "service_wildcard",
}
_CLOUDSPLAINING = """
import json, sys
from cloudsplaining.scan.policy_document import PolicyDocument
documents, risks = (json.load(open(name)) for name in sys.argv[1:])
judged = {name: PolicyDocument(document) for name, document in documents.items()}
print(json.dumps({name: {risk: getattr(each, of) for risk, of in risks.items()} for name, each in judged.items()}))
"""
# What ruff is told of a line holds for bandit too, whose rules it has under the same numbers.
_NOQA = r"# noqa: [^#]*\bS{number}\b.* - \S"
_NOQA_OF_FILE = r"^# ruff: noqa: [^#]*\bS{number}\b.* - \S"


def checkov_findings(folder: Path) -> list[Finding]:
    """Of Dockerfiles, GitHub's and GitLab's workflows, and the AWS resources of every stack, in one run."""
    _lay_out(folder)
    reports: Any = json.loads(checkov(folder, "dockerfile", "github_actions", "gitlab_ci", "terraform_plan"))
    kinds = {each["check_type"] for each in reports}
    assert kinds == {"dockerfile", "github_actions", "gitlab_ci", "terraform_plan"}, kinds
    found: list[Finding] = []
    for report in reports:
        assert report["summary"]["parsing_errors"] == 0, report["summary"]
        for each in report["results"]["failed_checks"]:
            path = each["file_path"].lstrip("/")
            place = f"{path.removesuffix('.json')} {each['resource']}" if path.endswith(".json") else path
            found.append(Finding("checkov", each["check_id"], place, str(each["check_name"])))
    return found


def _lay_out(folder: Path) -> None:
    """Each file where its judge looks for its kind."""
    for source in sorted(PROJECT.glob("images/*/Dockerfile")):
        _copy(source, folder / source.relative_to(PROJECT))
    for source in (*PROJECT.glob(".github/workflows/*.y*ml"), *PROJECT.glob("ci/github/*.y*ml")):
        _copy(source, folder / _WORKFLOWS / source.name)
    for source in PROJECT.glob("ci/gitlab/*.y*ml"):
        _copy(source, folder / ".gitlab-ci.yml")
    for stack in STACKS:
        (folder / f"{stack}.json").write_text(json.dumps(plan(recording(stack).resources)), encoding="utf-8")
    (folder / PLANTED).mkdir()
    (folder / PLANTED / "Dockerfile").write_text(_BAD_DOCKERFILE, encoding="utf-8")
    (folder / _WORKFLOWS / f"{PLANTED}.yml").write_text(_BAD_WORKFLOW, encoding="utf-8")
    (folder / f"{PLANTED}.json").write_text(json.dumps(plan([_BAD_FILES])), encoding="utf-8")


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    assert not target.exists(), f"two files for {target.name}"
    shutil.copyfile(source, target)


def cloudsplaining_findings(folder: Path) -> list[Finding]:
    """Of every IAM document of every stack on AWS, and of the roles that users' CI takes."""
    documents: dict[str, Mapping[str, Any]] = {
        f"{stack} {each.type.rpartition(':')[2]} {each.name} {field}": document
        for stack in STACKS
        for each, field, document in policy_documents(recording(stack))
    }
    assert len(documents) >= 30, "a judgement over nothing passes"
    for source in PROJECT.glob("ci/aws/*.json"):
        documents[source.relative_to(PROJECT).as_posix()] = json.loads(source.read_text(encoding="utf-8"))
    for name, content in (("documents", {**documents, PLANTED: _BAD_POLICY}), ("risks", _RISKS)):
        (folder / name).write_text(json.dumps(content), encoding="utf-8")
    report = json.loads(judged("-c", _CLOUDSPLAINING, "documents", "risks", folder=folder))
    return [
        Finding("cloudsplaining", risk, name, str(action))
        for name, risks in report.items()
        for risk, actions in risks.items()
        for action in actions
    ]


def bandit_findings(folder: Path) -> list[Finding]:
    """Of the Python sources, but for what a line is excused from with a reason already."""
    planted = folder / f"{PLANTED}.py"
    planted.write_text("eval(input())\n", encoding="utf-8")
    report = json.loads(judged("-m", "bandit", "-r", "-q", "-f", "json", *SOURCES, str(planted), folder=PROJECT))
    assert report["errors"] == []
    return list(_bandit(report["results"]))


def _bandit(results: list[Mapping[str, Any]]) -> Iterator[Finding]:
    for each in results:
        path = Path(str(each["filename"]))
        lines = (PROJECT / path).read_text(encoding="utf-8").splitlines()
        first, last = each["line_range"][0], each["line_range"][-1]
        number = each["test_id"][1:]
        here, everywhere = (re.compile(pattern.format(number=number)) for pattern in (_NOQA, _NOQA_OF_FILE))
        if not (any(map(here.search, lines[first - 1 : last])) or any(map(everywhere.search, lines))):
            place = PLANTED if path.stem == PLANTED else path.as_posix().removeprefix("./")
            yield Finding("bandit", each["test_id"], place, f"line {each['line_number']}: {each['issue_text']}")
