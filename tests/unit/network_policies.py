"""Judges connections by the NetworkPolicies that a program declares, as a network that enforces them would."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from recording import Recording

NAMESPACE_NAME = "kubernetes.io/metadata.name"


@dataclass(frozen=True)
class Pod:
    """A pod, by what selectors ask of it."""

    namespace: str
    labels: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True)
class Network:
    """The policies of a cluster. A namespace without any is somebody else's, and open."""

    policies: tuple[Mapping[str, Any], ...]

    @classmethod
    def of(cls, recording: Recording) -> "Network":
        """The network of what was declared."""
        return cls(tuple(each.inputs for each in recording.resources if each.inputs.get("kind") == "NetworkPolicy"))

    def connects(self, source: Pod, target: Pod, port: int) -> bool:
        """Whether a TCP connection is let out on the one side and in on the other."""
        return self.lets_out(source, target, port) and self.lets_in(source, target, port)

    def lets_out(self, source: Pod, target: Pod, port: int) -> bool:
        """Whether the policies of the source's namespace allow it."""
        return self._allows("egress", "to", source, target, port)

    def lets_in(self, source: Pod, target: Pod, port: int) -> bool:
        """Whether the policies of the target's namespace allow it."""
        return self._allows("ingress", "from", target, source, port)

    def _allows(self, way: str, side: str, guarded: Pod, peer: Pod, port: int) -> bool:
        specs = [
            each["spec"]
            for each in self.policies
            if each["metadata"]["namespace"] == guarded.namespace
            and way.capitalize() in each["spec"]["policyTypes"]
            and selects(each["spec"]["podSelector"], guarded.labels)
        ]
        rules = [rule for spec in specs for rule in spec.get(way, [])]
        return not specs or any(
            _port_in(rule.get("ports"), port) and _peer_in(rule.get(side), peer, guarded.namespace) for rule in rules
        )


def selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether a label selector selects these labels. An empty one selects everything."""
    return all(labels.get(key) == value for key, value in (selector.get("matchLabels") or {}).items()) and all(
        _holds(each, labels) for each in selector.get("matchExpressions") or []
    )


def _holds(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    assert expression["operator"] == "In", "the project's policies use no other operator"
    return labels.get(expression["key"]) in expression["values"]


def _port_in(ports: Iterable[Mapping[str, Any]] | None, port: int) -> bool:
    return ports is None or any(each["port"] == port and each["protocol"] == "TCP" for each in ports)


def _peer_in(peers: Iterable[Mapping[str, Any]] | None, pod: Pod, own_namespace: str) -> bool:
    """Pods are matched by selectors only: what address one has is nothing that a policy may rely on."""
    if peers is None:
        return True
    for peer in peers:
        if "ipBlock" in peer:
            continue
        namespaces = peer.get("namespaceSelector")
        if namespaces is None:
            here = pod.namespace == own_namespace
        else:
            here = selects(namespaces, {NAMESPACE_NAME: pod.namespace})
        if here and selects(peer.get("podSelector") or {}, pod.labels):
            return True
    return False
