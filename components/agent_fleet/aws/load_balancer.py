"""The way to the API on EC2: a load balancer where TLS ends, and nothing that answers without."""

from collections.abc import Sequence
from typing import NotRequired, TypedDict

import pulumi
import pulumi_aws as aws

from agent_fleet.aws.resource_tags import tags

TLS_POLICY = "ELBSecurityPolicy-TLS13-1-2-2021-06"
"""TLS 1.3 and 1.2 with forward secrecy:
https://docs.aws.amazon.com/elasticloadbalancing/latest/application/describe-ssl-policies.html"""
HTTPS_PORT = 443
IDLE_SECONDS = 300
"""How long a request may be silent: one that waits for its job's end is."""
_NAME_PREFIX = "fleet-"
"""AWS takes six characters before those that it makes up; the tag `Name` has the whole name."""


class LoadBalancerArgs(TypedDict):
    """What it stands before, and who may come."""

    fleet: pulumi.Input[str]
    """The fleet's name, for the tags."""
    vpc_id: pulumi.Input[str]
    """The VPC."""
    subnet_ids: pulumi.Input[Sequence[pulumi.Input[str]]]
    """Subnets in at least two zones: public ones, or private ones for an internal load balancer."""
    internal: bool
    """Whether it has private addresses only. Plain."""
    certificate_arn: pulumi.Input[str]
    """The certificate in ACM, of the same region."""
    host: NotRequired[str | None]
    """The name that the certificate is for; the load balancer's own if left out. Plain."""
    client_cidrs: Sequence[str]
    """IPv4 networks that may come. Plain: each gets a rule."""
    target_security_group_id: pulumi.Input[str]
    """The security group of the hosts behind it. It gets a rule that lets this load balancer in."""
    target_instance_ids: NotRequired[Sequence[pulumi.Input[str]]]
    """Hosts that are behind it; left out where a group registers its own. The list's length is plain."""
    target_port: int
    """The hosts' TCP port. Plain."""
    ready_path: str
    """The path that answers 200 where requests may be sent."""
    deregistration_seconds: pulumi.Input[int]
    """How long open requests of a host that leaves may go on."""
    deletion_protection: bool
    """Whether AWS refuses to delete it. Plain."""
    owner: NotRequired[pulumi.Input[str]]
    """The `owner` tag."""


