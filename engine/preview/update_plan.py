"""Update plans: what a preview saved, and an update is held to. The engine marks them experimental.

The engine's file has everything that is needed to refuse one that does not belong to an update: the stack's name in
every URN, the configuration, and the engine's version. Secrets in it are encrypted as in the state.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import yaml

from engine.errors import UserFacingError
from engine.paths import PROJECT
from engine.pulumi_cli import PulumiCli
from engine.targets.existing_cluster import builds_images

_MOST_NAMED = 5
_AGAIN = "Make a new one: make preview STACK={stack} PLAN=1 REPORT=folder."


def refuse_builds(settings: Mapping[str, Any]) -> None:
    """Refuse plans of stacks that build their images; raises UserFacingError.

    A preview does not know what an image will be, and so plans to replace whatever runs it. Where the image turns out
    to be the same, the engine ends the update, all of it done, with an error about operations that it did not see.
    """
    if builds_images(settings):
        raise UserFacingError(
            "PLAN asks for an update plan, and this stack builds its images, which only the update knows.",
            "Name the images by digest (fleet.images.digests, docs/releases.md), or go on without PLAN.",
        )


def check(path: Path, stack: str, settings: Path) -> None:
    """Refuse a plan that was not made for this stack with these settings; raises UserFacingError."""
    plan = _read(path)
    again = _AGAIN.format(stack=stack)
    stacks = sorted({urn.split("::")[0].rpartition(":")[2] for urn in plan["resourcePlans"]})
    if stacks != [stack]:
        raise UserFacingError(
            f"PLAN is {str(path)!r}, a plan of the stack {', '.join(stacks) or 'of nothing'}, and this is {stack}.",
            again,
        )
    differing = list(dict.fromkeys(_differing(_whole(plan.get("config")), *_readings(settings), "")))
    if differing:
        names = ", ".join(differing[:_MOST_NAMED]) + (" and more" if len(differing) > _MOST_NAMED else "")
        raise UserFacingError(
            f"PLAN is {str(path)!r}, made with other settings than {settings.name} has now: {names}.", again
        )


def check_engine(path: Path, cli: PulumiCli) -> None:
    """Refuse a plan that another version of the engine made: each reads it in its own way. Raises UserFacingError."""
    made = str(_read(path)["manifest"].get("version") or "an unknown version")
    here = cli.version()
    if made != here:
        raise UserFacingError(
            f"PLAN is {str(path)!r}, made by the engine {made}, and this is {here}.", _AGAIN.format(stack=cli.stack)
        )


def arguments(path: Path | None, *, refresh: bool, protected: bool = False) -> list[str]:
    """What `pulumi up` gets. Raises UserFacingError where a plan cannot hold, as the state is not what it was made for.

    With a plan the engine tries it first: without that, an update that the plan refuses would have done a part already.
    So it does where something is `protected`: that is refused when its own turn to be deleted has come, and hosts
    and secrets that go with it would be gone by then.
    """
    if path is None:
        return ["--yes", *([] if protected else ["--skip-preview"]), *(["--refresh"] if refresh else [])]
    if refresh:
        raise UserFacingError(
            "The state has to be put right before anything else, and so it is not what the plan was made for.",
            "Run `make up` without PLAN, or `pulumi refresh` in `make shell`, then make a new plan.",
        )
    return ["--yes", "--plan", str(path.absolute())]


def _read(path: Path) -> dict[str, Any]:
    try:
        plan: Any = json.loads(path.read_text(encoding="utf-8"))
        # Only for their types: everything else of a plan is the engine's to judge.
        whole = isinstance(plan["manifest"], dict) and isinstance(plan["resourcePlans"], dict)
    except OSError as error:
        raise UserFacingError(
            f"PLAN is {str(path)!r}, which cannot be read: {error.strerror or error}.",
            "Name the plan.json that `make preview PLAN=1 REPORT=folder` wrote.",
        ) from error
    except (ValueError, KeyError, TypeError):
        plan, whole = {}, False
    if not whole:
        raise UserFacingError(
            f"PLAN is {str(path)!r}, which is no update plan.",
            "Name the plan.json that `make preview PLAN=1 REPORT=folder` wrote.",
        )
    return cast("dict[str, Any]", plan)


def _readings(settings: Path) -> tuple[Any, Any]:
    """The configuration as texts only, and with the types of YAML 1.1.

    The engine reads YAML 1.2: for it `yes` is a text, and for PyYAML a truth value.
    """
    text = settings.read_text()
    plain = yaml.load(text, yaml.BaseLoader)  # noqa: S506 - it makes nothing but texts, lists and dictionaries
    return _whole(_config(plain)), _whole(_config(yaml.safe_load(text)))


def _config(document: Any) -> Any:
    return cast("dict[str, Any]", document).get("config") if isinstance(document, dict) else None


def _whole(config: Any) -> dict[str, Any]:
    """The configuration by whole names; those without a namespace are the project's."""
    given = cast("dict[str, Any]", config) if isinstance(config, dict) else {}
    return {(name if ":" in name else f"{PROJECT}:{name}"): value for name, value in given.items()}


def _differing(planned: Any, plain: Any, typed: Any, path: str) -> Iterator[str]:
    """The paths of what differs. Encrypted values are the same only where nobody has set them again."""
    if isinstance(planned, dict) and isinstance(plain, dict) and isinstance(typed, dict):
        before, now, meant = (cast("dict[str, Any]", each) for each in (planned, plain, typed))
        # Keys are compared as they are written: YAML 1.1 makes a truth value of `on`.
        meant = dict(zip(now, meant.values(), strict=False))
        for name in sorted({*before, *now}):
            inner = f"{path}.{name}" if path else name
            yield from _differing(before.get(name, ...), now.get(name, ...), meant.get(name, ...), inner)
    elif (
        isinstance(planned, list) and isinstance(plain, list) and isinstance(typed, list) and len(planned) == len(plain)
    ):
        for index, each in enumerate(zip(planned, plain, typed, strict=False)):
            yield from _differing(*each, f"{path}[{index}]")
    elif _text(planned) not in (_text(plain), _text(typed)):
        yield path.removesuffix(".secure")


def _text(value: Any) -> str:
    """One scalar as it may be written; the engine keeps numbers as texts at times."""
    if isinstance(value, str):
        return value
    return "nothing" if value is ... else json.dumps(value, sort_keys=True, default=str)
