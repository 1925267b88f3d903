"""The workflows and pipelines that users copy: linters that nobody here wrote, and what no linter knows."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from users_workflows import CHECKOUT, GITHUB, GITLAB, WORKFLOWS, gitlab_jobs, jobs, triggers, workflow

from engine.scanning.configuration import configuration

_PROGRAMS = Path(sys.executable).parent
_PARTS = ("before_script", "script", "after_script")
_PINNED = re.compile(r"uses: (\S+)@([0-9a-f]{40}) # (v\S+)$")


def _schema(name: str, *given: Path | str) -> subprocess.CompletedProcess[str]:
    command = [_PROGRAMS / "check-jsonschema", "--builtin-schema", name, *given]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_github_workflows_fit_githubs_schema() -> None:
    """A key that GitHub does not know makes it refuse the whole file, on the user's side."""
    ended = _schema("vendor.github-workflows", *(GITHUB / f"{name}.yml" for name in WORKFLOWS))
    assert ended.returncode == 0, ended.stdout


def test_the_pipeline_fits_gitlabs_schema_and_a_misspelt_key_does_not(tmp_path: Path) -> None:
    """A linter that lets anything through lets through what GitLab refuses."""
    ended = _schema("vendor.gitlab-ci", "--data-transform", "gitlab-ci", GITLAB)
    assert ended.returncode == 0, ended.stdout
    wrong = tmp_path / GITLAB.name
    wrong.write_text(GITLAB.read_text().replace("resource_group:", "resource-group:"))
    assert _schema("vendor.gitlab-ci", "--data-transform", "gitlab-ci", wrong).returncode == 1


def test_the_scan_judges_what_users_copy_as_the_projects_own_workflows(tmp_path: Path) -> None:
    """What nobody scans here is scanned by nobody before it runs with somebody's account."""
    (tmp_path / "ci").mkdir()
    shutil.copytree(GITHUB, tmp_path / "ci" / "github")
    (tmp_path / "images").symlink_to(CHECKOUT / "images")
    assert list(configuration(tmp_path, lambda _: None)) == []
    copied = tmp_path / "ci" / "github" / "preview.yml"
    text = copied.read_text().replace("on: pull_request\n", "on: pull_request_target\n")
    copied.write_text(text.replace('run: ci/preview.sh "$STACK"', "run: ci/preview.sh ${{ github.head_ref }} [ $1"))
    found = {each.check for each in configuration(tmp_path, lambda _: None)}
    assert {"zizmor-dangerous-triggers", "zizmor-template-injection", "actionlint-expression"} <= found, found


def test_shellcheck_finds_nothing_in_the_pipelines_scripts(tmp_path: Path) -> None:
    """GitLab's schema reads YAML, not what its scripts do."""
    scripts = {"\n".join(its[part]) for its in gitlab_jobs().values() for part in _PARTS if part in its}
    for number, text in enumerate(sorted(scripts)):
        (tmp_path / f"{number}.sh").write_text(f"#!/bin/bash\n{text}\n")
    command = [_PROGRAMS / "shellcheck", *tmp_path.iterdir()]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stdout
    assert len(scripts) >= 7


def test_every_action_is_pinned_by_a_digest_and_each_action_by_one() -> None:
    """A tag can be moved to other code, which then has the account's role."""
    own = "".join(path.read_text() for path in (CHECKOUT / ".github" / "workflows").glob("*.yml"))
    pins: dict[str, set[str]] = {}
    for name in WORKFLOWS:
        used = [line for line in (GITHUB / f"{name}.yml").read_text().splitlines() if "uses:" in line]
        for line in used:
            found = _PINNED.search(line)
            assert found is not None, line
            pins.setdefault(found[1], set()).add(found[2])
            if f"uses: {found[1]}@" in own:
                assert f"{found[1]}@{found[2]} # {found[3]}" in own, "another version than the project's own workflows"
    assert {name: len(digests) for name, digests in pins.items()} == dict.fromkeys(pins, 1)


def test_no_workflow_gives_a_strangers_code_a_credential() -> None:
    """pull_request_target, or a token for a fork's change, hands the account to whoever opens a pull request."""
    assert triggers("preview") == {"pull_request"}
    assert {name: workflow(name)["permissions"] for name in WORKFLOWS} == {name: {} for name in WORKFLOWS}
    for name, its in jobs():
        rights = its["permissions"]
        assert "timeout-minutes" in its, name
        writes = {right for right, level in rights.items() if level == "write"}
        if "id-token" in writes:
            assert writes == {"id-token"}, f"{name} has an account and may write to the repository"
            assert its["environment"], name
        if not name.startswith("preview/") or its.get("needs") == "preview":
            continue  # not started by a pull request, or only after a job that forks do not get
        if writes or "environment" in its or "runner" in str(its["runs-on"]):
            assert its["if"] == "github.event.pull_request.head.repo.full_name == github.repository", name


def test_what_may_write_to_a_pull_request_never_runs_its_code() -> None:
    """Whoever may push a branch would write, with the job's token, whatever that token may."""
    for job in ("comment", "code-scanning"):
        steps = workflow("preview")["jobs"][job]["steps"]
        ran = [each["run"] for each in steps if "run" in each]
        if ran:
            assert steps[0]["with"]["ref"] == "${{ github.event.pull_request.base.sha }}"
        assert all(each.startswith("python3 ci/github/") for each in ran)


def test_an_update_is_approved_alone_and_never_cut_off() -> None:
    """Two updates of a stack break each other's state; one that is cancelled leaves half of it, and its lock."""
    found = workflow("up")["jobs"]
    assert "concurrency" not in workflow("up")
    for stack in ("staging", "prod"):
        its = found[stack]
        assert its["environment"] == stack
        assert its["concurrency"] == {"group": f"fleet-up-{stack}", "cancel-in-progress": False}
        assert its["needs"] == f"plan-{stack}"
        assert found[f"plan-{stack}"]["environment"] == f"{stack}-read"
    assert {"plan-staging", "staging"} == set(found["plan-prod"]["needs"])
    for stack, wanted in (("staging", "branches"), ("prod", "branches reviewers")):
        ran = [each.get("run") for each in found[f"plan-{stack}"]["steps"]]
        refusal = ran.index(f"python3 ci/github/protection.py {stack} {wanted}")
        assert refusal < ran.index(f"ci/preview.sh {stack} report")


def test_the_pipeline_keeps_to_the_same_rules_on_gitlab() -> None:
    """A rule that holds on one of the two only is one that nobody can rely on."""
    found = gitlab_jobs()
    own = "$CI_MERGE_REQUEST_SOURCE_PROJECT_ID == $CI_PROJECT_ID"
    for name, its in found.items():
        assert "timeout" in its, name
        conditions = [str(each["if"]) for each in its["rules"]]
        if "id_tokens" not in its:
            assert name in ("fleet check", "fleet gate")
            continue
        assert all("merge_request_event" not in each or own in each for each in conditions), name
        deploys = name.startswith("fleet up")
        assert its["environment"]["name"] == its["variables"]["STACK"] + ("" if deploys else "-read")
        if deploys:
            assert its["interruptible"] is False
            assert its["resource_group"] == f"fleet-{its['variables']['STACK']}"
            assert all("$CI_DEFAULT_BRANCH" in each for each in conditions)
    assert found["fleet up prod"]["rules"][0]["when"] == "manual"


def test_scripts_are_programs() -> None:
    """A workflow calls them by their path: without the bit the first run ends with `permission denied`."""
    assert all(os.access(path, os.X_OK) for path in (CHECKOUT / "ci").glob("*.sh"))
