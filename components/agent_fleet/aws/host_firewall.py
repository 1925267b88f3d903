"""Who a group of hosts may speak to. What may speak to them is said by those who do."""

from collections.abc import Sequence
from typing import NotRequired, TypedDict

import pulumi
import pulumi_aws as aws

from agent_fleet.aws.resource_tags import tags

_HTTPS = 443


class HostFirewallArgs(TypedDict):
    """Which hosts, and where they may go."""

    fleet: pulumi.Input[str]
    """The fleet's name, for the tags."""
    vpc_id: pulumi.Input[str]
    """The VPC."""
    purpose: str
    """What the hosts are, in a word: `api`. Plain: names and tags have it."""
    internet: bool
    """Whether HTTPS goes everywhere, for registries and collectors outside, through the network's NAT; if not, to AWS's
    services through the VPC's endpoints, and nowhere else. Plain."""
    endpoint_security_group_id: pulumi.Input[str]
    """The group of the VPC's endpoints."""
    s3_prefix_list_id: pulumi.Input[str]
    """The addresses of S3: image layers, and Amazon Linux's packages."""
    other_ports: NotRequired[Sequence[int]]
    """TCP ports besides 443 that they may reach anywhere, as far as the network lets them: a collector's, or 80 for
    domains that jobs may reach. None if left out. Plain: each gets a rule."""
    owner: NotRequired[pulumi.Input[str]]
    """The `owner` tag."""


class HostFirewall(pulumi.ComponentResource):
    """A security group that lets nobody in, and out where it must."""

    security_group_id: pulumi.Output[str]
    """The group. Known only when its ways out are open: a host that starts before cannot pull its images."""

    def __init__(self, name: str, args: HostFirewallArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Declare the group and its rules; see `HostFirewallArgs`."""
        super().__init__("agent-fleet:index:HostFirewall", name, {}, opts)
        self._name = name
        self._options = pulumi.ResourceOptions(parent=self)
        self._tags = tags(args["fleet"], args["purpose"], args.get("owner"), name=name)
        # Renaming it replaces it, and with it the hosts.
        self._group = aws.ec2.SecurityGroup(
            name,
            description=f"Hosts of the fleet: {args['purpose']}",
            vpc_id=args["vpc_id"],
            tags=self._tags,
            opts=self._options,
        )
        rules = [self._out("s3", _HTTPS, prefix_list=args["s3_prefix_list_id"])]
        if args["internet"]:
            rules.append(self._out("internet", _HTTPS, cidr="0.0.0.0/0"))
        else:
            rules.append(self._out("endpoints", _HTTPS, group=args["endpoint_security_group_id"]))
        rules += [self._out(f"port-{port}", port, cidr="0.0.0.0/0") for port in args.get("other_ports", ())]
        self.security_group_id = pulumi.Output.all(self._group.id, *[rule.id for rule in rules]).apply(
            lambda found: str(found[0])
        )
        self.register_outputs({"security_group_id": self.security_group_id})

    def reach(self, what: str, port: int, group: pulumi.Input[str]) -> pulumi.Resource:
        """Let the hosts speak to another group; `what` names the rule. To be called before hosts are declared."""
        return self._out(what, port, group=group)

    def _out(
        self,
        what: str,
        port: int,
        *,
        group: pulumi.Input[str] | None = None,
        prefix_list: pulumi.Input[str] | None = None,
        cidr: str | None = None,
    ) -> aws.vpc.SecurityGroupEgressRule:
        return aws.vpc.SecurityGroupEgressRule(
            f"{self._name}-{what}",
            security_group_id=self._group.id,
            description=f"To {what}",
            ip_protocol="tcp",
            from_port=port,
            to_port=port,
            referenced_security_group_id=group,
            prefix_list_id=prefix_list,
            cidr_ipv4=cidr,
            tags=self._tags,
            opts=self._options,
        )
