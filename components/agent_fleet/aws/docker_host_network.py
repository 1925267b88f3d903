"""What a `DockerHost` may send and receive, and the address that it keeps when it is replaced."""

from collections.abc import Mapping, Sequence

import pulumi
import pulumi_aws as aws

_ANYWHERE = "0.0.0.0/0"
_HTTPS_PORT = 443


def declare_security_group(
    name: str,
    *,
    vpc_id: pulumi.Input[str],
    public_client_cidrs: Sequence[str],
    public_port: int,
    egress_ports: Sequence[int],
    own_tags: Mapping[str, pulumi.Input[str]],
    options: pulumi.ResourceOptions,
) -> aws.ec2.SecurityGroup:
    """Declare it: nothing in but those clients, and out to registries and AWS over TLS. There is no rule for SSH."""
    group = aws.ec2.SecurityGroup(
        f"{name}-host", description="The fleet's host", vpc_id=vpc_id, tags={**own_tags, "Name": name}, opts=options
    )
    for cidr in public_client_cidrs:
        aws.vpc.SecurityGroupIngressRule(
            f"{name}-clients-{cidr}",
            security_group_id=group.id,
            description="Clients of the API",
            ip_protocol="tcp",
            from_port=public_port,
            to_port=public_port,
            cidr_ipv4=cidr,
            tags=own_tags,
            opts=options,
        )
    for port in dict.fromkeys([_HTTPS_PORT, *egress_ports]):
        aws.vpc.SecurityGroupEgressRule(
            f"{name}-out-{port}",
            security_group_id=group.id,
            description="Registries and AWS" if port == _HTTPS_PORT else "Telemetry",
            ip_protocol="tcp",
            from_port=port,
            to_port=port,
            cidr_ipv4=_ANYWHERE,
            tags=own_tags,
            opts=options,
        )
    return group


def declare_interface(
    name: str,
    *,
    subnet_id: pulumi.Input[str],
    group: aws.ec2.SecurityGroup,
    public: bool,
    own_tags: Mapping[str, pulumi.Input[str]],
    options: pulumi.ResourceOptions,
) -> tuple[aws.ec2.NetworkInterface, aws.ec2.Eip | None]:
    """Declare the interface, which outlives instances as its addresses do, and its public address if it has one.

    An instance that had its address only after its start would find no package and no image until then.
    """
    interface = aws.ec2.NetworkInterface(
        f"{name}-host",
        description="The fleet's host",
        subnet_id=subnet_id,
        security_groups=[group.id],
        tags={**own_tags, "Name": name},
        opts=options,
    )
    if not public:
        return interface, None
    address = aws.ec2.Eip(
        f"{name}-host", domain="vpc", network_interface=interface.id, tags={**own_tags, "Name": name}, opts=options
    )
    return interface, address
