"""`preview`, `check` and `drift` as CI calls them: their exit codes, their reports, and what they leave alone."""

import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.paths import CHECKOUT, Paths

STRICT = {"logs-retention": {"enforcementLevel": "mandatory", "minimum_days": 4_000}}
REPORT = ["preview.json", "preview.md", "preview.sarif"]


@pytest.fixture
def stack() -> Iterator[str]:
    """A name that no other command uses; nothing of it stays."""
    name = f"probe-{uuid.uuid4().hex[:8]}"
    yield name
    left = [each for each in Paths().fleet.glob(f"*{name}*") if each.is_file()]
    (Paths().logs / f"{name}-preview.log").unlink(missing_ok=True)
    assert left == []


def started(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    """A command without an account."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return subprocess.Popen(
        [sys.executable, "-m", "engine", *arguments],
        cwd=CHECKOUT,
        env=inherited | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def ended(*arguments: str, **environment: str) -> tuple[int, str]:
    """Its exit code and all that it said."""
    with started(*arguments, **environment) as process:
        text, _ = process.communicate(timeout=240)
    assert "Traceback" not in text
    return process.returncode, text


def files(folder: Path) -> list[str]:
    """What a report's folder has."""
    return sorted(path.name for path in folder.iterdir())


def test_what_would_change_is_two_where_it_is_asked_for(stack: str, tmp_path: Path) -> None:
    """Prevents a job that must know whether there is anything to deploy from reading the log for it."""
    code, text = ended(
        "preview", "--stack", stack, "--config=Pulumi.local.yaml", REPORT=str(tmp_path), DETAILED_EXIT_CODE="1"
    )
    assert code == 2, text
    assert files(tmp_path) == REPORT
    assert json.loads((tmp_path / "preview.json").read_text())["verdict"] == "changed"


def test_a_broken_rule_is_three_and_the_report_is_there(stack: str, tmp_path: Path) -> None:
    """Prevents a merge of it, and a red run without the comment that says why."""
    (tmp_path / "strict.json").write_text(json.dumps(STRICT))
    code, text = ended(
        "preview", "--stack", stack, "--config=Pulumi.dev.yaml",
        f"--policies={tmp_path / 'strict.json'}", f"--report={tmp_path / 'report'}",
    )  # fmt: skip
    assert code == 3, text
    assert files(tmp_path / "report") == REPORT
    assert f"{stack}: violated: 2 violations" in text.splitlines()[-1]
    document = json.loads((tmp_path / "report" / "preview.json").read_text())
    assert {each["rule"] for each in document["policies"]["violations"]} == {"logs-retention", "not-judged"}
    assert document["cost"]["usd_at_rest"] > 0
    assert document["policies"]["configuration"] == "strict.json"


def test_all_stacks_are_judged_though_one_is_broken(tmp_path: Path) -> None:
    """Prevents one bad file from hiding what is wrong in the others; and a check that touches a deployed stack."""
    kept = Paths().configuration("local")
    before = kept.read_bytes() if kept.exists() else None
    code, text = ended("check", "--stack", "nowhere", "--stack", "local", f"--report={tmp_path}")
    assert code == 1, text
    assert "\nlocal: changed: " in text
    assert "\nnowhere: broken: The stack 'nowhere' has no settings" in text
    assert (files(tmp_path / "local"), files(tmp_path / "nowhere")) == (REPORT, [])
    assert (kept.read_bytes() if kept.exists() else None) == before


def test_changes_do_not_count_where_only_rules_are_checked() -> None:
    """Prevents a check that fails for every stack that was never deployed."""
    code, text = ended("check", STACK="local")
    assert code == 0, text
    assert text.rstrip().splitlines()[-1].startswith("local: changed: ")


def test_an_interrupted_preview_is_broken_and_leaves_no_report(stack: str, tmp_path: Path) -> None:
    """Prevents half a report, or yesterday's, from passing for one; and a code that CI takes for "changed"."""
    (tmp_path / "preview.md").write_text("yesterday's")
    with started("preview", "--stack", stack, "--config=Pulumi.local.yaml", f"--report={tmp_path}") as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("Previewing the stack"):
                break
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
        code = process.wait(timeout=120)
    assert code == 1, rest
    assert "Interrupted: nothing was changed, and no report was written." in rest
    assert "Traceback" not in rest
    assert files(tmp_path) == []


@pytest.mark.parametrize(
    ("arguments", "environment", "wanted"),
    [
        (["preview", "--stcak=dev"], {}, "No such option"),
        (["preview", "--stack=nowhere"], {}, "has no settings"),
        (["preview", "--stack=dev", "--save-plan"], {}, "make preview PLAN=1 REPORT=folder"),
        (["preview", "--stack=local", "--save-plan"], {"REPORT": "{folder}"}, "this stack builds its images"),
        (["preview", "--stack=dev", "--save-plan"], {"REPORT": "{folder}"}, "was never deployed"),
        (["preview", "--stack=dev"], {"PLAN": "plan.json"}, "is not a valid boolean"),
        (["preview", "--stack=dev", "--policies=nowhere.json"], {}, "which cannot be read"),
        (["check", "--stack=No"], {}, "lower-case letters"),
        (["drift", "--stack=never-deployed"], {}, "was never deployed from here"),
    ],
)
def test_what_cannot_be_done_is_one_and_never_what_reads_as_changed(
    arguments: list[str], environment: dict[str, str], wanted: str, tmp_path: Path
) -> None:
    """Prevents a misspelt option, 2 in most programs, from reading as "there is something to deploy"."""
    environment = {name: value.format(folder=tmp_path) for name, value in environment.items()}
    code, text = ended(*arguments, *([] if arguments[0] == "check" else ["--detailed-exit-code"]), **environment)
    assert code == 1, text
    assert wanted in text
