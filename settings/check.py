"""`python -m settings.check STACK FILE`: says what is wrong with a stack's settings before anything else is done.

The program checks the same again. This is for a misspelt key not to cost the minutes that a first run takes to make
the toolchain. Values that are encrypted are the program's alone to read.
"""

import json
import sys
from collections.abc import Hashable
from datetime import date
from pathlib import Path
from typing import Any

import yaml

from settings.load import from_config
from settings.model import CONFIG_KEY, CONFIG_NAMESPACE
from settings.problems import SettingsError

_KEY = f"{CONFIG_NAMESPACE}:{CONFIG_KEY}"


def main(arguments: list[str]) -> int:
    """Print every problem. Returns 0 if there is none, 1 if there are some, 2 if it was called wrongly."""
    if len(arguments) != 2:
        sys.stderr.write("usage: python -m settings.check STACK FILE\n")
        return 2
    try:
        check(*arguments)
    except SettingsError as error:
        sys.stdout.write(f"{error}\n")
        return 1
    return 0


def check(stack: str, file: str) -> None:
    """Read a stack's file as strictly as it can be read. Raises SettingsError."""
    try:
        document: Any = yaml.load(Path(file).read_text(), Loader=_NoDuplicates)  # noqa: S506 - a SafeLoader
        # Everything YAML can say that a setting cannot be: dates become text, a value inside itself is refused.
        text = json.dumps(document, default=str)
    except yaml.YAMLError as error:
        raise SettingsError([f"{file}: not valid YAML: {error}"]) from error
    except ValueError as error:
        raise SettingsError([f"{file}: a value contains itself (a YAML alias); write it out."]) from error
    document = json.loads(text)
    config = document.get("config") if isinstance(document, dict) else None
    if not isinstance(config, dict):
        config = {}
    misplaced = [key for key in config if key.startswith(f"{CONFIG_NAMESPACE}:") and key != _KEY]
    if misplaced:
        raise SettingsError([_misplaced(key) for key in misplaced])
    given = config.get(_KEY)
    if _encrypted(given):
        return
    text = None if given is None else json.dumps(given)
    from_config(text, secret=False, stack=stack, today=date.today())


class _NoDuplicates(yaml.SafeLoader):
    """YAML as Pulumi reads it, but for keys that stand twice: the last one would win in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Refuse a key that stands twice."""
        seen: set[Any] = set()
        for key, _ in node.value:
            if key.value in seen and isinstance(key.value, str) and key.value != "<<":
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} stands twice in one object", key.start_mark
                )
            seen.add(str(key.value))
        return super().construct_mapping(node, deep=deep)


def _misplaced(key: str) -> str:
    inner = key.removeprefix(f"{CONFIG_NAMESPACE}:")
    path = inner if inner.startswith(f"{CONFIG_KEY}.") else f"{CONFIG_KEY}.{inner}"
    return (
        f"{key}: nothing reads this key. All settings stand in the object {_KEY}; set one with "
        f"`pulumi config set --path '{CONFIG_NAMESPACE}:{path}' VALUE`, and remove this key with "
        f"`pulumi config rm '{key}'`."
    )


def _encrypted(value: Any) -> bool:
    if isinstance(value, dict):
        return "secure" in value or any(_encrypted(inner) for inner in value.values())
    return isinstance(value, list) and any(_encrypted(inner) for inner in value)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
