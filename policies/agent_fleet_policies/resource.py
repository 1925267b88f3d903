"""What rules look at: a resource, and a stack of them."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property

from agent_fleet_policies.truth import NO, YES, Truth, undecided
from agent_fleet_policies.value import Value

_KUBERNETES = re.compile(r"kubernetes:(?:(?P<group>[^/:]+)/)?(?P<version>[^:]+):(?P<kind>\w+)$")


@cache
def kind(token: str) -> str:
    """A type by what it is: Kubernetes kinds without their version, and patches of an object as the object."""
    found = _KUBERNETES.match(token)
    if found is None:
        return token
    group = found["group"] or found["version"]
    name = found["kind"]
    return f"kubernetes:{group}:{name.removesuffix('Patch') if name != 'Patch' else name}"


def labelled(labels: Value, pairs: Sequence[str]) -> Truth:
    """Whether labels have one of these, each as `name=value`."""
    found = NO
    for pair in pairs:
        name, _, value = pair.partition("=")
        found |= labels.key(name).one_of(value)
    return found


@dataclass(frozen=True)
class Resource:
    """One resource: its type, its names, and its inputs."""

    type: str
    urn: str
    name: str
    properties: Value
    ignored: tuple[str, ...] = ()
    """Inputs whose changes the program ignores (`ignoreChanges`)."""
    references: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])
    """URNs by the input that they went into; only known where a whole stack is looked at."""

    def __getitem__(self, path: str) -> Value:
        """An input, by its dotted path."""
        return self.properties[path]

    @property
    def namespace(self) -> Value:
        """Where a Kubernetes object is."""
        return self["metadata.namespace"]

    @cached_property
    def labels(self) -> Value:
        """The labels of a Kubernetes object."""
        return self["metadata.labels"]


class Stack:
    """All resources of a stack, by type."""

    def __init__(self, resources: Iterable[Resource]) -> None:
        """In the engine's order."""
        self.resources = list(resources)
        self._by_kind: dict[str, list[Resource]] = {}
        self._by_namespace: dict[str, dict[str | None, list[Resource]]] = {}
        self.by_urn: dict[str, Resource] = {}
        for each in self.resources:
            self._by_kind.setdefault(kind(each.type), []).append(each)
            self.by_urn[each.urn] = each

    def of(self, *tokens: str) -> list[Resource]:
        """Every resource of these types."""
        return [each for token in tokens for each in self._by_kind.get(kind(token), [])]

    def within(self, namespace: Value, *tokens: str) -> list[tuple[Resource, Truth]]:
        """Kubernetes objects of these types that are in this namespace, or may be as far as is known."""
        found: list[tuple[Resource, Truth]] = []
        for token in tokens:
            spaces = self._spaces(token)
            if namespace.unknown:
                found += [(each, undecided(namespace.path)) for space in spaces.values() for each in space]
                continue
            found += [(each, YES) for each in spaces.get(namespace.text or "", [])]
            found += [(each, undecided(each.namespace.path)) for each in spaces.get(None, [])]
        return found

    def _spaces(self, token: str) -> dict[str | None, list[Resource]]:
        """Objects by namespace; those of which it is unknown under None. A stack of hundreds of teams is looked up
        often."""
        if token not in self._by_namespace:
            spaces: dict[str | None, list[Resource]] = {}
            for each in self.of(token):
                name = each.namespace
                spaces.setdefault(None if name.unknown else name.text or "", []).append(each)
            self._by_namespace[token] = spaces
        return self._by_namespace[token]

    def refers(self, source: Resource, path: str, target: Resource, *attributes: str) -> Truth:
        """Whether an input of one resource names another, by what it came from or else by its value."""
        if target.urn in source.references.get(path.partition(".")[0], ()):
            return YES
        value = source[path]
        if value.unknown:
            # It came from other resources, and this is none of them; or nobody can say.
            return NO if source.references.get(path.partition(".")[0]) else undecided(path)
        found = NO
        for name in attributes:
            own = target[name]
            if value.text is None:
                continue
            found |= own.one_of(value.text) if not own.unknown else undecided(path)
        return found
