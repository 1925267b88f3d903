"""From a stack's configuration to `Settings`, or to every reason why not."""

import json
from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any, cast

from pydantic import ValidationError

from settings.model import CONFIG_KEY, CONFIG_NAMESPACE, DEPLOYABLE, TARGETS, Settings
from settings.problems import (
    Path,
    SettingsError,
    key,
    missing_key,
    nearest,
    schema_at,
    unknown_key,
    wrong_value,
)
from settings.relations import RELATIONS

LONGEST_STACK_NAME = 40
"""A container's name is also its name in the network, where 63 characters are the most: `agent-fleet-` before the
stack's name, `-worker-8` or `-database` after it."""


def from_config(text: str | None, *, secret: bool) -> Settings:
    """The settings from the JSON text of the configuration object; `secret` says that its values must not be shown.

    Raises SettingsError with every problem at once.
    """
    if text is None:
        raise SettingsError(
            [
                f"{CONFIG_KEY}: not given. The stack's file needs {CONFIG_NAMESPACE}:{CONFIG_KEY} with at least "
                "`architecture: vm`; Pulumi.local.yaml is an example."
            ]
        )
    try:
        given: Any = json.loads(text)
    except json.JSONDecodeError:
        given = text
    if not isinstance(given, dict):
        raise SettingsError([wrong_value((), given, secret=secret)])
    return from_mapping(cast(dict[str, Any], given), secret=secret)


def from_mapping(given: Mapping[str, Any], *, secret: bool = False) -> Settings:
    """The settings from a mapping as the user wrote it. Raises SettingsError with every problem at once."""
    _refuse_later_architectures(given)
    settings, problems, wrong = _validated(given, secret=secret)
    if settings is not None:
        problems += _broken_relations(settings, wrong, secret=secret)
    if problems or settings is None:
        raise SettingsError(problems)
    return settings


def fleet_name(stack: str) -> str:
    """The name that everything of the stack's fleet begins with. Raises SettingsError for a stack that has none."""
    if len(stack) > LONGEST_STACK_NAME:
        raise SettingsError(
            [
                f"stack name: given {stack!r} with {len(stack)} characters; allowed: up to {LONGEST_STACK_NAME}, "
                "because containers find each other by names with the stack's name in them."
            ]
        )
    return f"agent-fleet-{stack}"


def _refuse_later_architectures(given: Mapping[str, Any]) -> None:
    architecture = given.get("architecture")
    if not isinstance(architecture, str) or architecture not in TARGETS:
        return
    targets = TARGETS[architecture]
    target = given.get("target", targets[0])
    if target not in targets:
        if not isinstance(target, str) or target in {each for pair in TARGETS.values() for each in pair}:
            raise SettingsError(
                [f"{key(('target',))}: given {json.dumps(target)}; allowed for {architecture}: {', '.join(targets)}."]
            )
        return
    if (architecture, target) not in DEPLOYABLE:
        now = ", ".join(f"`architecture: {first}` with `target: {second}`" for first, second in DEPLOYABLE)
        raise SettingsError(
            [
                f"{key(('architecture',))}: `{architecture}` on `{target}` is understood but not deployable in this "
                f"version, and its other settings are not read yet. Deployable: {now}; the settings that this version "
                f"understands are {', '.join(Settings.model_fields)} (docs/settings.md). The stack `local` is ready "
                "to use."
            ]
        )


def _validated(given: Mapping[str, Any], *, secret: bool) -> tuple[Settings | None, list[str], set[Path]]:
    """The settings with every refused key left out, the problems, and the paths of the refused keys."""
    try:
        return Settings.model_validate(given), [], set()
    except ValidationError as error:
        problems: dict[Path, str] = {}
        remaining = deepcopy(dict(given))
        for fault in error.errors(include_url=False, include_context=False):
            path = _path(fault["loc"])
            problems.setdefault(path, _sentence(fault["type"], path, fault["input"], secret=secret))
            _leave_out(remaining, path, parent_too=fault["type"] == "missing")
    # Only for the checks between keys: a required key that was refused must have some value.
    remaining.setdefault("architecture", "vm")
    try:
        settings = Settings.model_validate(remaining)
    except ValidationError:
        settings = None
    return settings, list(problems.values()), set(problems)


def _broken_relations(settings: Settings, wrong: set[Path], *, secret: bool) -> list[str]:
    refused = {".".join(str(part) for part in path) for path in wrong}
    problems: list[str] = []
    for relation in RELATIONS:
        if any(_overlaps(name, other) for name in relation.keys for other in refused):
            continue
        sentence = relation.broken(settings)
        if sentence is None:
            continue
        if secret:
            sentence = f"does not agree with {' and '.join(f'{CONFIG_KEY}.{name}' for name in relation.keys[1:])}"
        problems.append(f"{CONFIG_KEY}.{relation.keys[0]}: {sentence}.")
    return problems


def _overlaps(first: str, second: str) -> bool:
    return first == second or first.startswith(f"{second}.") or second.startswith(f"{first}.")


def _path(location: tuple[int | str, ...]) -> Path:
    return tuple(part for part in location if not (isinstance(part, str) and part.startswith("function-")))


def _sentence(kind: str, path: Path, given: Any, *, secret: bool) -> str:
    renderers: Mapping[str, Callable[[], str]] = {
        "extra_forbidden": lambda: unknown_key(path),
        "missing": lambda: missing_key(path),
    }
    if kind in renderers:
        return renderers[kind]()
    sentence = wrong_value(path, given, secret=secret)
    if kind == "literal_error" and isinstance(given, str) and not secret:
        sentence += nearest(given, (schema_at(path) or {}).get("enum", []))
    return sentence


def _leave_out(remaining: dict[str, Any], path: Path, *, parent_too: bool) -> None:
    inner: Any = remaining
    target = path[:-1] if parent_too else path
    # A list is left out as a whole: without one entry its other entries would be renumbered.
    first_index = next((position for position, part in enumerate(target) if isinstance(part, int)), len(target))
    target = target[:first_index]
    if not target:
        return
    for part in target[:-1]:
        if not isinstance(inner, dict) or part not in inner:
            return
        inner = inner[part]
    if isinstance(inner, dict):
        inner.pop(target[-1], None)
