"""The add-ons of a cluster: each with a role of its own by pod identity where it needs one, and no other."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from agent_fleet.aws.policy_documents import managed_policy, pod_identity_trust

SYSTEM_NAMESPACE = "kube-system"


@dataclass(frozen=True)
class Addon:
    """One add-on: its name in EKS, its settings, and the identity that it needs."""

    name: str
    configuration: Mapping[str, Any] | None = None
    service_account: str | None = None
    policy: str | None = None


BEFORE_NODES = (
    Addon("kube-proxy"),
    # On the host's network, so it starts without the CNI, which gets its credentials from it.
    Addon("eks-pod-identity-agent"),
)
CNI = Addon(
    "vpc-cni",
    # STRICT: a new pod is closed until a policy opens it. In the standard mode it is open until one closes it, which
    # would give untrusted code its first moments on the network. `AddonTraffic` opens what the add-ons need.
    configuration={"enableNetworkPolicy": "true", "env": {"NETWORK_POLICY_ENFORCING_MODE": "strict"}},
    service_account="aws-node",
    policy="AmazonEKS_CNI_Policy",
)
AFTER_NODES = (
    Addon("coredns"),
    Addon("metrics-server"),
    Addon("eks-node-monitoring-agent"),
    Addon(
        "aws-ebs-csi-driver", service_account="ebs-csi-controller-sa", policy="service-role/AmazonEBSCSIDriverPolicy"
    ),
    Addon(
        "aws-efs-csi-driver", service_account="efs-csi-controller-sa", policy="service-role/AmazonEFSCSIDriverPolicy"
    ),
)
"""What has Deployments, and so is not healthy until there are nodes."""
ALL_ADDONS = (*BEFORE_NODES, CNI, *AFTER_NODES)


def check_overrides(versions: Mapping[str, str]) -> None:
    """Raises ValueError for an add-on that the cluster does not have."""
    known = sorted(each.name for each in ALL_ADDONS)
    for name in versions:
        if name not in known:
            raise ValueError(f"addon_versions: {name!r} was given; the cluster's add-ons are {', '.join(known)}.")


def declare_addon(
    name: str,
    addon: Addon,
    *,
    version: str,
    cluster: aws.eks.Cluster,
    own_tags: Mapping[str, pulumi.Input[str]],
    parent: pulumi.Resource,
    depends_on: Sequence[pulumi.Resource],
) -> aws.eks.Addon:
    """Declare one add-on and, if it calls AWS, its role."""
    own_name = f"{name}-{addon.name}"
    waits = list(depends_on)
    associations: list[aws.eks.AddonPodIdentityAssociationArgs] | None = None
    if addon.service_account is not None and addon.policy is not None:
        options = pulumi.ResourceOptions(parent=parent)
        role = aws.iam.Role(
            own_name,
            assume_role_policy=pod_identity_trust(cluster.arn, SYSTEM_NAMESPACE, addon.service_account),
            tags=own_tags,
            opts=options,
        )
        waits.append(
            aws.iam.RolePolicyAttachment(
                own_name, role=role.name, policy_arn=managed_policy(cluster.arn, addon.policy), opts=options
            )
        )
        associations = [
            aws.eks.AddonPodIdentityAssociationArgs(role_arn=role.arn, service_account=addon.service_account)
        ]
    return aws.eks.Addon(
        own_name,
        addon_name=addon.name,
        addon_version=version,
        cluster_name=cluster.name,
        configuration_values=None
        if addon.configuration is None
        else json.dumps(addon.configuration, sort_keys=True, separators=(",", ":")),
        pod_identity_associations=associations,
        # What somebody changed by hand is put back: the posture is what is written here.
        resolve_conflicts_on_create="OVERWRITE",
        resolve_conflicts_on_update="OVERWRITE",
        preserve=False,
        tags=own_tags,
        opts=pulumi.ResourceOptions(parent=parent, depends_on=waits),
    )
