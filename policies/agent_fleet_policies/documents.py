"""IAM documents: JSON text, or the same as a map."""

import fnmatch
from collections.abc import Callable
from dataclasses import dataclass

from agent_fleet_policies.truth import NO, YES, Truth, decided, some, undecided
from agent_fleet_policies.value import Value

# Conditions that say whose request it is, so that a principal `*` is not everybody.
_NARROWING = (
    "aws:principalaccount",
    "aws:principalarn",
    "aws:principalorgid",
    "aws:principalorgpaths",
    "aws:sourceaccount",
    "aws:sourcearn",
    "aws:sourceorgid",
    "aws:sourcevpc",
    "aws:sourcevpce",
    "elasticfilesystem:accessedviamounttarget",
    "kms:calleraccount",
)
_EVERYTHING = "*"


@dataclass(frozen=True)
class Statement:
    """One statement of a document."""

    value: Value

    @property
    def allows(self) -> Truth:
        """Whether it allows something."""
        return self.value["Effect"].one_of("Allow")

    @property
    def denies(self) -> Truth:
        """Whether it denies something."""
        return self.value["Effect"].one_of("Deny")

    @property
    def actions(self) -> list[Value]:
        """What it allows or denies."""
        return self.value["Action"].items()

    @property
    def everywhere(self) -> Truth:
        """Whether it holds for any resource, or for all but some."""
        return some(each.fits(unbounded) for each in self.value["Resource"].items()) | self.value["NotResource"].given()

    def anybody(self) -> Truth:
        """Whether it is about any principal, without a condition that says whose request it may be."""
        principal = self.value["Principal"]
        named = [each for _, inner in principal.entries() for each in inner.items()] or principal.items()
        wild = some(each.one_of(_EVERYTHING) for each in named) | self.value["NotPrincipal"].given()
        return wild & ~self.condition(lambda key: key in _NARROWING, lambda _: YES)

    def condition(self, about: Callable[[str], bool], holds: Callable[[Value], Truth]) -> Truth:
        """Whether it has a condition about a key (in lower case) for which this holds."""
        found = NO
        for operator, keys in self.value["Condition"].entries():
            if operator.lower().startswith("null"):
                continue
            for key, wanted in keys.entries():
                if keys.unknown:
                    found |= undecided(wanted.path)
                elif about(key.lower()):
                    found |= holds(wanted)
        return found


def statements(value: Value) -> list[Statement]:
    """A document's statements. An unknown document has one, of which nothing is known."""
    document = value.document()
    return [Statement(each) for each in document["Statement"].items()]


def readable(value: Value) -> Truth:
    """Whether a document that is there can be read at all."""
    return decided(not value.document().broken)


def unbounded(resource: object) -> bool:
    """Whether a resource's ARN leaves out which one: `*`, or `*` for its name."""
    text = str(resource)
    return text == _EVERYTHING or (text.count(":") >= 5 and text.rsplit(":", 1)[1].rsplit("/", 1)[-1] == _EVERYTHING)


def grants(action: Value, wanted: str) -> Truth:
    """Whether an action's pattern covers this action."""
    return action.fits(lambda pattern: fnmatch.fnmatchcase(wanted.lower(), str(pattern).lower()))


def denies_plain_transport(value: Value) -> Truth:
    """Whether a document denies everybody who does not come over TLS."""
    return some(
        each.denies & each.condition(lambda key: key == "aws:securetransport", lambda wanted: ~wanted.on(default=True))
        for each in statements(value)
    )
