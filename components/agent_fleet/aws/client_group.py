"""The security group of what only named clients may reach: a database, a cache."""

from collections.abc import Mapping, Sequence

import pulumi
import pulumi_aws as aws


def declare_client_group(
    name: str,
    *,
    service: str,
    port: int,
    vpc_id: pulumi.Input[str],
    client_security_group_ids: Sequence[pulumi.Input[str]],
    own_tags: Mapping[str, pulumi.Input[str]],
    options: pulumi.ResourceOptions,
) -> aws.ec2.SecurityGroup:
    """Declare it, with a rule for each client on one TCP port, and no way out. `service` is what its rules call it."""
    described = f"{service} from its clients"
    group = aws.ec2.SecurityGroup(name, description=described, vpc_id=vpc_id, tags=own_tags, opts=options)
    for number, client in enumerate(client_security_group_ids):
        aws.vpc.SecurityGroupIngressRule(
            f"{name}-{number}",
            security_group_id=group.id,
            description=described,
            ip_protocol="tcp",
            from_port=port,
            to_port=port,
            referenced_security_group_id=client,
            tags=own_tags,
            opts=options,
        )
    return group
