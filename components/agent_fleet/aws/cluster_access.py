"""Who may enter a cluster: access entries, and a kubeconfig that holds no credentials of its own."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence

import pulumi
import pulumi_aws as aws

from agent_fleet.aws.policy_documents import partition_of, region_of

ADMINISTRATOR_POLICY = "AmazonEKSClusterAdminPolicy"
_PRINCIPAL = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:(role|user)/[\w+=,.@/-]+")


def check_administrators(arns: Sequence[str]) -> None:
    """Raises ValueError for a principal that EKS takes no access entry for, and for an empty list."""
    if not arns:
        raise ValueError(
            "administrators: none was given; name at least the IAM role that deploys, or nobody can enter the cluster."
        )
    for arn in arns:
        if not _PRINCIPAL.fullmatch(arn):
            raise ValueError(
                f"administrators: {arn!r} was given; name an IAM role or user, arn:aws:iam::<account>:role/<name>. A "
                "session (arn:aws:sts::…) cannot be one: name the role that it is a session of."
            )


def declare_administrators(
    name: str,
    cluster: aws.eks.Cluster,
    arns: Sequence[str],
    own_tags: Mapping[str, pulumi.Input[str]],
    options: pulumi.ResourceOptions,
) -> list[aws.eks.AccessPolicyAssociation]:
    """One entry for each administrator, bound to EKS's own policy for administrators."""
    associations: list[aws.eks.AccessPolicyAssociation] = []
    for arn in arns:
        # Named by the principal, so that a change of the list's order changes nothing.
        own_name = f"{name}-admin-{arn.rpartition('/')[2]}-{hashlib.sha256(arn.encode()).hexdigest()[:6]}"
        entry = aws.eks.AccessEntry(
            own_name, cluster_name=cluster.name, principal_arn=arn, type="STANDARD", tags=own_tags, opts=options
        )
        associations.append(
            aws.eks.AccessPolicyAssociation(
                own_name,
                cluster_name=cluster.name,
                principal_arn=entry.principal_arn,
                policy_arn=pulumi.Output.concat(
                    "arn:", partition_of(cluster.arn), ":eks::aws:cluster-access-policy/", ADMINISTRATOR_POLICY
                ),
                access_scope=aws.eks.AccessPolicyAssociationAccessScopeArgs(type="cluster"),
                opts=options,
            )
        )
    return associations


def kubeconfig(
    cluster: aws.eks.Cluster, administrators: Sequence[aws.eks.AccessPolicyAssociation]
) -> pulumi.Output[str]:
    """A kubeconfig whose token the AWS CLI fetches with the caller's own credentials.

    It waits for the administrators, so that whatever is given it may enter, and can still when all is destroyed.
    """

    def render(values: dict[str, str]) -> str:
        name = values["name"]
        return json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [
                    {
                        "name": name,
                        "cluster": {
                            "server": values["endpoint"],
                            "certificate-authority-data": values["authority"],
                        },
                    }
                ],
                "users": [
                    {
                        "name": name,
                        "user": {
                            "exec": {
                                "apiVersion": "client.authentication.k8s.io/v1beta1",
                                "command": "aws",
                                "args": [
                                    "--region",
                                    values["region"],
                                    "eks",
                                    "get-token",
                                    "--cluster-name",
                                    name,
                                    "--output",
                                    "json",
                                ],
                                "interactiveMode": "Never",
                            }
                        },
                    }
                ],
                "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
                "current-context": name,
            }
        )

    values = pulumi.Output.all(
        name=cluster.name,
        endpoint=cluster.endpoint,
        authority=cluster.certificate_authority.data,
        region=region_of(cluster.arn),
        **{f"administrator{number}": each.id for number, each in enumerate(administrators)},
    )
    return pulumi.Output.secret(values.apply(render))
