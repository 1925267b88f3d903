"""Runs a preview under the policies and gathers what it finds."""

import json
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from engine import configuration
from engine.commands.session import Session
from engine.errors import UserFacingError
from engine.preview import apart
from engine.preview.collect import Collector
from engine.preview.result import MANDATORY, Result
from engine.preview.writing import location
from engine.pulumi_cli import PulumiCli
from engine.report import say
from engine.targets import choice

PACK = "policies"
CONFIGURATION = "policies/fleet.json"


@dataclass(frozen=True)
class Request:
    """A preview that is wanted. The settings have been found and checked."""

    session: Session
    source: Path
    """The settings file."""
    settings: Mapping[str, Any]
    policies: Path
    """What configures the pack."""


def request(session: Session, settings_file: Path | None, policies: Path | None) -> Request:
    """Everything that can be refused before the engine starts; raises UserFacingError."""
    source = configuration.source(session.paths, session.stack, settings_file)
    settings = configuration.fleet_settings(source)
    configuration.check(session.paths, session.stack, source)
    return Request(session, source, settings, configured(session, policies))


def preview(wanted: Request, *, thrown_away: bool = False, plan: Path | None = None) -> Result:
    """Preview, against the stack's state where it has one and not `thrown_away`; `plan` is where to save one.

    With the state thrown away everything would be new, so resources are not listed.
    Raises UserFacingError for everything but policies that are broken, which are in the result.
    """
    session = wanted.session
    if thrown_away or not session.deployed():
        with apart.apart(session) as inside:
            cli = choice.of_settings(inside, wanted.settings).engine("preview", inside.paths.state)
            apart.enter(cli, wanted.source)
            return _preview(wanted, inside, cli, deployed=False, listed=not thrown_away)
    with session.alone():
        cli = choice.of_settings(session, wanted.settings).engine("preview")
        configuration.copy(session.paths, session.stack, session.settings)
        return _preview(wanted, session, cli, deployed=True, plan=plan)


def _preview(
    wanted: Request,
    session: Session,
    cli: PulumiCli,
    *,
    deployed: bool,
    plan: Path | None = None,
    listed: bool = True,
) -> Result:
    say(f"Previewing the stack {session.stack}.")
    collector = Collector()
    arguments = ["--policy-pack", PACK, "--policy-pack-config", str(wanted.policies)]
    if plan is not None:
        arguments += ["--save-plan", str(plan)]
    with _explained(collector):
        session.operate(cli, "preview", *arguments, listener=collector.event, excused=collector.judged, listed=listed)
    return collector.result(
        session.stack,
        location(session.paths, session.stack, wanted.source),
        _named(session, wanted.policies),
        weakened(wanted.policies),
        datetime.now(UTC),
        deployed=deployed,
    )


@contextmanager
def _explained(collector: Collector) -> Generator[None]:
    """With the pack's own exception, where it ended with one."""
    try:
        yield
    except UserFacingError as error:
        if "policy pack" in error.message and (cause := collector.cause()) and cause not in error.message:
            raise UserFacingError(f"{error.message}\n{cause}", error.remedy) from error
        raise


def configured(session: Session, given: Path | None) -> Path:
    """The file that configures the pack, whole and JSON: the engine's own words for one that is not are no help."""
    path = (given or session.paths.root / CONFIGURATION).absolute()
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserFacingError(
            f"POLICIES is {str(path)!r}, which cannot be read: {error.strerror or error}.",
            f"Name the file that configures the policies: POLICIES=file; {CONFIGURATION} if not given.",
        ) from error
    except ValueError as error:
        raise UserFacingError(
            f"{path} is no valid JSON: {error}.", "docs/policies.md shows what it may say."
        ) from error
    if not isinstance(document, dict):
        raise UserFacingError(f"{path} has no rules by their names.", "docs/policies.md shows what it may say.")
    return path


def weakened(path: Path) -> dict[str, str]:
    """What a configuration does not leave mandatory: levels by rules, or by `all`."""
    given: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    levels = {
        name: str(each.get("enforcementLevel", MANDATORY)) if isinstance(each, dict) else str(each)
        for name, each in given.items()
    }
    return {name: level for name, level in levels.items() if level not in (MANDATORY, "remediate")}


def _named(session: Session, path: Path) -> str:
    """Short where it can be; never a path of this machine, as reports are for others to read."""
    try:
        return path.relative_to(session.paths.root).as_posix()
    except ValueError:
        return path.name
