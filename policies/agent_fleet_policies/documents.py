"""IAM documents: JSON text, or the same as a map."""

import fnmatch
from collections.abc import Callable
from dataclasses import dataclass

from agent_fleet_policies.truth import NO, YES, Truth, decided, every, some, undecided
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
_ELEMENTS = frozenset(
    {"Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition"}
)
_WILD = frozenset("*?")


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

    def about_all(self) -> Truth:
        """Whether it is about any principal."""
        principal = self.value["Principal"]
        named = [each for _, inner in principal.entries() for each in inner.items()] or principal.items()
        return some(each.fits(wildcard) for each in named)

    def anybody(self) -> Truth:
        """Whether it is about any principal, without a condition that says whose request it may be."""
        wild = self.about_all() | self.value["NotPrincipal"].given()
        return wild & ~self.condition(lambda key: key in _NARROWING, names)

    def condition(self, about: Callable[[str], bool], holds: Callable[[Value], Truth]) -> Truth:
        """Whether it asks of a key (in lower case) that it has a value for which this holds.

        What asks that a value is *not* something, or nothing where the key is missing, asks nothing of most requests.
        """
        found = NO
        for operator, keys in self.value["Condition"].entries():
            if _asks_nothing(operator.lower()):
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
    """Whether a document that is there is one: AWS reads no other elements than these, and no rule does."""
    document = value.document()
    if document.unknown or document.missing:
        return YES
    found = document["Statement"]
    whole = [name for each in found.items() for name, _ in each.entries() if name != "*"]
    effects = [each["Effect"] for each in found.items() if not each.unknown]
    right = all(each.unknown or each.text in ("Allow", "Deny") for each in effects)
    return decided(not document.broken and not found.missing and _ELEMENTS.issuperset(whole) and right)


def wildcard(text: object) -> bool:
    """Whether a text is nothing but wildcards."""
    return bool(text) and _WILD.issuperset(str(text))


def everything(resource: object) -> bool:
    """Whether an ARN leaves open whose and which it is: wildcards, or nothing else after its service."""
    prefix, *fields = str(resource).split(":")
    return all(not each or wildcard(each) for each in (fields[2:] if prefix == "arn" else (prefix, *fields)))


def unbounded(resource: object) -> bool:
    """Whether a resource's ARN leaves out which one: everything, or wildcards for its name."""
    text = str(resource)
    last = text.rsplit(":", 1)[-1].rsplit("/", 1)[-1]
    return everything(text) or wildcard(last) or (text.count(":") < 5 and text.endswith("*"))


def names(wanted: Value) -> Truth:
    """Whether a condition's values name something, and not anything."""
    return wanted.given() & every(~each.fits(_anything) for each in wanted.items())


def _anything(value: object) -> bool:
    text = str(value)
    # A repository's owner is what a subject of GitHub's has to name.
    owner = text.split(":")[1] if text.startswith("repo:") else ""
    return everything(text) or (text.startswith("repo:") and wildcard(owner.partition("/")[0] or "*"))


def _asks_nothing(operator: str) -> bool:
    return operator.startswith(("null", "forallvalues:")) or "not" in operator or operator.endswith("ifexists")


def grants(action: Value, wanted: str) -> Truth:
    """Whether an action's pattern covers this action."""
    return action.fits(lambda pattern: fnmatch.fnmatchcase(wanted.lower(), str(pattern).lower()))


def denies_plain_transport(value: Value) -> Truth:
    """Whether a document denies everybody who does not come over TLS to mount the file system at all."""
    return some(
        each.denies
        & each.about_all()
        & some(grants(action, "elasticfilesystem:ClientMount") for action in each.actions)
        & each.condition(lambda key: key == "aws:securetransport", _off)
        for each in statements(value)
    )


def _off(wanted: Value) -> Truth:
    return wanted.given() & every(~each.on(default=True) for each in wanted.items())
