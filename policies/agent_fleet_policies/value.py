"""A property of a resource as a rule reads it: known, missing or unknown, and where it stands."""

import json
from collections.abc import Callable, Iterator
from typing import Any, Final, cast

from agent_fleet_policies.truth import NO, Truth, decided, undecided


class _Mark:
    def __init__(self, name: str) -> None:
        """`name` is how it is shown."""
        self._name = name

    def __repr__(self) -> str:
        """Its name."""
        return self._name


UNKNOWN: Final = _Mark("unknown")
"""What only a deployment can know."""
MISSING: Final = _Mark("missing")
"""What nobody has set."""
BROKEN: Final = _Mark("unreadable")
"""Text that should be a document and is none."""
_SHOWN = 60
_ON = ("true", "t", "1", "1.0")


class Secret:
    """A secret's value: judged as any other, never shown."""

    __slots__ = ("inner",)

    def __init__(self, inner: Any) -> None:
        """`inner` is plain data."""
        self.inner = inner


class Value:
    """A property and its path. Reading what is unknown or missing raises nothing, however deep."""

    __slots__ = ("_raw", "_secret", "path")

    def __init__(self, raw: Any, path: str = "", *, secret: bool = False) -> None:
        """`raw` is plain data in which UNKNOWN and Secret may stand anywhere."""
        while isinstance(raw, Secret):
            raw, secret = raw.inner, True
        self._raw = MISSING if raw is None else raw
        self._secret = secret
        self.path = path

    def __getitem__(self, path: str) -> "Value":
        """The property at a dotted path below this one."""
        found = self
        for name in path.split("."):
            found = found.key(name)
        return found

    def key(self, name: str) -> "Value":
        """The property of that name, which may have dots in it."""
        path = f"{self.path}.{name}" if self.path else name
        if self._raw is UNKNOWN:
            return Value(UNKNOWN, self.path)
        if isinstance(self._raw, dict):
            found = cast(dict[str, Any], self._raw).get(name, MISSING)
            return Value(found, path, secret=self._secret)
        if isinstance(self._raw, list):
            # One block that a provider keeps as a list of one.
            inner = cast(list[Any], self._raw)
            return Value(inner[0], f"{self.path}[0]", secret=self._secret).key(name) if inner else Value(MISSING, path)
        return Value(MISSING, path)

    def items(self) -> list["Value"]:
        """The elements of a list; a single value counts as one; an unknown list as one unknown element."""
        if self._raw is MISSING:
            return []
        if isinstance(self._raw, list):
            elements = cast(list[Any], self._raw)
            return [Value(each, f"{self.path}[{i}]", secret=self._secret) for i, each in enumerate(elements)]
        return [self]

    def entries(self) -> Iterator[tuple[str, "Value"]]:
        """The entries of a map. An unknown map has one entry, named `*`, which is unknown."""
        if self._raw is UNKNOWN:
            yield "*", self
        if isinstance(self._raw, dict):
            for name in cast(dict[str, Any], self._raw):
                yield name, self.key(name)

    def document(self) -> "Value":
        """What JSON text holds. What is no object, or has a name twice (AWS may take the other), is `broken`."""
        if not isinstance(self._raw, str):
            return self
        try:
            found = json.loads(self._raw, object_pairs_hook=_once)
        except ValueError:
            return Value(BROKEN, self.path)
        return Value(found if isinstance(found, dict) else BROKEN, self.path, secret=self._secret)

    @property
    def unknown(self) -> bool:
        """Whether only a deployment can know it."""
        return self._raw is UNKNOWN

    @property
    def missing(self) -> bool:
        """Whether nobody has set it."""
        return self._raw is MISSING

    @property
    def secret(self) -> bool:
        """Whether it is a secret's value, or one is among its parts."""
        return self._secret or _holds_secret(self._raw)

    @property
    def broken(self) -> bool:
        """Whether it is text that should have been a document."""
        return self._raw is BROKEN

    @property
    def text(self) -> str | None:
        """The text, if it is known text."""
        return self._raw if isinstance(self._raw, str) else None

    @property
    def number(self) -> float | None:
        """The number, if it is a known number or the text of one."""
        if isinstance(self._raw, bool) or not isinstance(self._raw, (int, float, str)):
            return None
        try:
            return float(self._raw)
        except ValueError:
            return None

    def fits(self, predicate: Callable[[Any], bool], *, missing: bool = False) -> Truth:
        """Whether the known value satisfies the predicate; `missing` is the answer where there is none."""
        if self._raw is UNKNOWN:
            return undecided(self.path)
        if self._raw is MISSING or self._raw is BROKEN:
            return decided(missing and self._raw is MISSING)
        return decided(predicate(self._raw))

    def one_of(self, *allowed: Any, missing: bool = False) -> Truth:
        """Whether it is one of these."""
        return self.fits(lambda value: value in allowed, missing=missing)

    def on(self, *, default: bool = False) -> Truth:
        """Whether a switch is on: true, or a text that providers read as that (Go's strconv.ParseBool)."""
        return self.fits(lambda value: value is True or str(value).lower() in _ON, missing=default)

    def given(self) -> Truth:
        """Whether something is set that is not empty."""
        return self.fits(lambda value: value not in ("", [], {}))

    def includes(self, wanted: str) -> Truth:
        """Whether a list of texts has this one."""
        found = NO
        for each in self.items():
            found |= each.one_of(wanted)
        return found

    def shown(self) -> str:
        """The value for a message: never a secret, never long."""
        if self._secret:
            return "a secret"
        if isinstance(self._raw, _Mark):
            return "not set" if self._raw is MISSING else repr(self._raw)
        if isinstance(self._raw, (dict, list)):
            return "a list" if isinstance(self._raw, list) else "a block"
        text = json.dumps(self._raw)
        return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found


def _holds_secret(raw: Any) -> bool:
    if isinstance(raw, dict):
        return any(_holds_secret(each) for each in cast(dict[str, Any], raw).values())
    if isinstance(raw, list):
        return any(_holds_secret(each) for each in cast(list[Any], raw))
    return isinstance(raw, Secret)
