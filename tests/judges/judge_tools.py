"""checkov, cloudsplaining and bandit: got once at pinned versions, then run offline."""

import os
import re
import subprocess
from functools import cache
from pathlib import Path

from engine.paths import Paths

PINS = Path(__file__).with_name("pins.txt")
RUN_SECONDS = 200


def version(package: str) -> str:
    """The version that is pinned."""
    found = re.search(rf"^{package}==(\S+)$", PINS.read_text(encoding="utf-8"), re.MULTILINE)
    assert found is not None, f"{PINS.name} has no {package}"
    return found[1]


@cache
def judges_python() -> tuple[str, ...]:
    """How a Python that has all of them is called. Their pins would hold back the project's own."""
    wanted = [f"--with={name}=={version(name)}" for name in ("bandit", "stevedore", "cloudsplaining")]
    command = [
        *(str(Paths().virtual_environment / "bin" / "uv"), "tool", "run", "--constraints", str(PINS)),
        *("--from", f"checkov=={version('checkov')}", *wanted),
    ]
    there = subprocess.run(
        [*command, "--offline", "python", "-c", ""], capture_output=True, check=False, timeout=RUN_SECONDS
    )
    if there.returncode:
        subprocess.run([*command, "python", "-c", ""], capture_output=True, check=True, timeout=RUN_SECONDS)
    return (*command, "--offline", "python")


def judged(*arguments: str, folder: Path) -> str:
    """What such a Python prints. Judges end with 1 when they have found something."""
    run = subprocess.run(
        [*judges_python(), *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=RUN_SECONDS,
        env={**os.environ, "LOG_LEVEL": "ERROR"},
    )
    assert run.stdout.strip(), f"{arguments[:2]}: {run.stderr[-2000:]}"
    return run.stdout


def checkov(folder: Path, *frameworks: str) -> str:
    """Its report on everything in a folder, in JSON: one, or a list of one for each framework."""
    found = ("--directory", str(folder), "--framework", *frameworks)
    return judged(
        "-m", "checkov.main", *found, "--compact", "--quiet", "--output=json", "--skip-download", folder=folder
    )
