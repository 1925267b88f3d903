"""TOML as fly.toml needs it. Python reads TOML and does not write it."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, cast


def toml_text(document: Mapping[str, Any]) -> str:
    """The document: values before tables, tables in their order; lists of tables as such."""
    return "\n".join(_table(document, ())) + "\n"


def _table(table: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[str]:
    for key, value in table.items():
        if not _is_table(value) and not _is_tables(value):
            yield f"{_key(key)} = {_value(value)}"
    for key, value in table.items():
        inner = (*path, key)
        name = ".".join(_key(each) for each in inner)
        if _is_table(value):
            yield f"\n[{name}]"
            yield from _table(cast("Mapping[str, Any]", value), inner)
        elif _is_tables(value):
            for each in cast("list[Mapping[str, Any]]", value):
                yield f"\n[[{name}]]"
                yield from _table(each, inner)


def _is_table(value: object) -> bool:
    return isinstance(value, Mapping)


def _is_tables(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(_is_table(each) for each in cast("list[Any]", value))


def _key(key: str) -> str:
    return key if key.replace("_", "").replace("-", "").isalnum() else json.dumps(key)


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return f"[{', '.join(_value(each) for each in cast('list[Any]', value))}]"
    # A JSON string is a basic string of TOML, once the delete character is escaped too.
    return json.dumps(value).replace("\x7f", "\\u007f")
