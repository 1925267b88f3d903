"""Dockerfiles and the pipeline's workflows, judged by checkers that nobody here wrote."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engine.errors import UserFacingError
from engine.file_lock import held
from engine.go_build import GoBuild, Product
from engine.go_toolchain import ensure_go
from engine.paths import Paths, cache_directory
from engine.report import Report
from engine.scanning.findings import Finding

ACTIONLINT = "1.7.12"
_MODULE = Path(__file__).parent / "actionlint"
_PACKAGE = "github.com/rhysd/actionlint/cmd/actionlint"
_PROGRAMS = Path(sys.executable).parent
_SECONDS = 120


def configuration(root: Path, report: Report) -> Iterator[Finding]:
    """What hadolint says of the Dockerfiles, and actionlint and zizmor of the workflows."""
    dockerfiles = sorted(root.glob("images/*/Dockerfile"))
    yield from _hadolint(root, dockerfiles)
    # Those of `ci` are for users to copy, who then run them with an account's credentials.
    folders = (root / ".github" / "workflows", root / "ci" / "github")
    workflows = sorted(each for folder in folders for each in folder.glob("*.y*ml"))
    if workflows:
        yield from _actionlint(root, workflows, report)
        yield from _zizmor(root, workflows)


def _judged(command: list[str], root: Path, allowed: tuple[int, ...]) -> Any:
    ended = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=_SECONDS, check=False)
    try:
        if ended.returncode not in allowed:
            raise ValueError(f"exit code {ended.returncode}")
        return json.loads(ended.stdout or "[]") or []
    except ValueError as error:
        last = (ended.stderr.strip().splitlines() or [str(error)])[-1]
        raise UserFacingError(f"{Path(command[0]).name} could not judge: {last}", "Correct what it names.") from None


def _hadolint(root: Path, files: list[Path]) -> Iterator[Finding]:
    command = [str(_PROGRAMS / "hadolint"), "--format", "json", "--config", "images/hadolint.yaml"]
    for each in _judged([*command, *(str(file.relative_to(root)) for file in files)], root, (0, 1)):
        yield Finding(each["code"], each["file"], f"line {each['line']}", each["message"])


def _actionlint(root: Path, files: list[Path], report: Report) -> Iterator[Finding]:
    command = [
        str(actionlint(report)),
        "-format",
        "{{json .}}",
        f"-shellcheck={_PROGRAMS / 'shellcheck'}",
        "-pyflakes=",
    ]
    for each in _judged([*command, *(str(file.relative_to(root)) for file in files)], root, (0, 1)):
        yield Finding(f"actionlint-{each['kind']}", each["filepath"], f"line {each['line']}", each["message"])


def _zizmor(root: Path, files: list[Path]) -> Iterator[Finding]:
    command = [str(_PROGRAMS / "zizmor"), "--offline", "--no-exit-codes", "--no-progress", "--format", "json"]
    for each in _judged([*command, *(str(file.relative_to(root)) for file in files)], root, (0,)):
        place = each["locations"][0]["concrete"]["location"]["start_point"]["row"] + 1
        file = each["locations"][0]["symbolic"]["key"]["Local"]["verbatim_path"]
        yield Finding(f"zizmor-{each['ident']}", file, f"line {place}", each["desc"])


def actionlint(report: Report) -> Path:
    """The program, built once from its Go module: no package registry carries it."""
    program = cache_directory() / "judges" / f"actionlint-{ACTIONLINT}"
    program.parent.mkdir(parents=True, exist_ok=True)
    with held(program.with_suffix(".lock")):
        if not program.is_file():
            report("Building actionlint from its Go module (about 10 s).")
            go = ensure_go(cache_directory(), _PROGRAMS / "uv", report)
            build = GoBuild(go, _MODULE, Product("actionlint", 512 * 1024**2), report, Paths().logs / "actionlint.log")
            build.begin()
            part = program.with_suffix(f".{os.getpid()}")
            build.compile(part, [_PACKAGE], {})
            part.replace(program)
    return program
