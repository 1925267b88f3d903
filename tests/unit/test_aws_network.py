"""The network in AWS: how its range is divided, and what leads in and out."""

import ipaddress
import itertools
from typing import Any

import agent_fleet as fleet
import pulumi
import pytest
from agent_fleet.aws.subnets import SMALLEST_PRIVATE_PREFIX, SubnetPlan, plan_subnets
from aws_fleet import ZONES, network_args
from hypothesis import given
from hypothesis import strategies as st
from recording import FLEET, Recording, record

SUBNET = "aws:ec2/subnet:Subnet"
ROUTE = "aws:ec2/route:Route"
ENDPOINT = "aws:ec2/vpcEndpoint:VpcEndpoint"


def network(preview: bool, **given: Any) -> Recording:
    """A network, and its outputs as the result."""

    def program() -> pulumi.Output[Any]:
        made = fleet.Network(FLEET, network_args(**given))
        return pulumi.Output.all(private=made.private_subnet_ids, public=made.public_subnet_ids)

    return record(program, preview=preview)


@st.composite
def ranges(draw: st.DrawFn) -> tuple[str, int]:
    """A private range that is large enough, and a number of zones."""
    zones = draw(st.integers(1, 6))
    prefix = draw(st.integers(16, SMALLEST_PRIVATE_PREFIX - zones.bit_length()))
    block = draw(st.integers(0, 2 ** (prefix - 8) - 1))
    return str(ipaddress.IPv4Network((10 * 2**24 + block * 2 ** (32 - prefix), prefix))), zones


@given(ranges())
def test_subnets_lie_in_the_range_and_never_overlap(given: tuple[str, int]) -> None:
    """AWS refuses an overlap twenty minutes into a deployment."""
    cidr, zones = given
    plan: SubnetPlan = plan_subnets(cidr, zones)
    whole = ipaddress.IPv4Network(cidr)
    found = [ipaddress.IPv4Network(each) for each in (*plan.private, *plan.public)]
    assert len(plan.private) == len(plan.public) == zones
    assert all(each.subnet_of(whole) for each in found)
    assert not any(one.overlaps(other) for one, other in itertools.combinations(found, 2))
    assert len({ipaddress.IPv4Network(each).prefixlen for each in plan.private}) == 1
    # AWS's limits of a subnet are /16 and /28.
    assert all(16 <= each.prefixlen <= 28 for each in found)
    assert all(ipaddress.IPv4Network(each).prefixlen <= SMALLEST_PRIVATE_PREFIX for each in plan.private)


@pytest.mark.parametrize(
    ("cidr", "zones", "said"),
    [
        ("10.0.0.0/24", 3, "between /16 and /22"),
        ("10.0.0.0/8", 3, "between /16 and /22"),
        ("10.0.0.1/16", 3, "is no IPv4 range"),
        ("network", 3, "is no IPv4 range"),
        ("8.8.0.0/16", 3, "is not private"),
        ("10.0.0.0/16", 0, "zones: 0 were given"),
        ("10.0.0.0/16", 7, "zones: 7 were given"),
    ],
)
def test_a_range_that_cannot_be_is_refused_with_what_is_allowed(cidr: str, zones: int, said: str) -> None:
    """It would fail in the cloud, half way through."""
    with pytest.raises(ValueError, match=said):
        plan_subnets(cidr, zones)


def test_without_nat_nothing_leads_to_the_internet(preview: bool) -> None:
    """A private network would have a way out that nobody asked for."""
    found = network(preview, nat="none")
    assert {each.inputs["availabilityZone"] for each in found.of_type(SUBNET)} == set(ZONES)
    assert len(found.of_type(SUBNET)) == len(ZONES)
    for kind in (ROUTE, "aws:ec2/internetGateway:InternetGateway", "aws:ec2/natGateway:NatGateway", "aws:ec2/eip:Eip"):
        assert not found.of_type(kind)


