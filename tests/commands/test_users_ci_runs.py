"""The workflows' own steps on the real engine, without an account: a preview, an update refused, a check in a clone."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from users_workflows import CHECKOUT, gitlab_jobs, run_step, step

# Its settings come from CONFIG, under a name that no other command uses.
STACK = "probe-ci"


def _expressions(stack: str) -> dict[str, str]:
    return {"matrix.stack": stack}


@pytest.fixture(scope="module")
def previewed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the preview step of a pull request left, as the runner sees it: `report`, `summary`, `output`."""
    folder = tmp_path_factory.mktemp("preview")
    its = step("preview", "preview", "Preview")
    its["run"] = its["run"].replace('"report/', f'"{folder}/report/')
    files = {"GITHUB_STEP_SUMMARY": str(folder / "summary"), "GITHUB_OUTPUT": str(folder / "output")}
    environment = {**files, "CONFIG": "Pulumi.dev.yaml"}
    ended = run_step(its, CHECKOUT, environment, _expressions(STACK))
    assert ended.returncode == 0, ended.stdout[-2000:] + ended.stderr[-2000:]
    return folder


def test_a_preview_leaves_its_report_its_summary_and_whether_anything_changes(previewed: Path) -> None:
    """The next jobs read exactly these: a name that does not fit shows as a comment without a report."""
    report = previewed / "report" / STACK
    assert {path.name for path in report.iterdir()} == {"preview.md", "preview.json", "preview.sarif"}
    assert (previewed / "summary").read_text() == (report / "preview.md").read_text()
    assert (previewed / "output").read_text() == "changed=true\n"
    findings = previewed / "code-quality.json"
    script = CHECKOUT / "ci" / "gitlab" / "code_quality.py"
    subprocess.run([sys.executable, script, report / "preview.sarif", findings], check=True, timeout=60)
    assert json.loads(findings.read_text()) == []


def test_an_update_of_the_approved_plan_goes_on_to_the_account_and_says_what_to_do_when_it_fails(
    previewed: Path,
) -> None:
    """A plan that never equals itself would stop every update; a failure in CI leaves a lock that nobody explains."""
    its = {"run": f"ci/up.sh {STACK} {previewed / 'report' / STACK}"}
    ended = run_step(its, CHECKOUT, {"CONFIG": "Pulumi.dev.yaml"}, {})
    assert ended.returncode == 1
    assert "There are no AWS credentials on this machine; nothing was changed." in ended.stderr
    assert f"make state-unlock STACK={STACK}" in ended.stderr


@pytest.mark.soak
def test_an_update_plan_beside_the_approved_report_is_handed_on(previewed: Path, tmp_path: Path) -> None:
    """Left where it is, it would hold nothing, and whoever set the variable would believe that it does."""
    approved = shutil.copytree(previewed / "report" / STACK, tmp_path / "approved")
    (approved / "plan.json").write_text("{}")
    ended = run_step({"run": f"ci/up.sh {STACK} {approved}"}, CHECKOUT, {"CONFIG": "Pulumi.dev.yaml"}, {})
    assert ended.returncode == 1
    assert "which is no update plan" in ended.stderr


def test_a_look_that_fails_is_neither_drift_nor_none(tmp_path: Path) -> None:
    """Taken for none it would close the issue; taken for drift, open one on a night when AWS did not answer."""
    its = step("drift", "drift", "Look")
    its["run"] = its["run"].replace('"report/', f'"{tmp_path}/report/')
    ended = run_step(its, CHECKOUT, {"CONFIG": "Pulumi.local.yaml"}, _expressions(STACK))
    assert ended.returncode == 1
    assert (tmp_path / "report" / STACK / "status").read_text() == "1\n"
    assert "was never deployed" in (tmp_path / "report" / STACK / "drift.txt").read_text()


def _compared(tmp_path: Path, approved: object, now: object) -> subprocess.CompletedProcess[str]:
    files = [tmp_path / "approved.json", tmp_path / "now.json"]
    for file, content in zip(files, (approved, now), strict=True):
        file.write_text(json.dumps(content))
    command = [sys.executable, CHECKOUT / "ci" / "same_changes.py", *files]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_an_update_of_another_plan_than_the_approved_one_is_refused(previewed: Path, tmp_path: Path) -> None:
    """What somebody approved is one plan; what another run or a hand made of it since is not theirs."""
    approved = json.loads((previewed / "report" / STACK / "preview.json").read_text())
    assert _compared(tmp_path, approved, approved | {"date": "2027-01-01T00:00:00Z", "cost": None}).returncode == 0
    resources = approved["changes"]["resources"]
    first, *others = resources
    for changed in (
        others,
        [*resources, first | {"urn": f"{first['urn']}-2", "action": "delete"}],
        [first | {"action": "replace"}, *others],
        [first | {"properties": ["policy"]}, *others],
    ):
        ended = _compared(tmp_path, approved, approved | {"changes": {**approved["changes"], "resources": changed}})
        assert ended.returncode == 1
        assert "not the approved one any more" in ended.stderr
        assert "urn:pulumi:" in ended.stdout
    assert _compared(tmp_path, approved, approved | {"stack": "prod"}).returncode == 1


