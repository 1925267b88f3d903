"""JSON by the part of Python's own that is written in C: the rest of it loads regular expressions and enumerations.

That would cost a job that waits for its sandbox more time than running it.
"""

import _json  # pyright: ignore[reportMissingImports] - private to Python's json
from typing import Any


class _Reading:
    """What json.JSONDecoder tells the scanner by default."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = float


def loads(text: str) -> Any:
    """Return the value that a text holds, with nothing around it; raises ValueError or RecursionError."""
    try:
        value, end = _json.make_scanner(_Reading)(text, 0)  # pyright: ignore[reportArgumentType]
    except StopIteration:
        end = -1
        value = None
    if end != len(text):
        raise ValueError("it is not JSON")
    return value


def dumps(value: dict[str, object]) -> str:
    """Return the text of a flat object of texts, numbers, truth values and nulls."""
    return "{" + ",".join(f"{_json.encode_basestring_ascii(key)}:{_plain(each)}" for key, each in value.items()) + "}"


def _plain(value: object) -> str:
    if isinstance(value, str):
        return _json.encode_basestring_ascii(value)
    return (
        {True: "true", False: "false", None: "null"}[value] if value is None or isinstance(value, bool) else repr(value)
    )
