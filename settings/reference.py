"""Writes the settings reference and the JSON Schema from the models: `python -m settings.reference --write`."""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from settings.model import CONFIG_KEY, CONFIG_NAMESPACE
from settings.problems import SCHEMA, allowed, named_entries, resolved
from settings.scope import in_words

DOCUMENTS = Path(__file__).resolve().parent.parent / "docs"

_INTRODUCTION = f"""# Settings

<!-- Made from the models in settings/model.py by `python -m settings.reference --write`; do not edit. -->

A stack's file (`Pulumi.<stack>.yaml`) has one object, `{CONFIG_NAMESPACE}:{CONFIG_KEY}`, and this page has all that
it may hold. A missing key has the default shown here. Everything is checked before anything is changed, and all faults
are shown at once. Edit the file, or set a single value:
`pulumi config set --path '{CONFIG_NAMESPACE}:{CONFIG_KEY}.api.port' 8081`.
An editor that knows [settings.schema.json](settings.schema.json) completes the keys.
"""


def schema_document() -> str:
    """The JSON Schema of a whole stack file."""
    document = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Stack file of agent-fleet",
        "type": "object",
        "properties": {
            "config": {
                "type": "object",
                "properties": {
                    f"{CONFIG_NAMESPACE}:{CONFIG_KEY}": {
                        name: value for name, value in SCHEMA.items() if name != "$defs"
                    }
                },
            }
        },
        "$defs": SCHEMA["$defs"],
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def reference_document() -> str:
    """The settings reference for users."""
    return "\n".join([_INTRODUCTION, *_section(CONFIG_KEY, resolved(SCHEMA))])


def documents() -> Mapping[Path, str]:
    """Each generated file with what it should hold."""
    return {
        DOCUMENTS / "settings.md": reference_document(),
        DOCUMENTS / "settings.schema.json": schema_document(),
    }


def stale() -> list[Path]:
    """The generated files that do not hold what they should."""
    return [
        path for path, text in documents().items() if not path.is_file() or path.read_text(encoding="utf-8") != text
    ]


def _section(path: str, schema: Mapping[str, Any], child: Mapping[str, Any] | None = None) -> Iterator[str]:
    child = child or {}
    entries = named_entries(schema)
    if entries is not None:
        yield from _section(f"{path}.{entries[0]}", entries[1], child)
        return
    required = schema.get("required", [])
    keys = {name: (child, resolved(child)) for name, child in schema["properties"].items()}
    plain = {name: pair for name, pair in keys.items() if not _holds_keys(pair[1])}
    yield f"## `{path}`\n"
    yield f"{_joined(in_words(child), _text(child), _text(schema))}\n"
    if plain:
        yield "| key | default | allowed | meaning |"
        yield "| --- | --- | --- | --- |"
        for name, (inner, target) in plain.items():
            default = "required" if name in required else f"`{json.dumps(target.get('default', inner.get('default')))}`"
            meaning = _joined(in_words(inner), _text(inner) or _text(target))
            yield f"| `{name}` | {default} | {allowed(target)} | {meaning} |"
        yield ""
    for name, (inner, target) in keys.items():
        if _holds_keys(target):
            # Said once, at the section that it holds for.
            yield from _section(f"{path}.{name}", target, inner)


def _holds_keys(schema: Mapping[str, Any]) -> bool:
    return "properties" in schema or "patternProperties" in schema


def _joined(*sentences: str) -> str:
    return " ".join(each for each in sentences if each)


def _text(schema: Mapping[str, Any]) -> str:
    return " ".join(str(schema.get("description", "")).split())


def main() -> int:
    """Write the documents, or check that they are fresh: exit code 1 where they are not."""
    parser = argparse.ArgumentParser(description="The settings reference, made from the models.")
    mode = parser.add_mutually_exclusive_group(required=True)
    mode.add_argument("--write", action="store_true", help="write docs/settings.md and docs/settings.schema.json")
    mode.add_argument("--check", action="store_true", help="fail if they are not what the models say")
    if parser.parse_args().write:
        for path, text in documents().items():
            path.write_text(text, encoding="utf-8")
        return 0
    old = [path.name for path in stale()]
    if old:
        sys.stderr.write(f"{', '.join(old)}: not what the models say; run python -m settings.reference --write\n")
    return 1 if old else 0


if __name__ == "__main__":
    sys.exit(main())