def test_a_job_without_its_role_says_which_variable_is_missing(tmp_path: Path) -> None:
    """Without it the tools look for other credentials on the runner, and may find somebody else's."""
    its = gitlab_jobs()["fleet up prod"]
    variables = {
        "CI_ENVIRONMENT_NAME": "prod",
        "CI_PROJECT_DIR": str(tmp_path / "p"),
        "FLEET_ID_TOKEN": "t",
        "CI_JOB_ID": "1",
    }
    script = {"run": "\n".join([*its["before_script"], 'cat "$AWS_WEB_IDENTITY_TOKEN_FILE"', "env"])}
    ended = run_step(script, tmp_path, variables | {"FLEET_REGION": "eu-west-1"}, {})
    assert ended.returncode != 0
    assert "FLEET_ROLE is not a variable of the environment prod" in ended.stderr
    preview = gitlab_jobs()["fleet preview prod"]
    optional = {"run": "\n".join([*preview["before_script"], "env"])}
    ended = run_step(optional, tmp_path, variables | preview["variables"], {})
    assert ended.returncode == 0, ended.stderr
    assert "AWS_ROLE_ARN" not in ended.stdout
    role = "arn:aws:iam::123456789012:role/fleet-ci-deploy"
    ended = run_step(script, tmp_path, variables | {"FLEET_REGION": "eu-west-1", "FLEET_ROLE": role}, {})
    assert ended.returncode == 0, ended.stderr
    assert f"AWS_ROLE_ARN={role}" in ended.stdout
    assert (tmp_path / "p.token").stat().st_mode & 0o077 == 0
    run_step({"run": "\n".join(its["after_script"])}, tmp_path, variables, {})
    assert not (tmp_path / "p.token").exists()


@pytest.mark.parametrize(
    ("check", "preview", "passes"),
    [
        ("success", "success", True),
        ("success", "skipped", True),
        ("success", "failure", False),
        ("success", "cancelled", False),
        ("failure", "skipped", False),
    ],
)
def test_githubs_gate_passes_only_what_was_judged(tmp_path: Path, check: str, preview: str, passes: bool) -> None:
    """A required check that is skipped counts as passed: this one always runs, and takes no failure for a skip."""
    results = {"needs.check.result": check, "needs.preview.result": preview}
    assert (run_step(step("preview", "gate", "Nothing failed"), tmp_path, {}, results).returncode == 0) == passes


def test_gitlabs_gate_names_every_stack_that_is_violated(tmp_path: Path) -> None:
    """GitLab shows the report of a job that succeeded, so another one has to fail: this one, or nothing is stopped."""
    its = {"run": "\n".join(gitlab_jobs()["fleet gate"]["script"])}
    for statuses in ({"staging": 0, "prod": 0}, {"staging": 3, "prod": 0}, {"staging": 3, "prod": 3}):
        for stack, status in statuses.items():
            (tmp_path / "report" / stack).mkdir(parents=True, exist_ok=True)
            (tmp_path / "report" / stack / "status").write_text(f"{status}\n")
        ended = run_step(its, tmp_path, {}, {})
        violated = {stack for stack, status in statuses.items() if status}
        assert (ended.returncode == 0) == (not violated), ended.stderr
        assert {line.partition(":")[0] for line in ended.stderr.splitlines()} == violated


def _clone(folder: Path) -> Path:
    subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", CHECKOUT, folder], check=True, timeout=120)
    return folder


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_a_forks_change_is_judged_in_a_fresh_clone_without_an_account(tmp_path: Path) -> None:
    """What CI has is a clone and nothing else: a file that is not committed, or a tool that happens to be here."""
    clone = _clone(tmp_path / "clone")
    its = step("preview", "check", "Judge every stack")
    environment = {"GITHUB_STEP_SUMMARY": str(tmp_path / "summary")}
    ended = run_step(its, clone, environment, {}, seconds=900)
    assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-3000:]
    stacks = {path.name.split(".")[1] for path in CHECKOUT.glob("Pulumi.*.yaml")}
    assert {path.name for path in (clone / "report").iterdir()} == stacks
    assert (tmp_path / "summary").read_text().count("<!-- agent-fleet preview: ") == len(stacks)
    # One setting changed, as by a pull request: an image from a registry that is not listed.
    settings = clone / "Pulumi.prod.yaml"
    document = yaml.safe_load(settings.read_text())
    digests = document["config"]["agent-fleet:fleet"]["images"]["digests"]
    digests["runtime"] = digests["runtime"].replace("registry.example.com", "elsewhere.example.com")
    settings.write_text(yaml.safe_dump(document))
    ended = run_step(its, clone, environment | {"STACK": "prod"}, {}, seconds=900)
    assert ended.returncode == 3, ended.stdout[-3000:] + ended.stderr[-3000:]
    found = json.loads((clone / "report" / "prod" / "preview.json").read_text())["policies"]["violations"]
    assert {each["rule"] for each in found} == {"pod-image-digest"}
    # And as docs/ci.md has a team begin: everything is told, nothing is stopped.
    configuration = clone / "policies" / "fleet.json"
    configuration.write_text(json.dumps({"all": "advisory", **json.loads(configuration.read_text())}))
    ended = run_step(its, clone, environment | {"STACK": "prod"}, {}, seconds=900)
    assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-3000:]
    found = json.loads((clone / "report" / "prod" / "preview.json").read_text())["policies"]
    assert found["violations"] == []
    assert {each["rule"] for each in found["advice"]} == {"pod-image-digest"}
