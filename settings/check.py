"""`python -m settings.check STACK FILE`: says what is wrong with a stack's settings before anything else is done.

The program checks the same again. This is for a misspelt key not to cost the minutes that a first run takes to make
the toolchain. Values that are encrypted are the program's alone to read.
"""

import json
import sys
from pathlib import Path
from typing import Any

import yaml

from settings.load import fleet_name, from_config
from settings.model import CONFIG_KEY, CONFIG_NAMESPACE
from settings.problems import SettingsError


def main(arguments: list[str]) -> int:
    """Print every problem. Returns 0 if there is none, 1 if there are some, 2 if it was called wrongly."""
    if len(arguments) != 2:
        sys.stderr.write("usage: python -m settings.check STACK FILE\n")
        return 2
    stack, file = arguments
    document: Any = yaml.safe_load(Path(file).read_text())
    config = document.get("config") if isinstance(document, dict) else None
    given = config.get(f"{CONFIG_NAMESPACE}:{CONFIG_KEY}") if isinstance(config, dict) else None
    if _encrypted(given):
        return 0
    try:
        fleet_name(stack)
        from_config(None if given is None else json.dumps(given, default=str), secret=False)
    except SettingsError as error:
        sys.stdout.write(f"{error}\n")
        return 1
    return 0


def _encrypted(value: Any) -> bool:
    if isinstance(value, dict):
        return "secure" in value or any(_encrypted(inner) for inner in value.values())
    return isinstance(value, list) and any(_encrypted(inner) for inner in value)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