@pytest.mark.parametrize(("nat", "gateways"), [("one", 1), ("per_zone", 3)])
def test_private_subnets_leave_through_a_gateway_of_the_choice(preview: bool, nat: str, gateways: int) -> None:
    """A zone would have no way out, or each a gateway that nobody pays for gladly."""
    found = network(preview, nat=nat)
    assert len(found.of_type("aws:ec2/natGateway:NatGateway")) == gateways
    private = [each for each in found.of_type(ROUTE) if "natGatewayId" in each.inputs]
    assert len(private) == len(ZONES)
    assert all("gatewayId" not in each.inputs for each in private)
    for each in found.of_type("aws:ec2/natGateway:NatGateway"):
        assert any(urn.endswith(f"aws:ec2/route:Route::{FLEET}-public") for urn in each.dependency_urns)


@pytest.mark.parametrize("nat", ["none", "one", "per_zone"])
def test_no_subnet_gives_public_addresses(preview: bool, nat: str) -> None:
    """Whatever starts there would be on the internet (A88)."""
    found = network(preview, nat=nat).of_type(SUBNET)
    assert found
    assert all(each.inputs["mapPublicIpOnLaunch"] is False for each in found)


def test_load_balancers_find_their_subnets(preview: bool) -> None:
    """An internal load balancer would land in a public subnet, or nowhere."""
    for each in network(preview, nat="one").of_type(SUBNET):
        role = "internal-elb" if "-private-" in each.name else "elb"
        assert each.inputs["tags"][f"kubernetes.io/role/{role}"] == "1"


def test_the_default_security_group_lets_nothing_in_or_out(preview: bool) -> None:
    """What forgets to name a group gets this one."""
    (group,) = network(preview).of_type("aws:ec2/defaultSecurityGroup:DefaultSecurityGroup")
    assert group.inputs.get("ingress", []) == group.inputs.get("egress", []) == []


def test_images_queue_and_apis_are_reached_without_the_internet(preview: bool) -> None:
    """Nodes of a private network could not even pull their images."""
    found = network(preview).of_type(ENDPOINT)
    services = {each.inputs["serviceName"].removeprefix("com.amazonaws.eu-central-1."): each for each in found}
    assert {"ecr.api", "ecr.dkr", "s3", "sqs", "sts", "logs", "ec2", "eks", "eks-auth", "kms"} <= set(services)
    assert services["s3"].inputs["vpcEndpointType"] == "Gateway"
    for name, each in services.items():
        if name != "s3":
            assert each.inputs["privateDnsEnabled"] is True
            assert len(each.inputs["subnetIds"]) == len(ZONES)


def test_endpoints_take_https_from_the_network_alone(preview: bool) -> None:
    """They would be open to whoever peers with the VPC."""
    (rule,) = network(preview).of_type("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule")
    assert (rule.inputs["fromPort"], rule.inputs["toPort"], rule.inputs["cidrIpv4"]) == (443, 443, "10.64.0.0/16")


def test_all_traffic_is_logged_for_a_bounded_time(preview: bool) -> None:
    """Nobody could say afterwards who spoke to whom; or pays for logs for ever (A66)."""
    found = network(preview, log_retention_days=14)
    (flow_log,) = found.of_type("aws:ec2/flowLog:FlowLog")
    assert flow_log.inputs["trafficType"] == "ALL"
    (group,) = found.of_type("aws:cloudwatch/logGroup:LogGroup")
    assert group.inputs["retentionInDays"] == 14


def test_private_subnets_are_given_out_with_their_routes_and_endpoints(preview: bool) -> None:
    """Nodes would start before they can pull, and on removal lose their way before they are gone."""
    found: dict[str, tuple[str, ...]] = {}

    def program() -> pulumi.Output[Any]:
        made = fleet.Network(FLEET, network_args(nat="one"))

        async def dependencies() -> list[str]:
            return [str(await each.urn.future()) for each in await made.private_subnet_ids.resources()]

        async def keep() -> None:
            found["urns"] = tuple(await dependencies())

        return pulumi.Output.from_input(keep())

    record(program, preview=preview)
    kinds = {urn.split("::")[2].rpartition("$")[2] for urn in found["urns"]}
    assert {ROUTE, ENDPOINT, "aws:ec2/routeTableAssociation:RouteTableAssociation"} <= kinds


def test_an_unknown_way_out_is_refused(preview: bool) -> None:
    """It would silently mean none."""
    with pytest.raises(ValueError, match="nat: 'two' was given; it is one of none, one, per_zone"):
        network(preview, nat="two")
