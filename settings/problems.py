"""How a refused setting reads: the key as the user wrote it, what was given, what is allowed, the nearest key."""

import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from settings.model import CONFIG_KEY, Settings
from settings.scope import applies

SCHEMA: Mapping[str, Any] = Settings.model_json_schema()
"""The JSON Schema of the settings: what is allowed is read from it, for errors and for the reference alike."""

Path = tuple[str | int, ...]

_MOST_SUGGESTIONS = 3
_TYPES = {"integer": "a whole number", "number": "a number", "string": "text", "boolean": "true or false"}


class SettingsError(Exception):
    """The stack's settings cannot be used; `problems` has a sentence for each fault."""

    def __init__(self, problems: Sequence[str]) -> None:
        """Take all problems at once, each a sentence that begins with its key."""
        self.problems = tuple(problems)
        count = "1 setting is" if len(self.problems) == 1 else f"{len(self.problems)} settings are"
        super().__init__(f"{count} refused; nothing was changed.\n" + "\n".join(f"  {each}" for each in self.problems))


def key(path: Iterable[str | int]) -> str:
    """The path as the user writes it: `fleet.sandbox.languages[1]`."""
    return CONFIG_KEY + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)


def resolved(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema that a reference, or an optional one, stands for."""
    while "$ref" in schema or "anyOf" in schema:
        if "$ref" in schema:
            schema = SCHEMA["$defs"][schema["$ref"].rsplit("/", 1)[1]]
        else:
            schema = next(option for option in schema["anyOf"] if option.get("type") != "null")
    return schema


def schema_at(path: Path) -> Mapping[str, Any] | None:
    """The schema of the key at the path, or None where there is no such key."""
    schema = resolved(SCHEMA)
    for part in path:
        found = schema.get("items") if isinstance(part, int) else _child(schema, part)
        if found is None:
            return None
        schema = resolved(found)
    return schema


def named_entries(schema: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]] | None:
    """For a section whose keys are the user's own names: what such a name is called, and an entry's schema."""
    if "patternProperties" not in schema:
        return None
    (entry,) = schema["patternProperties"].values()
    return f"<{schema['x-name']}>", resolved(entry)


def _child(schema: Mapping[str, Any], part: str) -> Mapping[str, Any] | None:
    entries = named_entries(schema)
    return schema.get("properties", {}).get(part) if entries is None else entries[1]


def allowed(schema: Mapping[str, Any]) -> str:
    """What a key may have, in words."""
    if "enum" in schema:
        return _one_of(schema["enum"])
    if "const" in schema:
        return json.dumps(schema["const"])
    if "properties" in schema:
        return f"a section with the keys {', '.join(schema['properties'])}"
    if schema.get("type") == "array":
        return f"a list, each of {allowed(resolved(schema['items']))}, at most once"
    if "patternProperties" in schema:
        return f"a section for each {schema['x-name'].replace('_', ' ')} by its name"
    if "x-allowed" in schema:
        return schema["x-allowed"]
    if schema.get("format") == "ip":
        return "an IP address, such as 127.0.0.1"
    words = _TYPES[schema["type"]]
    if "minimum" not in schema:
        return words
    return f"{words} from {schema['minimum']} to {schema['maximum']}"


def unknown_key(path: Path, architecture: str, target: str) -> str:
    """The problem of a key that does not exist, with the nearest that does and means something in such a stack."""
    parent = path[:-1]
    section = schema_at(parent) or {}
    siblings = [name for name, child in section.get("properties", {}).items() if applies(child, architecture, target)]
    leaves = _all_leaves(architecture, target)
    name = str(path[-1])
    near = difflib.get_close_matches(name, siblings, n=1)
    elsewhere = difflib.get_close_matches(name, list(leaves), n=1)
    # The exact name in another section is nearer than a similar one in this.
    if elsewhere and (not near or elsewhere[0] == name):
        suggestion = f" Did you mean {' or '.join(leaves[elsewhere[0]][:_MOST_SUGGESTIONS])}?"
    elif near:
        suggestion = f" Did you mean {key((*parent, near[0]))}?"
    else:
        suggestion = ""
    return f"{key(path)}: there is no such setting.{suggestion} Allowed in {key(parent)}: {', '.join(siblings)}."


def missing_key(path: Path) -> str:
    """The problem of a key that has no default and was not given."""
    return f"{key(path)}: not given, and it has no default; allowed: {_allowed_at(path)}."


def wrong_name(path: Path, *, secret: bool) -> str:
    """The problem of a name that the user has chosen, of a team for example."""
    parent = schema_at(path[:-1]) or {}
    shown = _shown(path[-1], secret=secret)
    return f"{key(path)}: the name {shown} cannot be used; allowed: {parent['propertyNames']['x-allowed']}."


def misplaced_key(path: Path, why: str) -> str:
    """The problem of a key that means nothing in such a stack."""
    return f"{key(path)}: {why}."


def wrong_value(path: Path, given: Any, *, secret: bool) -> str:
    """The problem of a value that its key does not take. A secret value is never shown."""
    return f"{key(path)}: given {_shown(given, secret=secret)}; allowed: {_allowed_at(path)}."


def nearest(given: str, choices: Iterable[str]) -> str:
    """` Did you mean …?` for a misspelt value, or nothing."""
    near = difflib.get_close_matches(given, list(choices), n=1)
    return f" Did you mean {near[0]}?" if near else ""


def _allowed_at(path: Path) -> str:
    schema = schema_at(path)
    return "see docs/settings.md" if schema is None else allowed(schema)


def _shown(given: Any, *, secret: bool) -> str:
    if secret:
        return "a secret value"
    text = json.dumps(given, ensure_ascii=False, default=str)
    return text if len(text) <= 80 else text[:77] + "..."


def _one_of(choices: Sequence[Any]) -> str:
    words = [str(choice) for choice in choices]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _all_leaves(architecture: str, target: str) -> Mapping[str, list[str]]:
    found: dict[str, list[str]] = {}

    def walk(schema: Mapping[str, Any], path: Path) -> None:
        entries = named_entries(schema)
        if entries is not None:
            walk(entries[1], (*path, entries[0]))
        for name, child in schema.get("properties", {}).items():
            if applies(child, architecture, target):
                found.setdefault(name, []).append(key((*path, name)))
                walk(resolved(child), (*path, name))

    walk(resolved(SCHEMA), ())
    return found
