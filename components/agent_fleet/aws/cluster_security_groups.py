"""Who may speak to whom around a cluster: explicit groups for control plane, nodes and nodes of untrusted work.

https://docs.aws.amazon.com/eks/latest/userguide/sec-group-reqs.html says what EKS needs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import pulumi
import pulumi_aws as aws

_HTTPS = 443
_KUBELET = 10250
_METRICS_SERVER = 10251
_DNS = 53
_WEBHOOKS = (8443, 9443, 15017)
"""Admission webhooks of Karpenter and KEDA, of AWS's controllers, and of Istio."""


class _Rule(NamedTuple):
    description: str
    protocol: str
    port: int | None


@dataclass(frozen=True)
class ClusterSecurityGroups:
    """The groups, and the rules that must be there while nodes are."""

    control_plane: aws.ec2.SecurityGroup
    nodes: aws.ec2.SecurityGroup
    untrusted_nodes: aws.ec2.SecurityGroup
    rules: Sequence[pulumi.Resource]


class SecurityGroups:
    """Declares the groups of one cluster."""

    def __init__(
        self,
        name: str,
        vpc_id: pulumi.Input[str],
        own_tags: Mapping[str, pulumi.Input[str]],
        options: pulumi.ResourceOptions,
    ) -> None:
        """`own_tags` go on every group and rule."""
        self._name, self._vpc_id, self._tags, self._options = name, vpc_id, own_tags, options
        self._rules: list[pulumi.Resource] = []

    def declare(
        self,
        *,
        endpoint_security_group_id: pulumi.Input[str],
        s3_prefix_list_id: pulumi.Input[str],
        api_client_cidrs: Sequence[str],
    ) -> ClusterSecurityGroups:
        """Declare groups and rules."""
        control_plane = self._group("control-plane", "API server of the cluster")
        nodes = self._group("nodes", "Nodes of the fleet's own programs")
        untrusted = self._group("untrusted-nodes", "Nodes of untrusted work")
        api = _Rule("HTTPS to the API server", "tcp", _HTTPS)
        for source, group in (("nodes", nodes), ("untrusted", untrusted)):
            self._ingress(control_plane, f"control-plane-from-{source}", api, group)
        for number, cidr in enumerate(api_client_cidrs):
            self._rules.append(
                aws.vpc.SecurityGroupIngressRule(
                    f"{self._name}-control-plane-from-client-{number}",
                    security_group_id=control_plane.id,
                    description="HTTPS to the API server from clients outside the cluster",
                    ip_protocol="tcp",
                    from_port=_HTTPS,
                    to_port=_HTTPS,
                    cidr_ipv4=cidr,
                    tags=self._tags,
                    opts=self._options,
                )
            )
        kubelet = _Rule("kubelet", "tcp", _KUBELET)
        self._ingress(nodes, "nodes-kubelet", kubelet, control_plane)
        self._ingress(nodes, "nodes-metrics", _Rule("metrics API", "tcp", _METRICS_SERVER), control_plane)
        for port in _WEBHOOKS:
            rule = _Rule("admission webhooks", "tcp", port)
            self._ingress(nodes, f"nodes-webhook-{port}", rule, control_plane)
        # Pods share their node's group: between pods, NetworkPolicies decide.
        self._ingress(nodes, "nodes-self", _Rule("pods of other nodes", "-1", None), nodes)
        self._world(nodes)
        self._ingress(untrusted, "untrusted-kubelet", kubelet, control_plane)
        self._ingress(untrusted, "untrusted-metrics", _Rule("metrics-server to kubelet", "tcp", _KUBELET), nodes)
        for protocol in ("tcp", "udp"):
            dns = _Rule("DNS of the cluster", protocol, _DNS)
            self._ingress(nodes, f"nodes-dns-{protocol}", dns, untrusted)
            self._egress(untrusted, f"untrusted-dns-{protocol}", dns, target_group=nodes.id)
        self._egress(untrusted, "untrusted-api", api, target_group=control_plane.id)
        self._egress(untrusted, "untrusted-endpoints", api, target_group=endpoint_security_group_id)
        self._egress(untrusted, "untrusted-s3", api, prefix_list=s3_prefix_list_id)
        return ClusterSecurityGroups(control_plane, nodes, untrusted, tuple(self._rules))

    def _group(self, purpose: str, description: str) -> aws.ec2.SecurityGroup:
        # Renaming a group replaces it, and with it what is attached to it: all nodes.
        return aws.ec2.SecurityGroup(
            f"{self._name}-{purpose}",
            description=description,
            vpc_id=self._vpc_id,
            # By the second tag AWS's load balancer controller finds the group of a node.
            tags={
                **self._tags,
                "Name": f"{self._name}-{purpose}",
                **({} if purpose == "control-plane" else {f"kubernetes.io/cluster/{self._name}": "owned"}),
            },
            opts=self._options,
        )

    def _ingress(self, group: aws.ec2.SecurityGroup, name: str, rule: _Rule, source: aws.ec2.SecurityGroup) -> None:
        self._rules.append(
            aws.vpc.SecurityGroupIngressRule(
                f"{self._name}-{name}",
                security_group_id=group.id,
                description=rule.description,
                ip_protocol=rule.protocol,
                from_port=rule.port,
                to_port=rule.port,
                referenced_security_group_id=source.id,
                tags=self._tags,
                opts=self._options,
            )
        )

    def _egress(
        self,
        group: aws.ec2.SecurityGroup,
        name: str,
        rule: _Rule,
        *,
        target_group: pulumi.Input[str] | None = None,
        prefix_list: pulumi.Input[str] | None = None,
    ) -> None:
        self._rules.append(
            aws.vpc.SecurityGroupEgressRule(
                f"{self._name}-{name}",
                security_group_id=group.id,
                description=rule.description,
                ip_protocol=rule.protocol,
                from_port=rule.port,
                to_port=rule.port,
                referenced_security_group_id=target_group,
                prefix_list_id=prefix_list,
                tags=self._tags,
                opts=self._options,
            )
        )

    def _world(self, group: aws.ec2.SecurityGroup) -> None:
        # The fleet's own programs reach model APIs and git hosts where the network has a NAT; without one this leads
        # nowhere outside the VPC.
        self._rules.append(
            aws.vpc.SecurityGroupEgressRule(
                f"{self._name}-nodes-out",
                security_group_id=group.id,
                description="Whatever the network lets out",
                ip_protocol="-1",
                cidr_ipv4="0.0.0.0/0",
                tags=self._tags,
                opts=self._options,
            )
        )
