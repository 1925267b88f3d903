"""What a team sets for the pack: options of rules, exceptions, and what may stay unjudged in a preview."""

import fnmatch
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, cast

from agent_fleet_policies.rule import Rule

_REASON_LENGTH = 10
_NO_RESOURCE = "urn:pulumi:\0::\0::\0::\0"
"""No exception that names anything covers it."""
_INDEX = re.compile(r"\[\d+\]")


class SettingsError(Exception):
    """The pack's configuration is wrong. The text names the rule, the field, what was given and what is allowed."""


@dataclass(frozen=True)
class Waiver:
    """An exception of a rule for named resources, until a day."""

    resource: str
    reason: str
    expires: date

    def covers(self, urn: str, name: str) -> bool:
        """Whether it is for this resource: by its URN or its name, with `*` for any part."""
        return fnmatch.fnmatchcase(urn, self.resource) or fnmatch.fnmatchcase(name, self.resource)


@dataclass(frozen=True)
class Unjudged:
    """What a preview is known not to know: a property of a type that a rule reads."""

    rule: str
    type: str
    path: str
    reason: str

    def covers(self, rule: str, resource_type: str, path: str) -> bool:
        """Whether it is this one, with `*` for any part."""
        return (
            fnmatch.fnmatchcase(rule, self.rule)
            and fnmatch.fnmatchcase(resource_type, self.type)
            and fnmatch.fnmatchcase(without_indices(path), self.path)
        )


@dataclass(frozen=True)
class RuleSettings:
    """One rule's settings, complete."""

    options: Mapping[str, Any]
    waivers: Sequence[Waiver]
    demands: Sequence[str]

    def demanded(self, path: str) -> bool:
        """Whether a property has to be known in a preview."""
        return any(fnmatch.fnmatchcase(without_indices(path), each) for each in self.demands)


def without_indices(path: str) -> str:
    """A path for any element of its lists: `a[0].b` is `a.*.b`."""
    return _INDEX.sub(".*", path).lstrip(".")


def rule_settings(rule: Rule, given: Mapping[str, Any]) -> RuleSettings:
    """A rule's settings from what was given for it. Raises SettingsError."""
    known = (*rule.options, "exceptions", "demands")
    for name in given:
        if name not in known:
            raise SettingsError(f"{rule.id}.{name}: there is no such setting; allowed are {', '.join(known)}")
    options = {
        name: _option(f"{rule.id}.{name}", given.get(name, option.default), option.default)
        for name, option in rule.options.items()
    }
    waivers = [
        _waiver(f"{rule.id}.exceptions[{i}]", each) for i, each in enumerate(_list(rule.id, given, "exceptions"))
    ]
    demands = [_text(f"{rule.id}.demands[{i}]", each) for i, each in enumerate(_list(rule.id, given, "demands"))]
    return RuleSettings(options, waivers, (*rule.demands, *demands))


def unjudged(given: Mapping[str, Any], rule: str) -> list[Unjudged]:
    """What may stay unjudged. Raises SettingsError."""
    for name in given:
        if name != "allowed":
            raise SettingsError(f"{rule}.{name}: there is no such setting; allowed is allowed")
    found: list[Unjudged] = []
    for i, each in enumerate(_list(rule, given, "allowed")):
        fields = _fields(f"{rule}.allowed[{i}]", each, ("rule", "type", "path", "reason"))
        for name in ("rule", "type", "path"):
            if not fields[name].strip("*?"):
                raise SettingsError(f"{rule}.allowed[{i}].{name}: given {fields[name]!r}; name one, not all of them")
        found.append(Unjudged(**fields))
    return found


def _option(field: str, value: Any, default: Any) -> Any:
    if isinstance(default, (int, float)):
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise SettingsError(f"{field}: given {value!r}; a number is wanted")
        return value
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise SettingsError(f"{field}: given {value!r}; a list of texts is wanted")
    return [_text(f"{field}[{i}]", each) for i, each in enumerate(cast(Sequence[Any], value))]


def _list(owner: str, given: Mapping[str, Any], name: str) -> Sequence[Any]:
    value = given.get(name, ())
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise SettingsError(f"{owner}.{name}: given {value!r}; a list is wanted")
    return cast(Sequence[Any], value)


def _text(field: str, value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise SettingsError(f"{field}: given {value!r}; a text is wanted")
    return value


def _fields(field: str, given: Any, names: Sequence[str]) -> dict[str, str]:
    values = cast(Mapping[str, Any], given) if isinstance(given, Mapping) else {}
    if set(values) != set(names):
        raise SettingsError(f"{field}: given {sorted(values)}; exactly {', '.join(names)} are wanted")
    found = {name: _text(f"{field}.{name}", values[name]) for name in names}
    if len(found["reason"]) < _REASON_LENGTH:
        raise SettingsError(f"{field}.reason: given {found['reason']!r}; a sentence is wanted")
    return found


def _waiver(field: str, given: Any) -> Waiver:
    fields = _fields(field, given, ("resource", "reason", "expires"))
    try:
        expires = date.fromisoformat(fields["expires"])
    except ValueError:
        raise SettingsError(f"{field}.expires: given {fields['expires']!r}; a day as 2027-01-31 is wanted") from None
    if any(fnmatch.fnmatchcase(each, fields["resource"]) for each in (_NO_RESOURCE, "")):
        raise SettingsError(f"{field}.resource: given {fields['resource']!r}; name a resource, not all of them")
    return Waiver(fields["resource"], fields["reason"], expires)
