"""The steps that write to GitHub, taken out of the workflows and run against a server that answers as GitHub does."""

import json
import shutil
import subprocess
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

import pytest
from github_server import BOT, TOKEN, Repository, served
from users_workflows import CHECKOUT, run_step, step, workflow

MARKER = "<!-- agent-fleet: preview -->"


@pytest.fixture
def repository() -> Generator[Repository]:
    """An empty one."""
    with served() as kept:
        yield kept


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """What a sparse checkout brings: the folder ci, and no environment."""
    shutil.copytree(CHECKOUT / "ci", tmp_path / "ci")
    return tmp_path


class _Job:
    """A workflow's job whose one step is run, with what its `permissions` allow."""

    def __init__(self, repository: Repository, folder: Path, name: str, job: str, called: str) -> None:
        self._step = step(name, job, called)
        self._folder, self._repository = folder, repository
        repository.permissions = workflow(name)["jobs"][job]["permissions"]

    def run(self, token: str = TOKEN) -> subprocess.CompletedProcess[str]:
        expressions = {"github.token": token, "github.event.pull_request.number": "7"}
        return run_step(self._step, self._folder, self._repository.environment, expressions)


def _comment(repository: Repository, folder: Path) -> _Job:
    return _Job(repository, folder, "preview", "comment", "Write or update the comment")


def _reports(folder: Path, reports: Mapping[str, str], name: str = "preview.md") -> None:
    shutil.rmtree(folder / "report", ignore_errors=True)
    for stack, text in reports.items():
        (folder / "report" / stack).mkdir(parents=True)
        (folder / "report" / stack / name).write_text(text)


def test_a_pull_request_has_one_comment_however_often_it_is_pushed(repository: Repository, sources: Path) -> None:
    """A comment for each push buries the discussion, and readers look at an old one."""
    for number in range(250):
        repository.comment(7, "somebody", f"remark {number}")
    job = _comment(repository, sources)
    for text in ("## staging: clean", "## staging: 3 violations"):
        _reports(sources, {"staging": text, "prod": "## prod: clean"})
        ended = job.run()
        assert ended.returncode == 0, ended.stderr
    ours = [each for each in repository.comments.values() if each["user"]["login"] == BOT]
    assert len(ours) == 1
    assert ours[0]["body"].startswith(MARKER)
    assert "3 violations" in ours[0]["body"]
    assert "## prod: clean" in ours[0]["body"]
    assert "staging: clean" not in ours[0]["body"]


def test_a_comment_of_somebody_else_is_never_touched(repository: Repository, sources: Path) -> None:
    """Who writes the marker into a comment would choose what is overwritten; another bot's words would be lost."""
    forged = repository.comment(7, "stranger", f"{MARKER}\nlooks good")
    quoted = repository.comment(7, BOT, f"> {MARKER}\nof another workflow")
    elsewhere = repository.comment(8, BOT, f"{MARKER}\nof another pull request")
    _reports(sources, {"staging": "## staging", "prod": "## prod"})
    assert _comment(repository, sources).run().returncode == 0
    assert repository.comments[forged]["body"] == f"{MARKER}\nlooks good"
    assert repository.comments[quoted]["body"].endswith("of another workflow")
    assert repository.comments[elsewhere]["body"].endswith("of another pull request")
    assert len(repository.comments) == 4


def test_a_preview_without_a_report_says_so_and_replaces_the_old_words(repository: Repository, sources: Path) -> None:
    """An old green report under a broken preview is what gets merged."""
    job = _comment(repository, sources)
    _reports(sources, {"staging": "## staging: clean", "prod": "## prod: clean"})
    assert job.run().returncode == 0
    _reports(sources, {"staging": "## staging: clean"})
    assert job.run().returncode == 0
    body = next(iter(repository.comments.values()))["body"]
    assert "**prod**: the preview ended without a report" in body
    assert "/actions/runs/42" in body
    assert "prod: clean" not in body


def test_reports_that_are_too_long_together_keep_their_summaries(repository: Repository, sources: Path) -> None:
    """GitHub refuses a longer comment, and nobody sees anything; one cut in its middle shows no second stack."""
    details = f"<details><summary>all</summary>\n{'x' * 59_000}\n</details>"
    _reports(
        sources,
        {stack: f"## {stack}\n\n| result |\n| --- |\n| violated |\n\n{details}" for stack in ("staging", "prod")},
    )
    ended = _comment(repository, sources).run()
    assert ended.returncode == 0, ended.stderr
    body = next(iter(repository.comments.values()))["body"]
    assert len(body) <= 65_536
    assert body.count("| violated |") == 2
    assert body.count("<details>") == body.count("</details>") == 1
    assert "too long for a comment" in body


def test_a_refusal_is_one_line_without_the_token(repository: Repository, sources: Path) -> None:
    """A stack trace tells a user nothing, and a token in a log is somebody else's."""
    _reports(sources, {"staging": "x", "prod": "y"})
    job = _comment(repository, sources)
    ended = job.run("a-wrong-token")
    assert ended.returncode == 1
    assert "401: Bad credentials" in ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1
    assert "a-wrong-token" not in ended.stdout + ended.stderr
    repository.permissions = {"contents": "read"}
    ended = job.run()
    assert ended.returncode == 1
    assert "`permissions` lack a right" in ended.stderr