class LoadBalancer(pulumi.ComponentResource):
    """An Application Load Balancer with one listener, HTTPS. A key sent to port 80 finds nobody there to hear it."""

    url: pulumi.Output[str]
    """Where the API answers."""
    dns_name: pulumi.Output[str]
    """The load balancer's own name, for a CNAME or an alias."""
    target_group_arn: pulumi.Output[str]
    """Where hosts are registered. Known only once the listener is there."""
    security_group_id: pulumi.Output[str]
    """The load balancer's security group."""
    arn_suffix: pulumi.Output[str]
    """What CloudWatch calls it."""
    target_group_arn_suffix: pulumi.Output[str]
    """What CloudWatch calls its target group."""

    def __init__(self, name: str, args: LoadBalancerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Declare it with its rules; see `LoadBalancerArgs`."""
        super().__init__("agent-fleet:index:LoadBalancer", name, {}, opts)
        options = pulumi.ResourceOptions(parent=self)
        own_tags = tags(args["fleet"], "load-balancer", args.get("owner"), name=name)
        group = self._security_group(name, args, own_tags, options)
        balancer = aws.lb.LoadBalancer(
            name,
            name_prefix=_NAME_PREFIX,
            load_balancer_type="application",
            internal=args["internal"],
            security_groups=[group.id],
            subnets=args["subnet_ids"],
            idle_timeout=IDLE_SECONDS,
            drop_invalid_header_fields=True,
            enable_deletion_protection=args["deletion_protection"],
            tags=own_tags,
            # AWS lets a target group be one load balancer's: a new one could not have it beside the old one.
            opts=pulumi.ResourceOptions(parent=self, delete_before_replace=True),
        )
        targets = aws.lb.TargetGroup(
            name,
            name_prefix=_NAME_PREFIX,
            vpc_id=args["vpc_id"],
            port=args["target_port"],
            protocol="HTTP",
            target_type="instance",
            deregistration_delay=args["deregistration_seconds"],
            health_check=aws.lb.TargetGroupHealthCheckArgs(
                path=args["ready_path"],
                matcher="200",
                interval=10,
                timeout=5,
                healthy_threshold=2,
                unhealthy_threshold=2,
            ),
            tags=own_tags,
            opts=options,
        )
        listener = aws.lb.Listener(
            name,
            load_balancer_arn=balancer.arn,
            port=HTTPS_PORT,
            protocol="HTTPS",
            ssl_policy=TLS_POLICY,
            certificate_arn=args["certificate_arn"],
            default_actions=[aws.lb.ListenerDefaultActionArgs(type="forward", target_group_arn=targets.arn)],
            tags=own_tags,
            opts=options,
        )
        for number, instance in enumerate(args.get("target_instance_ids", [])):
            aws.lb.TargetGroupAttachment(
                f"{name}-{number}", target_group_arn=targets.arn, target_id=instance, opts=options
            )
        host = args.get("host")
        self.dns_name = balancer.dns_name
        self.url = pulumi.Output.concat("https://", balancer.dns_name if host is None else host)
        self.target_group_arn = pulumi.Output.all(targets.arn, listener.id).apply(lambda both: str(both[0]))
        self.security_group_id = group.id
        self.arn_suffix = balancer.arn_suffix
        self.target_group_arn_suffix = targets.arn_suffix
        self.register_outputs(
            {
                "url": self.url,
                "dns_name": self.dns_name,
                "target_group_arn": self.target_group_arn,
                "security_group_id": self.security_group_id,
                "arn_suffix": self.arn_suffix,
                "target_group_arn_suffix": self.target_group_arn_suffix,
            }
        )

    def _security_group(
        self,
        name: str,
        args: LoadBalancerArgs,
        own_tags: dict[str, pulumi.Input[str]],
        options: pulumi.ResourceOptions,
    ) -> aws.ec2.SecurityGroup:
        group = aws.ec2.SecurityGroup(
            f"{name}-load-balancer",
            description="HTTPS from clients to the load balancer",
            vpc_id=args["vpc_id"],
            tags={**own_tags, "Name": f"{name}-load-balancer"},
            opts=options,
        )
        # Whoever reviews what is open to the world, or a policy that does, finds it declared on the rule itself.
        declared = {} if args["internal"] else {"agent-fleet:public": "true"}
        for cidr in args["client_cidrs"]:
            aws.vpc.SecurityGroupIngressRule(
                f"{name}-clients-{cidr}",
                security_group_id=group.id,
                description="HTTPS from clients",
                ip_protocol="tcp",
                from_port=HTTPS_PORT,
                to_port=HTTPS_PORT,
                cidr_ipv4=cidr,
                tags={**own_tags, **declared},
                opts=options,
            )
        aws.vpc.SecurityGroupEgressRule(
            f"{name}-to-hosts",
            security_group_id=group.id,
            description="Requests and health checks to the hosts",
            ip_protocol="tcp",
            from_port=args["target_port"],
            to_port=args["target_port"],
            referenced_security_group_id=args["target_security_group_id"],
            tags=own_tags,
            opts=options,
        )
        aws.vpc.SecurityGroupIngressRule(
            f"{name}-from-load-balancer",
            security_group_id=args["target_security_group_id"],
            description="Requests and health checks from the load balancer",
            ip_protocol="tcp",
            from_port=args["target_port"],
            to_port=args["target_port"],
            referenced_security_group_id=group.id,
            tags=own_tags,
            opts=options,
        )
        return group
