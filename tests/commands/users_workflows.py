"""The workflows that users copy, read as data, and their steps run as a runner does it."""

import os
import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

CHECKOUT = Path(__file__).parents[2]
GITHUB = CHECKOUT / "ci" / "github"
GITLAB = CHECKOUT / "ci" / "gitlab" / "fleet.gitlab-ci.yml"
WORKFLOWS = ("preview", "up", "drift")
_NO_ACCOUNT = {
    "AWS_CONFIG_FILE": os.devnull + "/none",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull + "/none",
}
"""Whatever account the developer of this machine has, no step of a test finds it."""


def workflow(name: str) -> dict[Any, Any]:
    """One of GitHub's. YAML 1.1 reads the key `on` as true."""
    return yaml.safe_load((GITHUB / f"{name}.yml").read_text())


def triggers(name: str) -> set[str]:
    """What starts it."""
    given = workflow(name)[True]
    return {given} if isinstance(given, str) else set(given)


def jobs() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every job of every workflow, as `workflow/job`."""
    for name in WORKFLOWS:
        for job, its in workflow(name)["jobs"].items():
            yield f"{name}/{job}", its


def step(name: str, job: str, called: str) -> dict[str, Any]:
    """A step with `run`, by its name."""
    return next(each for each in workflow(name)["jobs"][job]["steps"] if each.get("name") == called)


def run_step(
    its: Mapping[str, Any],
    folder: Path,
    environment: Mapping[str, str],
    expressions: Mapping[str, str],
    seconds: float = 240,
) -> subprocess.CompletedProcess[str]:
    """Run a step's script as a runner does: `bash -e`, its `env` with expressions replaced, files for outputs."""

    def replaced(value: str) -> str:
        return re.sub(r"\$\{\{ (.*?) \}\}", lambda found: expressions[found[1]], value)

    with tempfile.TemporaryDirectory() as temporary:
        script = Path(temporary, "step.sh")
        script.write_text(replaced(its["run"]))
        return subprocess.run(
            ["bash", "--noprofile", "--norc", "-e", str(script)],
            cwd=folder,
            env={
                "PATH": os.environ["PATH"],
                "HOME": os.environ["HOME"],
                **_NO_ACCOUNT,
                **environment,
                **{name: replaced(str(value)) for name, value in its.get("env", {}).items()},
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )


def _both(inherited: Any, own: Any) -> bool:
    return isinstance(inherited, dict) and isinstance(own, dict)


def gitlab_jobs() -> dict[str, dict[str, Any]]:
    """GitLab's jobs with what `extends` gives them, by name; hidden ones left out."""
    document: dict[str, Any] = yaml.safe_load(GITLAB.read_text())

    def whole(name: str) -> dict[str, Any]:
        its = document[name]
        inherited = whole(its["extends"]) if "extends" in its else {}
        merged = {key: {**inherited[key], **value} for key, value in its.items() if _both(inherited.get(key), value)}
        return inherited | its | merged

    return {
        name: whole(name) for name, its in document.items() if not name.startswith(".") and isinstance(its, dict)
        and "script" in whole(name)
    }  # fmt: skip