def _drift(repository: Repository, folder: Path, **found: tuple[str, str]) -> subprocess.CompletedProcess[str]:
    _reports(folder, {stack: text for stack, (_, text) in found.items()}, "drift.txt")
    for stack, (status, _) in found.items():
        (folder / "report" / stack / "status").write_text(f"{status}\n")
    return _Job(repository, folder, "drift", "issue", "Open, update or close the issues").run()


def test_drift_has_one_issue_for_each_stack_that_closes_when_it_is_gone(repository: Repository, sources: Path) -> None:
    """An issue for each night is what people filter away; one that stays open says nothing any more."""
    first = _drift(repository, sources, staging=("2", "security group changed"), prod=("0", ""))
    assert first.returncode == 0, first.stderr
    assert _drift(repository, sources, staging=("2", "two things changed"), prod=("0", "")).returncode == 0
    [(number, issue)] = repository.issues.items()
    assert (issue["title"], issue["state"]) == ("Drift in staging", "open")
    assert "two things changed" in issue["body"]
    assert "security group changed" not in issue["body"]
    assert _drift(repository, sources, staging=("1", "")).returncode == 0
    assert issue["state"] == "open", "a look that failed is no news of the stack"
    assert _drift(repository, sources, staging=("0", ""), prod=("0", "")).returncode == 0
    assert repository.issues[number]["state"] == "closed"
    assert [each["number"] for each in repository.comments.values()] == [number]
    assert _drift(repository, sources, staging=("2", "again"), prod=("0", "")).returncode == 0
    assert len(repository.issues) == 2


def test_what_was_found_cannot_leave_its_frame(repository: Repository, sources: Path) -> None:
    """A tag that somebody set by hand in the account would else write into the issue: links, mentions, a marker."""
    forged = repository.issue("stranger", "<!-- agent-fleet: drift of staging -->\nnothing to see")
    said = "name: ```\n@everyone <!-- agent-fleet: drift of prod -->\n````\n\x1b[31mred\x1b[0m\x00"
    assert _drift(repository, sources, staging=("2", said), prod=("0", "")).returncode == 0
    assert repository.issues[forged]["body"].endswith("nothing to see")
    [issue] = [each for number, each in repository.issues.items() if number != forged]
    frame = issue["body"].partition("`````text\n")[2]
    assert frame.endswith("red\n`````\n")
    assert "\x1b" not in frame
    assert "\x00" not in frame
    assert _drift(repository, sources, staging=("2", "x" * 200_000), prod=("0", "")).returncode == 0
    assert len(issue["body"]) < 65_536


_REVIEWERS = {"type": "required_reviewers", "reviewers": [{"type": "Team", "reviewer": {"slug": "platform"}}]}
_BRANCHES = {"protected_branches": True, "custom_branch_policies": False}


@pytest.mark.parametrize(
    ("environment", "of_staging", "of_prod"),
    [
        (None, "is not set up", "is not set up"),
        ({"protection_rules": [], "deployment_branch_policy": _BRANCHES}, "", "no required reviewers"),
        (
            {"protection_rules": [_REVIEWERS | {"reviewers": []}], "deployment_branch_policy": _BRANCHES},
            "",
            "reviewers",
        ),
        ({"protection_rules": [_REVIEWERS], "deployment_branch_policy": None}, "every branch", "every branch"),
        ({"protection_rules": [_REVIEWERS], "deployment_branch_policy": _BRANCHES}, "", ""),
    ],
)
def test_an_update_wants_an_environment_that_somebody_has_protected(
    repository: Repository, sources: Path, environment: dict[str, Any] | None, of_staging: str, of_prod: str
) -> None:
    """GitHub makes a missing environment without protection: any branch could deploy, and prod would ask nobody."""
    others = [{"name": "other", "protection_rules": [_REVIEWERS], "deployment_branch_policy": _BRANCHES}]
    for stack, said in (("staging", of_staging), ("prod", of_prod)):
        repository.environments = others + ([] if environment is None else [{"name": stack, **environment}])
        job = _Job(repository, sources, "up", f"plan-{stack}", "Refuse an environment without protection")
        ended = job.run()
        assert ended.returncode == (1 if said else 0), ended.stderr
        assert said in ended.stderr


def test_gitlab_gets_each_finding_of_the_sarif_once(tmp_path: Path) -> None:
    """Two findings with one fingerprint are one to GitLab, and a path outside of the checkout is none."""
    place = {"physicalLocation": {"artifactLocation": {"uri": "Pulumi.prod.yaml"}, "region": {"startLine": 3}}}
    results = [
        {"ruleId": "ecr-kms", "level": level, "message": {"text": text}, "locations": [place]}
        for level, text in (("error", "api"), ("error", "api"), ("note", "worker"))
    ]
    sarif, report = tmp_path / "preview.sarif", tmp_path / "code-quality.json"
    command = ["python3", CHECKOUT / "ci" / "gitlab" / "code_quality.py", sarif, report]
    subprocess.run(command, check=True, timeout=60)
    assert not report.exists(), "a preview that broke has nothing to report, which is not the same as no finding"
    sarif.write_text(json.dumps({"version": "2.1.0", "runs": [{"results": results}]}))
    subprocess.run(command, check=True, timeout=60)
    found = json.loads(report.read_text())
    assert [(each["description"], each["severity"]) for each in found] == [("api", "critical"), ("worker", "minor")]
    assert found[0]["location"] == {"path": "Pulumi.prod.yaml", "lines": {"begin": 3}}
    assert len({each["fingerprint"] for each in found}) == 2
