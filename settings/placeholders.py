"""What a shipped example has in the place of what only its user can know: good for a preview, refused by an update."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

from settings.model import CONFIG_KEY, Settings
from settings.values import Section

_EXAMPLES = (
    (re.compile(r"(sha256:)?0{64}$"), "an image or a program by its content (64 zeros are nothing's)"),
    (re.compile(r"^arn:aws[a-z-]*:iam::(123456789012|111122223333|000000000000):"), "a role or user of your account"),
    (re.compile(r"^arn:aws[a-z-]*:acm:[a-z0-9-]+:(123456789012|111122223333|000000000000):"), "a certificate of yours"),
    (re.compile(r"(^|[./])example\.(com|org|net)($|[/:])|\.example($|[/:])"), "a name of yours"),
)
"""All-zero digests, the account numbers of AWS's documentation, and the domains that RFC 2606 keeps for examples."""


@dataclass(frozen=True)
class Placeholder:
    """A setting that still has its example's value."""

    key: str
    """As the user writes it: `fleet.exposure.host`."""
    problem: str
    """What to replace it by."""


def placeholders(settings: Settings) -> list[Placeholder]:
    """Every value that is still an example's, in the order of the settings."""
    return [found for path, value in _texts(settings, CONFIG_KEY) if (found := _placeholder(path, value)) is not None]


def _placeholder(path: str, value: str) -> Placeholder | None:
    kind = next((kind for pattern, kind in _EXAMPLES if pattern.search(value)), None)
    if kind is None:
        return None
    return Placeholder(path, f"{path}: given {value}, which is only an example; replace it by {kind}.")


def _texts(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Section):
        for name in type(value).model_fields:
            yield from _texts(getattr(value, name), f"{path}.{name}")
    elif isinstance(value, dict):
        for name, inner in cast(dict[str, Any], value).items():
            yield from _texts(inner, f"{path}.{name}")
    elif isinstance(value, tuple):
        for number, inner in enumerate(cast(tuple[Any, ...], value)):
            yield from _texts(inner, f"{path}[{number}]")
