"""Judgements over values that may not be known yet: yes, no, or undecided because of named properties."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Truth:
    """Kleene's three values. What is undecided names the properties that would decide it.

    `state` is True, False or None. There is no conversion to bool: an `if` over something undecided would choose a side
    without anybody noticing.
    """

    state: bool | None
    causes: frozenset[str] = frozenset()

    def __and__(self, other: "Truth") -> "Truth":
        """Both; certainly not, as soon as one is certainly not."""
        if self.state is False or other.state is False:
            return NO
        return _joined(self, other, decided=YES)

    def __or__(self, other: "Truth") -> "Truth":
        """One of them; certainly, as soon as one certainly is."""
        if self.state is True or other.state is True:
            return YES
        return _joined(self, other, decided=NO)

    def __invert__(self) -> "Truth":
        """The contrary; what is undecided stays so."""
        return self if self.state is None else (NO if self.state else YES)

    def __bool__(self) -> bool:
        """Raises TypeError."""
        raise TypeError("what is undecided is neither true nor false: combine it with &, | and ~")

    @property
    def yes(self) -> bool:
        """Certainly so."""
        return self.state is True

    @property
    def no(self) -> bool:
        """Certainly not so."""
        return self.state is False


YES = Truth(True)
NO = Truth(False)


def undecided(*causes: str) -> Truth:
    """What the properties at these paths would decide."""
    return Truth(None, frozenset(causes))


def decided(value: bool) -> Truth:
    """A judgement over what is known."""
    return YES if value else NO


def every(truths: Iterable[Truth]) -> Truth:
    """All of them; so if there are none."""
    found = YES
    for each in truths:
        found &= each
    return found


def some(truths: Iterable[Truth]) -> Truth:
    """At least one of them; not so if there are none."""
    found = NO
    for each in truths:
        found |= each
    return found


def _joined(one: Truth, other: Truth, *, decided: Truth) -> Truth:
    if one.state is None or other.state is None:
        return Truth(None, one.causes | other.causes)
    return decided
