"""The way in to a fleet's API: a load balancer that ends TLS, before hosts that nobody else reaches."""

from collections.abc import Sequence
from typing import NotRequired, TypedDict

import pulumi
import pulumi_aws as aws

from agent_fleet.aws.resource_tags import tags

TLS_POLICY = "ELBSecurityPolicy-TLS13-1-2-2021-06"
"""TLS 1.3 and 1.2, with forward secrecy: AWS's own recommendation."""
IDLE_SECONDS = 400
"""Longer than the API holds any answer back."""
DEREGISTRATION_SECONDS = 60
"""How long open requests to a host that goes may last: the API itself takes ten seconds."""
_HTTPS = 443
_LONGEST_NAME = 32


class LoadBalancerArgs(TypedDict):
    """Who comes in, and where to."""

    fleet: pulumi.Input[str]
    """The fleet's name, for the tags."""
    vpc_id: pulumi.Input[str]
    """The VPC."""
    subnet_ids: pulumi.Input[Sequence[pulumi.Input[str]]]
    """Subnets in at least two zones: public ones, or private ones where it is `internal`."""
    internal: pulumi.Input[bool]
    """Whether it has private addresses only."""
    certificate_arn: pulumi.Input[str]
    """The certificate in ACM, of the same region."""
    client_cidrs: Sequence[pulumi.Input[str]]
    """Networks that may connect. The list's length is plain: each gets a rule."""
    target_security_group_id: pulumi.Input[str]
    """The group of the hosts, into which it gets a rule."""
    target_port: int
    """The hosts' TCP port. Plain."""
    health_path: NotRequired[str]
    """What a host answers with 200 while it is well; `/health` if left out. Plain."""
    host: NotRequired[pulumi.Input[str]]
    """The name that the certificate is for; the load balancer's own if left out."""
    deletion_protection: bool
    """Whether AWS and Pulumi refuse to delete it. Plain."""
    owner: NotRequired[pulumi.Input[str]]
    """The `owner` tag."""


class LoadBalancer(pulumi.ComponentResource):
    """TLS from clients, HTTP to the hosts inside the VPC. There is no plain way in, not even one that redirects."""

    url: pulumi.Output[str]
    """Where the API answers. Known only when the way there is."""
    dns_name: pulumi.Output[str]
    """Its own name, for a CNAME or an alias."""
    target_group_arn: pulumi.Output[str]
    """Where hosts are registered. Known only when somebody listens for them."""
    security_group_id: pulumi.Output[str]
    """Its group."""

    def __init__(self, name: str, args: LoadBalancerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Declare it; see `LoadBalancerArgs`."""
        super().__init__("agent-fleet:index:LoadBalancer", name, {}, opts)
        options = pulumi.ResourceOptions(parent=self)
        own_tags = tags(args["fleet"], "load-balancer", args.get("owner"), name=name)
        group = aws.ec2.SecurityGroup(
            name, description="Clients of the API", vpc_id=args["vpc_id"], tags=own_tags, opts=options
        )
        for number, cidr in enumerate(args["client_cidrs"]):
            aws.vpc.SecurityGroupIngressRule(
                f"{name}-clients-{number}",
                security_group_id=group.id,
                description="HTTPS from clients",
                ip_protocol="tcp",
                from_port=_HTTPS,
                to_port=_HTTPS,
                cidr_ipv4=cidr,
                tags=own_tags,
                opts=options,
            )
        rules = self._to_hosts(name, args, group, own_tags)
        # Renaming it changes its own name, under which clients know it unless a name of yours points at it.
        balancer = aws.lb.LoadBalancer(
            name,
            name=name[:_LONGEST_NAME].rstrip("-"),
            load_balancer_type="application",
            internal=args["internal"],
            subnets=args["subnet_ids"],
            security_groups=[group.id],
            idle_timeout=IDLE_SECONDS,
            drop_invalid_header_fields=True,
            desync_mitigation_mode="strictest",
            enable_deletion_protection=args["deletion_protection"],
            tags=own_tags,
            opts=pulumi.ResourceOptions(parent=self, protect=args["deletion_protection"]),
        )
        targets = aws.lb.TargetGroup(
            name,
            # No fixed name: another port makes another group before the first one goes.
            vpc_id=args["vpc_id"],
            port=args["target_port"],
            protocol="HTTP",
            target_type="instance",
            deregistration_delay=DEREGISTRATION_SECONDS,
            health_check=aws.lb.TargetGroupHealthCheckArgs(
                path=args.get("health_path", "/health"),
                matcher="200",
                interval=10,
                timeout=5,
                healthy_threshold=2,
                unhealthy_threshold=3,
            ),
            tags=own_tags,
            opts=options,
        )
        listener = aws.lb.Listener(
            name,
            load_balancer_arn=balancer.arn,
            port=_HTTPS,
            protocol="HTTPS",
            ssl_policy=TLS_POLICY,
            certificate_arn=args["certificate_arn"],
            default_actions=[aws.lb.ListenerDefaultActionArgs(type="forward", target_group_arn=targets.arn)],
            tags=own_tags,
            opts=options,
        )
        there = pulumi.Output.all(listener.arn, *[rule.id for rule in rules])
        self.dns_name = balancer.dns_name
        self.security_group_id = group.id
        self.target_group_arn = pulumi.Output.all(targets.arn, there).apply(lambda both: str(both[0]))
        self.url = pulumi.Output.all(args.get("host", balancer.dns_name), there).apply(
            lambda both: f"https://{both[0]}"
        )
        self.register_outputs(
            {
                "url": self.url,
                "dns_name": self.dns_name,
                "target_group_arn": self.target_group_arn,
                "security_group_id": self.security_group_id,
            }
        )

    def _to_hosts(
        self,
        name: str,
        args: LoadBalancerArgs,
        group: aws.ec2.SecurityGroup,
        own_tags: dict[str, pulumi.Input[str]],
    ) -> list[pulumi.CustomResource]:
        options, port = pulumi.ResourceOptions(parent=self), args["target_port"]
        return [
            aws.vpc.SecurityGroupEgressRule(
                f"{name}-hosts",
                security_group_id=group.id,
                description="The API on its hosts",
                ip_protocol="tcp",
                from_port=port,
                to_port=port,
                referenced_security_group_id=args["target_security_group_id"],
                tags=own_tags,
                opts=options,
            ),
            aws.vpc.SecurityGroupIngressRule(
                f"{name}-from-load-balancer",
                security_group_id=args["target_security_group_id"],
                description="The API from its load balancer",
                ip_protocol="tcp",
                from_port=port,
                to_port=port,
                referenced_security_group_id=group.id,
                tags=own_tags,
                opts=options,
            ),
        ]
