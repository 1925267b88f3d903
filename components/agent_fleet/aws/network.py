"""The network of a fleet in AWS: private by default, with what nodes need reachable without the internet."""

from collections.abc import Mapping, Sequence
from typing import NotRequired, TypedDict

import pulumi
import pulumi_aws as aws

from agent_fleet.aws.network_endpoints import INTERFACE_ENDPOINTS, declare_endpoints
from agent_fleet.aws.network_flow_log import declare_flow_log
from agent_fleet.aws.resource_tags import tags
from agent_fleet.aws.subnets import plan_subnets

NAT_CHOICES = ("none", "one", "per_zone")


class NetworkArgs(TypedDict):
    """Where the network is, and what leaves it."""

    fleet: pulumi.Input[str]
    """The fleet's name, for the tags."""
    region: str
    """The AWS region, for example `eu-central-1`. Plain: the endpoints' names are made of it."""
    zones: Sequence[str]
    """The availability zones, three as a rule, for example `eu-central-1a`. Plain: each gets its subnets."""
    cidr: str
    """The VPC's IPv4 range, /16 to /22 for three zones (`plan_subnets`). Plain: the subnets are computed from it."""
    nat: str
    """The way out: `none` (nothing leaves the VPC), `one` gateway for all zones, or one `per_zone`. Plain."""
    public_subnets: NotRequired[bool]
    """Whether there are public subnets, for load balancers, also without NAT; left out, with NAT only. Plain."""
    interface_endpoints: NotRequired[Sequence[str]]
    """AWS services reached inside the VPC; left out, all that a cluster needs. Each costs about 8 USD a month and zone
    (us-east-1, 2026). Plain."""
    log_retention_days: NotRequired[pulumi.Input[int]]
    """How long flow logs are kept; 90 if left out."""
    owner: NotRequired[pulumi.Input[str]]
    """The `owner` tag."""
    tags: NotRequired[Mapping[str, pulumi.Input[str]]]
    """More tags on the VPC and its subnets."""


