"""Builds one image of the family by Docker's BuildKit, from a copy of its context that is the same on every machine.

A checkout's times and permission bits differ from machine to machine (another clock, another umask), and `COPY` takes
both into the image. The copy has neither: files are 0644 or 0755, and as old as 1980.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from engine.errors import UserFacingError
from engine.image_family.matrix import Image
from engine.image_family.request import Request
from engine.paths import CHECKOUT
from engine.report import Report
from engine.standins import build_command, build_context
from engine.standins.build_run import BuildRunner
from engine.standins.dockerignore import IgnoreRules
from engine.standins.engine_log import EngineLog, StatusLine
from engine.standins.standin import OperationError
from images.base.certificates import own_bundle

_STAMP = datetime(1980, 1, 1, tzinfo=UTC).timestamp()  # the earliest that archives of every kind can hold


@dataclass(frozen=True)
class Built:
    """A build that succeeded."""

    image_id: str
    started: datetime
    ended: datetime
    context_hash: str


@dataclass(frozen=True)
class Source:
    """Where the checkout stands."""

    commit: str
    """Empty outside of git."""
    changed: bool
    """Whether files differ from the commit."""


class _Progress(StatusLine):
    """A line of the build under the image's name, seldom enough to be read."""

    def __init__(self, name: str, report: Report) -> None:
        super().__init__(EngineLog(""), "", interval_seconds=5)
        self._log = _Lines(name, report)


class _Lines(EngineLog):
    def __init__(self, name: str, report: Report) -> None:
        super().__init__("")
        self._name = name
        self._report = report

    def status(self, message: str, urn: str) -> None:
        del urn
        self._report(f"  {self._name:<22} {message}")


def inputs(image: Image, request: Request, context: Path, file: Path) -> dict[str, Any]:
    """The build as `docker_build.Image` would be asked for it, without its secrets."""
    return {
        "context": {"location": str(context)},
        "dockerfile": {"location": str(file)},
        "target": image.target or None,
        "buildArgs": dict(image.build_args),
        "tags": [f"{image.repository}:{request.version}"],
        "exports": [{"docker": {}}],
        # Behind a proxy only the host's own network and name table reach the package registries.
        "network": "host",
        "noCache": request.no_cache,
    }


def context_hash(image: Image, request: Request, root: Path = CHECKOUT) -> str:
    """The hash of everything that goes into the build, the same on every machine with the same checkout."""
    return build_context.context_hash(inputs(image, request, root / image.context, root / image.file), root)


def check_sources(images: list[Image], root: Path = CHECKOUT) -> None:
    """Raise UserFacingError for a context, Dockerfile or stage that is not there."""
    for image in images:
        file = root / image.file
        if not (root / image.context).is_dir() or not file.is_file():
            raise UserFacingError(
                f"images.toml: {image.name} is built from {image.file} in {image.context}, and that is not there.",
                "Restore it from git, or correct the entry.",
            )
        stages = {
            words[3].lower()
            for line in file.read_text().splitlines()
            if len(words := line.split()) >= 4 and words[0].upper() == "FROM" and words[2].upper() == "AS"
        }
        if image.target and image.target not in stages:
            raise UserFacingError(
                f"images.toml: {image.name} has the target {image.target!r}, which {image.file} has no stage for.",
                f"Its stages are: {', '.join(sorted(stages)) or 'none with a name'}.",
            )


def stage(image: Image, folder: Path, root: Path = CHECKOUT) -> tuple[Path, Path]:
    """Copy the context and its Dockerfile into `folder`; return where both are."""
    context, file = folder / "context", folder / "Dockerfile"
    ignore = next(
        (
            path
            for path in (root / f"{image.file}.dockerignore", root / image.context / ".dockerignore")
            if path.exists()
        ),
        None,
    )
    context.mkdir(parents=True)
    for name, path in IgnoreRules(ignore.read_text() if ignore else "").files(root / image.context):
        target = context / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.is_symlink():
            target.symlink_to(path.readlink())
        elif path.is_file():
            shutil.copyfile(path, target)
            target.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)
    shutil.copyfile(root / image.file, file)
    for each in [*context.rglob("*"), context]:
        if each.is_dir() and not each.is_symlink():
            each.chmod(0o755)
        os.utime(each, (_STAMP, _STAMP), follow_symlinks=False)
    return context, file


def build(image: Image, request: Request, runner: BuildRunner, report: Report, root: Path = CHECKOUT) -> Built:
    """Build it into the Docker daemon under its name and version; raises UserFacingError with the failing step."""
    started = datetime.now(UTC)
    bundle = own_bundle()
    hashed = context_hash(image, request, root)
    with tempfile.TemporaryDirectory(prefix="image-") as folder:
        context, file = stage(image, Path(folder), root)
        wanted = inputs(image, request, context, file)
        if bundle is not None:
            wanted["secrets"] = {"ca": bundle.read_text()}
        id_file = Path(folder) / "id"
        try:
            command = build_command.build_command(wanted, root, build_command.find_builder(), id_file)
            runner.run(command, _Progress(image.name, report), set())
        except OperationError as error:
            raise UserFacingError(f"{image.name}: {error}", "Correct it, and run the command again.") from None
        if context_hash(image, request, root) != hashed:
            raise UserFacingError(
                f"{image.name}: files in {image.context} were changed while it was built.",
                "Run the command again: what is signed names the sources that it was made of.",
            )
        return Built(id_file.read_text().strip(), started, datetime.now(UTC), hashed)


def source(root: Path = CHECKOUT, run: Callable[..., Any] = subprocess.run) -> Source:
    """What git says of the checkout."""

    def git(*words: str) -> str:
        ended = run(["git", "-C", str(root), *words], capture_output=True, text=True, check=False, timeout=60)
        return str(ended.stdout).strip() if ended.returncode == 0 else ""

    try:
        commit = git("rev-parse", "HEAD")
        return Source(commit, bool(commit) and bool(git("status", "--porcelain", "--untracked-files=normal")))
    except (OSError, subprocess.TimeoutExpired):
        return Source("", changed=False)
