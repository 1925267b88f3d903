"""From a stack's configuration to `Settings`, or to every reason why not."""

import json
from collections.abc import Iterable, Mapping
from copy import deepcopy
from datetime import date
from typing import Any, cast

from pydantic import ValidationError

from settings.cluster_relations import name_violations
from settings.doorbell_relations import queue_name_violations
from settings.egress_relations import unencrypted_credentials
from settings.model import CONFIG_KEY, CONFIG_NAMESPACE, TARGETS, Settings
from settings.problems import (
    SCHEMA,
    Path,
    SettingsError,
    key,
    misplaced_key,
    missing_key,
    named_entries,
    nearest,
    resolved,
    schema_at,
    unknown_key,
    wrong_name,
    wrong_value,
)
from settings.relations import contradictions
from settings.scope import out_of_place
from settings.stack_name import LONGEST_STACK_NAME, stack_name_problems
from settings.violation import Violation


def from_config(text: str | None, *, secret: bool, stack: str, today: date) -> Settings:
    """The settings from the JSON text of the configuration object; `secret` says that its values must not be shown.

    `stack` is the stack's name, which the fleet's names begin with; versions out of support on `today` are refused.

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
    return from_mapping(cast(dict[str, Any], given), secret=secret, stack=stack, today=today)


def from_mapping(given: Mapping[str, Any], *, stack: str, today: date, secret: bool = False) -> Settings:
    """The settings from a mapping as the user wrote it. Raises SettingsError with every problem at once."""
    architecture, target = _architecture_and_target(given)
    in_place, misplaced = _in_place(given, architecture, target)
    if architecture in TARGETS:
        in_place.setdefault("target", target)
    if architecture == "queue" and isinstance(doorbell := in_place.setdefault("doorbell", {}), dict):
        cast(dict[str, Any], doorbell).setdefault("kind", "sqs")
    settings, problems, wrong = _validated(in_place, architecture, target, secret=secret)
    problems = list(misplaced.values()) + problems
    if settings is not None:
        found = [
            *contradictions(settings, today),
            *name_violations(fleet_name(stack), settings),
            *queue_name_violations(fleet_name(stack), settings),
        ]
        problems += _sentences(found, wrong, secret=secret)
        problems += [] if secret else unencrypted_credentials(settings)
        problems += stack_name_problems(stack, settings.architecture, settings.target)
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


def _architecture_and_target(given: Mapping[str, Any]) -> tuple[str, str]:
    """The architecture and the target that the stack has, the target's default included.

    Raises SettingsError for a target that the architecture cannot have: nothing else can be judged before that.
    """
    architecture = given.get("architecture")
    if not isinstance(architecture, str) or architecture not in TARGETS:
        # Refused as a value. Until it is right, nothing is out of place.
        return "", ""
    targets = TARGETS[architecture]
    target = given.get("target", targets[0])
    if target not in targets:
        if not isinstance(target, str) or target in {each for pair in TARGETS.values() for each in pair}:
            raise SettingsError(
                [f"{key(('target',))}: given {json.dumps(target)}; allowed for {architecture}: {', '.join(targets)}."]
            )
        return architecture, targets[0]
    return architecture, target


def _in_place(given: Mapping[str, Any], architecture: str, target: str) -> tuple[dict[str, Any], dict[Path, str]]:
    """What was given without what means nothing in such a stack, and a sentence for each of the latter."""
    problems: dict[Path, str] = {}

    def kept(values: Any, schema: Mapping[str, Any], path: Path) -> Any:
        if not isinstance(values, dict):
            return values
        remaining: dict[str, Any] = {}
        for name, value in cast(dict[str, Any], values).items():
            child = schema.get("properties", {}).get(name)
            entries = named_entries(schema)
            why = None if child is None else out_of_place(child, architecture, target)
            if why is not None:
                problems[(*path, name)] = misplaced_key((*path, name), why)
            elif entries is not None:
                remaining[name] = kept(value, entries[1], (*path, name))
            else:
                remaining[name] = value if child is None else kept(value, resolved(child), (*path, name))
        return remaining

    if not architecture:
        return deepcopy(dict(given)), {}
    return kept(deepcopy(dict(given)), resolved(SCHEMA), ()), problems


def _validated(
    given: Mapping[str, Any], architecture: str, target: str, *, secret: bool
) -> tuple[Settings | None, list[str], set[Path]]:
    """The settings with every refused key left out, the problems, and the paths of the refused keys."""
    try:
        return Settings.model_validate(given), [], set()
    except ValidationError as error:
        problems: dict[Path, str] = {}
        remaining = deepcopy(dict(given))
        for fault in error.errors(include_url=False, include_context=False):
            path = _path(fault["loc"])
            if fault["loc"][-1] == "[key]":
                problems.setdefault(path, wrong_name(path, secret=secret))
            elif fault["type"] == "extra_forbidden":
                problems.setdefault(path, unknown_key(path, architecture, target))
            else:
                problems.setdefault(path, _sentence(fault["type"], path, fault["input"], secret=secret))
            _leave_out(remaining, path, parent_too=fault["type"] == "missing")
    # Only for the checks between keys: a required key that was refused must have some value.
    remaining.setdefault("architecture", "vm")
    try:
        settings = Settings.model_validate(remaining)
    except ValidationError:
        settings = None
    return settings, list(problems.values()), set(problems)


def _sentences(found: Iterable[Violation], wrong: set[Path], *, secret: bool) -> list[str]:
    refused = [".".join(str(part) for part in path) for path in wrong]
    problems: dict[str, str] = {}
    for each in found:
        if any(_overlaps(name, other) for name in (each.path, *each.reads) for other in refused):
            continue
        sentence = each.sentence
        if secret:
            others = " and ".join(f"{CONFIG_KEY}.{name}" for name in each.reads) or "what is allowed"
            sentence = f"does not agree with {others}"
        problems.setdefault(each.path, f"{CONFIG_KEY}.{each.path}: {sentence}.")
    return list(problems.values())


def _overlaps(first: str, second: str) -> bool:
    return first == second or first.startswith(f"{second}.") or second.startswith(f"{first}.")


def _path(location: tuple[int | str, ...]) -> Path:
    invented = ("function-", "[key]")
    return tuple(part for part in location if not (isinstance(part, str) and part.startswith(invented)))


def _sentence(kind: str, path: Path, given: Any, *, secret: bool) -> str:
    if kind == "missing":
        return missing_key(path)
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