class Network(pulumi.ComponentResource):
    """A VPC with a private subnet in each zone; public ones exist only for NAT and load balancers."""

    vpc_id: pulumi.Output[str]
    """The VPC."""
    private_subnet_ids: pulumi.Output[Sequence[str]]
    """One for each zone, in the zones' order. Known only when their routes and endpoints are there, so that a node
    that is given one can start, and loses them last when the stack is destroyed."""
    public_subnet_ids: pulumi.Output[Sequence[str]]
    """One for each zone, known only when their way to the internet is there; none without NAT and without having asked
    for them."""
    private_route_table_ids: pulumi.Output[Sequence[str]]
    """One for each zone, in the zones' order."""
    endpoint_security_group_id: pulumi.Output[str]
    """The group of the interface endpoints, which take HTTPS from the VPC."""
    s3_prefix_list_id: pulumi.Output[str]
    """The addresses of S3 in the region, for rules that allow image layers and nothing else."""

    def __init__(self, name: str, args: NetworkArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Declare the VPC and all in it; see `NetworkArgs`. Raises ValueError for what cannot be."""
        if args["nat"] not in NAT_CHOICES:
            raise ValueError(f"nat: {args['nat']!r} was given; it is one of {', '.join(NAT_CHOICES)}.")
        plan = plan_subnets(args["cidr"], len(args["zones"]))
        super().__init__("agent-fleet:index:Network", name, {}, opts)
        self._options = pulumi.ResourceOptions(parent=self)
        self._args, self._name = args, name
        # Renaming this resource replaces the VPC and so everything that runs in it.
        self._vpc = aws.ec2.Vpc(
            name,
            cidr_block=args["cidr"],
            # Private DNS of the endpoints, and EFS's names, need both.
            enable_dns_support=True,
            enable_dns_hostnames=True,
            tags=self._tags(name, args.get("tags")),
            opts=self._options,
        )
        # Adopts the group that every VPC has, and takes its rules away: what forgets its group reaches nothing.
        aws.ec2.DefaultSecurityGroup(
            f"{name}-default",
            vpc_id=self._vpc.id,
            ingress=[],
            egress=[],
            tags=self._tags(f"{name}-default-closed"),
            opts=self._options,
        )
        declare_flow_log(
            name, self._vpc.id, args["fleet"], args.get("owner"), args.get("log_retention_days", 90), self._options
        )
        has_public = args["nat"] != "none" or args.get("public_subnets", False)
        public = self._public_subnets(plan.public) if has_public else []
        private = [
            self._subnet("private", zone, block, {"kubernetes.io/role/internal-elb": "1"})
            for zone, block in zip(args["zones"], plan.private, strict=True)
        ]
        route_tables = [self._route_table("private", zone) for zone in args["zones"]]
        ready: list[pulumi.Output[str]] = [
            aws.ec2.RouteTableAssociation(
                f"{name}-private-{zone}", subnet_id=subnet.id, route_table_id=table.id, opts=self._options
            ).id
            for zone, subnet, table in zip(args["zones"], private, route_tables, strict=True)
        ]
        ready += self._way_out(public, route_tables)
        endpoints = declare_endpoints(
            name,
            region=args["region"],
            services=args.get("interface_endpoints", INTERFACE_ENDPOINTS),
            vpc_id=self._vpc.id,
            cidr=args["cidr"],
            subnet_ids=[subnet.id for subnet in private],
            route_table_ids=[table.id for table in route_tables],
            tag=self._tags,
            options=self._options,
        )
        ready += endpoints.ids
        self.vpc_id = self._vpc.id
        self.private_subnet_ids = pulumi.Output.all(
            pulumi.Output.all(*[subnet.id for subnet in private]), pulumi.Output.all(*ready)
        ).apply(lambda both: list(both[0]))
        self.public_subnet_ids = pulumi.Output.all(*[subnet.id for subnet in public])
        if public:
            self.public_subnet_ids = pulumi.Output.all(self.public_subnet_ids, self._public_route.id).apply(
                lambda both: list(both[0])
            )
        self.private_route_table_ids = pulumi.Output.all(*[table.id for table in route_tables])
        self.endpoint_security_group_id = endpoints.security_group_id
        self.s3_prefix_list_id = endpoints.s3_prefix_list_id
        self.register_outputs(
            {
                "vpc_id": self.vpc_id,
                "private_subnet_ids": self.private_subnet_ids,
                "public_subnet_ids": self.public_subnet_ids,
                "private_route_table_ids": self.private_route_table_ids,
                "endpoint_security_group_id": self.endpoint_security_group_id,
                "s3_prefix_list_id": self.s3_prefix_list_id,
            }
        )

    def _tags(self, name: str, extra: Mapping[str, pulumi.Input[str]] | None = None) -> Mapping[str, pulumi.Input[str]]:
        return tags(self._args["fleet"], "network", self._args.get("owner"), name=name, extra=extra)

    def _subnet(self, kind: str, zone: str, block: str, extra: Mapping[str, pulumi.Input[str]]) -> aws.ec2.Subnet:
        # Renaming a subnet replaces it, and every node, target and database in it.
        return aws.ec2.Subnet(
            f"{self._name}-{kind}-{zone}",
            vpc_id=self._vpc.id,
            availability_zone=zone,
            cidr_block=block,
            map_public_ip_on_launch=False,
            tags=self._tags(f"{self._name}-{kind}-{zone}", {**(self._args.get("tags") or {}), **extra}),
            opts=self._options,
        )

    def _route_table(self, kind: str, zone: str) -> aws.ec2.RouteTable:
        return aws.ec2.RouteTable(
            f"{self._name}-{kind}-{zone}",
            vpc_id=self._vpc.id,
            tags=self._tags(f"{self._name}-{kind}-{zone}"),
            opts=self._options,
        )

    def _public_subnets(self, blocks: Sequence[str]) -> list[aws.ec2.Subnet]:
        subnets = [
            self._subnet("public", zone, block, {"kubernetes.io/role/elb": "1"})
            for zone, block in zip(self._args["zones"], blocks, strict=True)
        ]
        gateway = aws.ec2.InternetGateway(
            self._name, vpc_id=self._vpc.id, tags=self._tags(self._name), opts=self._options
        )
        table = aws.ec2.RouteTable(
            f"{self._name}-public",
            vpc_id=self._vpc.id,
            tags=self._tags(f"{self._name}-public"),
            opts=self._options,
        )
        self._public_route = aws.ec2.Route(
            f"{self._name}-public",
            route_table_id=table.id,
            destination_cidr_block="0.0.0.0/0",
            gateway_id=gateway.id,
            opts=self._options,
        )
        for zone, subnet in zip(self._args["zones"], subnets, strict=True):
            aws.ec2.RouteTableAssociation(
                f"{self._name}-public-{zone}", subnet_id=subnet.id, route_table_id=table.id, opts=self._options
            )
        return subnets

    def _way_out(
        self, public: Sequence[aws.ec2.Subnet], route_tables: Sequence[aws.ec2.RouteTable]
    ) -> list[pulumi.Output[str]]:
        if self._args["nat"] == "none":
            return []
        zones = self._args["zones"]
        gateways: list[aws.ec2.NatGateway] = []
        for zone, subnet in list(zip(zones, public, strict=True))[: 1 if self._args["nat"] == "one" else None]:
            address = aws.ec2.Eip(
                f"{self._name}-nat-{zone}",
                domain="vpc",
                tags=self._tags(f"{self._name}-nat-{zone}"),
                opts=self._options,
            )
            gateways.append(
                aws.ec2.NatGateway(
                    f"{self._name}-{zone}",
                    allocation_id=address.allocation_id,
                    subnet_id=subnet.id,
                    tags=self._tags(f"{self._name}-{zone}"),
                    # A gateway without its route to the internet fails to start, and its address cannot be let go.
                    opts=pulumi.ResourceOptions(parent=self, depends_on=[self._public_route]),
                )
            )
        return [
            aws.ec2.Route(
                f"{self._name}-private-{zone}",
                route_table_id=table.id,
                destination_cidr_block="0.0.0.0/0",
                nat_gateway_id=gateways[index % len(gateways)].id,
                opts=self._options,
            ).id
            for index, (zone, table) in enumerate(zip(zones, route_tables, strict=True))
        ]
