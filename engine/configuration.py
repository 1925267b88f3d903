"""The stack's settings as the engine gets them: a copy, because the engine writes its salt beside them."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from engine.errors import UserFacingError
from engine.paths import PROJECT, Paths
from engine.report import private_file

KEY = "agent-fleet:fleet"
_CHECK_SECONDS = 60


def seal(path: Path) -> dict[str, str]:
    """What the engine wrote down of how the stack's secrets are encrypted: by a key elsewhere, or the passphrase."""
    try:
        document = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError):
        return {}
    given: dict[str, Any] = document if isinstance(document, dict) else {}
    for names in (("secretsprovider", "encryptedkey"), ("encryptionsalt",)):
        if all(given.get(name) for name in names):
            return {name: str(given[name]) for name in names}
    return {}


def source(paths: Paths, stack: str, given: Path | None = None) -> Path:
    """The file that the user edits: the one given, else Pulumi.<stack>.yaml."""
    path = given or paths.tracked_configuration(stack)
    if path.is_dir():
        raise UserFacingError(
            f"{path} is a folder, where a settings file is wanted.", "Name the file: CONFIG=folder/Pulumi.<stack>.yaml."
        )
    if not path.is_file():
        stacks = sorted(
            found.name.removeprefix("Pulumi.").removesuffix(".yaml") for found in paths.root.glob("Pulumi.*.yaml")
        )
        raise UserFacingError(
            f"The stack {stack!r} has no settings: {path} does not exist.",
            f"The stacks here are {', '.join(stacks)}. Choose one with STACK=..., or write that file.",
        )
    return path


def fleet_settings(path: Path) -> Mapping[str, Any]:
    """What stands under `agent-fleet:fleet`, unchecked; empty where there is nothing of use."""
    try:
        document = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise UserFacingError(
            f"{path.name} is not valid YAML: {error}", "Correct it and run the command again."
        ) from error
    config = document.get("config") if isinstance(document, dict) else None
    settings = config.get(KEY) if isinstance(config, dict) else None
    return settings if isinstance(settings, dict) else {}


def check(paths: Paths, stack: str, path: Path) -> None:
    """Refuse wrong settings, all faults at once, before anything is made. In a process: they are the program's code."""
    checked = subprocess.run(
        [sys.executable, "-m", "settings.check", stack, str(path.resolve())],
        cwd=paths.root,
        capture_output=True,
        text=True,
        timeout=_CHECK_SECONDS,
        check=False,
    )
    if checked.returncode == 1 and checked.stdout:
        raise UserFacingError(checked.stdout.rstrip(), f"Correct {path} and run the command again.")
    if checked.returncode:
        raise UserFacingError(
            f"The settings in {path} could not be checked: {checked.stderr.strip().rpartition(chr(10))[2]}",
            "This is a fault of agent-fleet, not of your settings.",
        )


def copy(paths: Paths, stack: str, given: Path | None = None) -> Path:
    """Write the copy that `--config-file` names, with the seal of the copy before, and the project file beside it.

    In that folder, `.fleet`, which then is a project of its own, all commands that do not run the program can be run.
    """
    tracked = source(paths, stack, given)
    target = paths.configuration(stack)
    text = tracked.read_text()
    if not seal(tracked):
        text = "\n".join([text.rstrip(), *(f"{name}: {value}" for name, value in seal(target).items())]) + "\n"
    private_file(target, text)
    project(paths)
    return target


def project(paths: Paths) -> None:
    """The project file beside the copies: the same name, nothing to run."""
    target = paths.project / "Pulumi.yaml"
    content = f"name: {PROJECT}\nruntime: python\n"
    if not target.exists() or target.read_text() != content:
        private_file(target, content)
