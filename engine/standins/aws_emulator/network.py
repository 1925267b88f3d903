"""VPCs and what is in them, in the emulator."""

from collections.abc import Mapping
from typing import Any

from engine.standins.aws_emulator.kind import Keys, Kind, Step, Tagging
from engine.standins.aws_emulator.security_groups import KINDS as GROUPS

TAGGING = Tagging("create_tags", "delete_tags", {"Resources": "id"})


def _described(
    create: str,
    one: str,
    many: str,
    tag_type: str,
    *,
    names: Keys | None = None,
    outputs: Keys | None = None,
    delete: str = "",
    delete_key: str = "",
    steps: tuple[Step, ...] = (),
    constants: Mapping[str, Any] | None = None,
) -> Kind:
    """A type whose API is regular: created as `one`, described in `many` by `<one>Ids`, deleted by `<one>Id`."""
    return Kind(
        "ec2",
        create,
        f"{one}.{one}Id",
        names=names or {},
        constants=constants or {},
        tag_type=tag_type,
        read=f"describe_{create.removeprefix('create_')}s",
        read_keys={f"{one}Ids": "id"},
        found=f"{many}[0]",
        outputs=outputs or {},
        steps=steps,
        delete=delete or create.replace("create_", "delete_"),
        delete_keys={delete_key or f"{one}Id": "id"},
        tagging=TAGGING,
    )


def _attach_gateway(client: Any, known: Mapping[str, Any]) -> None:
    if known.get("vpcId"):
        attached = client.describe_internet_gateways(InternetGatewayIds=[known["id"]])["InternetGateways"][0]
        if not attached["Attachments"]:
            client.attach_internet_gateway(InternetGatewayId=known["id"], VpcId=known["vpcId"])


def _delete_gateway(client: Any, known: Mapping[str, Any]) -> None:
    for attached in client.describe_internet_gateways(InternetGatewayIds=[known["id"]])["InternetGateways"][0][
        "Attachments"
    ]:
        client.detach_internet_gateway(InternetGatewayId=known["id"], VpcId=attached["VpcId"])
    client.delete_internet_gateway(InternetGatewayId=known["id"])


def _create_flow_log(client: Any, inputs: Mapping[str, Any]) -> Any:
    kinds = {"vpcId": "VPC", "subnetId": "Subnet", "eniId": "NetworkInterface"}
    source = next(name for name in kinds if inputs.get(name))
    optional = {
        "LogDestination": inputs.get("logDestination"),
        "LogDestinationType": inputs.get("logDestinationType") or "cloud-watch-logs",
        "DeliverLogsPermissionArn": inputs.get("iamRoleArn"),
        "MaxAggregationInterval": inputs.get("maxAggregationInterval"),
    }
    answer = client.create_flow_logs(
        ResourceIds=[inputs[source]],
        ResourceType=kinds[source],
        TrafficType=inputs.get("trafficType") or "ALL",
        **{name: value for name, value in optional.items() if value is not None},
    )
    if answer.get("Unsuccessful"):
        fault = answer["Unsuccessful"][0]["Error"]
        raise ValueError(f"create_flow_logs: {fault['Code']}: {fault['Message']}")
    return answer


def _association(client: Any, known: Mapping[str, Any]) -> Any:
    for table in client.describe_route_tables(RouteTableIds=[known["routeTableId"]])["RouteTables"]:
        for each in table["Associations"]:
            if each["RouteTableAssociationId"] == known["id"]:
                return each
    return None


def _route(client: Any, known: Mapping[str, Any]) -> Any:
    destination = known.get("destinationCidrBlock")
    for table in client.describe_route_tables(RouteTableIds=[known["routeTableId"]])["RouteTables"]:
        for each in table["Routes"]:
            if destination is None or each.get("DestinationCidrBlock") == destination:
                return {"state": each.get("State", "active")}
    return None


_ROUTE_KEYS = {
    "RouteTableId": "routeTableId",
    "DestinationCidrBlock": "destinationCidrBlock",
    "DestinationIpv6CidrBlock": "destinationIpv6CidrBlock",
    "DestinationPrefixListId": "destinationPrefixListId",
}

KINDS = {
    "ec2/vpc": _described(
        "create_vpc",
        "Vpc",
        "Vpcs",
        "vpc",
        names={"enableDnsSupport": "", "enableDnsHostnames": ""},
        steps=(
            Step("modify_vpc_attribute", {"VpcId": "id"}, ("enableDnsSupport", "enableDnsHostnames"), one_by_one=True),
        ),
    ),
    "ec2/subnet": _described(
        "create_subnet",
        "Subnet",
        "Subnets",
        "subnet",
        steps=(Step("modify_subnet_attribute", {"SubnetId": "id"}, ("mapPublicIpOnLaunch",), one_by_one=True),),
    ),
    "ec2/routeTable": _described(
        "create_route_table", "RouteTable", "RouteTables", "route-table", names={"routes": ""}
    ),
    "ec2/internetGateway": Kind(
        "ec2",
        "create_internet_gateway",
        "InternetGateway.InternetGatewayId",
        tag_type="internet-gateway",
        read="describe_internet_gateways",
        read_keys={"InternetGatewayIds": "id"},
        found="InternetGateways[0]",
        delete=_delete_gateway,
        tagging=TAGGING,
        after=_attach_gateway,
    ),
    "ec2/route": Kind(
        "ec2",
        "create_route",
        read=_route,
        delete="delete_route",
        delete_keys=_ROUTE_KEYS,
    ),
    "ec2/routeTableAssociation": Kind(
        "ec2",
        "associate_route_table",
        "AssociationId",
        read=_association,
        delete="disassociate_route_table",
        delete_keys={"AssociationId": "id"},
    ),
    "ec2/eip": Kind(
        "ec2",
        "allocate_address",
        "AllocationId",
        tag_type="elastic-ip",
        read="describe_addresses",
        read_keys={"AllocationIds": "id"},
        found="Addresses[0]",
        delete="release_address",
        delete_keys={"AllocationId": "id"},
        tagging=TAGGING,
    ),
    "ec2/natGateway": Kind(
        "ec2",
        "create_nat_gateway",
        "NatGateway.NatGatewayId",
        tag_type="natgateway",
        read="describe_nat_gateways",
        read_keys={"NatGatewayIds": "id"},
        found="NatGateways[?State != 'deleted'] | [0]",
        outputs={"publicIp": "NatGatewayAddresses[0].PublicIp"},
        delete="delete_nat_gateway",
        delete_keys={"NatGatewayId": "id"},
        tagging=TAGGING,
    ),
    "ec2/vpcEndpoint": Kind(
        "ec2",
        "create_vpc_endpoint",
        "VpcEndpoint.VpcEndpointId",
        names={"policy": "PolicyDocument"},
        tag_type="vpc-endpoint",
        read="describe_vpc_endpoints",
        read_keys={"VpcEndpointIds": "id"},
        found="VpcEndpoints[?State != 'deleted'] | [0]",
        delete="delete_vpc_endpoints",
        delete_keys={"VpcEndpointIds": "id"},
        tagging=TAGGING,
    ),
    "ec2/flowLog": Kind(
        "ec2",
        _create_flow_log,
        "FlowLogIds[0]",
        read="describe_flow_logs",
        read_keys={"FlowLogIds": "id"},
        found="FlowLogs[0]",
        delete="delete_flow_logs",
        delete_keys={"FlowLogIds": "id"},
        tagging=TAGGING,
    ),
    **GROUPS,
}
