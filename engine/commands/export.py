"""`make export PLATFORM=fly|modal`: writes what runs the fleet on a managed platform; asks nobody, starts nothing."""

import json
import re
import shutil
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

from engine import configuration
from engine.commands.session import Session
from engine.errors import UserFacingError
from engine.report import say

_REGION = "ams"
_MARK = ".made-by-agent-fleet"
"""In every folder that this command wrote, so that it takes away nobody else's."""


def export(session: Session, settings_file: Path | None, platform: str, out: Path | None, region: str) -> None:
    """Write the files for `platform` into `out`, by default `.fleet/export/<stack>-<platform>`."""
    # The components and their SDK take a second to load, which no other command should pay.
    from engine.export.fitness import PLATFORMS, Platform, refuse_misfits
    from engine.export.fly_files import fly_files, sandbox_image
    from engine.export.modal_files import modal_files
    from engine.export.workloads import exported
    from settings.load import fleet_name, from_config

    if platform not in PLATFORMS:
        raise UserFacingError(
            f"PLATFORM is {platform!r}; it is one of {', '.join(PLATFORMS)}.",
            "For example: make export PLATFORM=fly",
        )
    if not re.fullmatch(r"[a-z]{3}", region or _REGION):
        raise UserFacingError(
            f"REGION is {region!r}; Fly's regions have three letters, such as {_REGION}.", "`fly platform regions`"
        )
    source = configuration.source(session.paths, session.stack, settings_file)
    configuration.check(session.paths, session.stack, source)
    given = json.dumps(configuration.fleet_settings(source), default=str)
    settings = from_config(given, secret=False, stack=session.stack, today=datetime.now(UTC).date())
    digests = refuse_misfits(settings, cast("Platform", platform), source.name)
    fleet = fleet_name(session.stack)
    if platform == "fly":
        roles = exported(fleet, settings, runtime=digests.runtime, sandbox=sandbox_image(fleet, digests))
        files = fly_files(roles, digests, region or _REGION)
    else:
        files = modal_files(exported(fleet, settings, runtime=digests.runtime, sandbox=digests.sandbox))
    files["make_key.py"] = (Path(__file__).parent.parent / "export" / "make_key.py").read_text(encoding="utf-8")
    folder = out or session.paths.fleet / "export" / f"{session.stack}-{platform}"
    _write(folder, files)
    say(f"Wrote {len(files)} files for {platform} into {folder}. Nothing was deployed; {folder}/README.md goes on.")


def _write(folder: Path, files: Mapping[str, str]) -> None:
    """The whole folder anew, or nothing of it. Raises UserFacingError for a folder that is somebody's."""
    if folder.exists() and not (folder.is_dir() and ((folder / _MARK).is_file() or not any(folder.iterdir()))):
        raise UserFacingError(
            f"{folder} is there already, and was not written by this command; nothing was changed.",
            "Name another with OUT=folder, or remove it.",
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        for name, text in {**files, _MARK: ""}.items():
            path = part / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        part.chmod(0o755)
        if folder.exists():
            shutil.rmtree(folder)
        part.replace(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
