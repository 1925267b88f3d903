"""What the network and the control plane cost: gateways, addresses, endpoints, load balancers, the EKS cluster."""

from engine.cost.charges import LATER, Verdict, charged, not_estimated, steady
from engine.cost.planned import Plan, Planned
from engine.cost.price_table import RegionalPrices


def nat_gateway(planned: Planned, plan: Plan, prices: RegionalPrices) -> Verdict:
    """`aws:ec2/natGateway:NatGateway`."""
    del planned, plan
    used = prices.assumed("nat_gibibytes") * prices.unit("nat_gateway_gibibyte")
    return charged(steady("NAT gateway", prices.monthly("nat_gateway_hour") + used))


def address(planned: Planned, plan: Plan, prices: RegionalPrices) -> Verdict:
    """`aws:ec2/eip:Eip`: a public address costs the same in use and idle."""
    del planned, plan
    return charged(steady("public address", prices.monthly("public_address_hour")))


def endpoint(planned: Planned, plan: Plan, prices: RegionalPrices) -> Verdict:
    """`aws:ec2/vpcEndpoint:VpcEndpoint`: one of a gateway is free, an interface is paid in each zone."""
    if planned.unknown("vpcEndpointType"):
        return not_estimated(f"its type {LATER}")
    kind = planned.text("vpcEndpointType") or "Gateway"
    if kind == "Gateway":
        return Verdict()
    if kind != "Interface":
        return not_estimated(f"the price table has no endpoint of type {kind}")
    subnets = planned.sequence("subnetIds")
    zones = len(subnets) if subnets is not None else _zones(plan)
    if not zones:
        return not_estimated(f"its zones {LATER}")
    usd = zones * prices.monthly("interface_endpoint_zone_hour")
    return charged(steady(f"interface endpoint in {zones} {'zone' if zones == 1 else 'zones'}", usd))


def load_balancer(planned: Planned, plan: Plan, prices: RegionalPrices) -> Verdict:
    """`aws:lb/loadBalancer:LoadBalancer`, an application's unless it says otherwise."""
    del plan
    if planned.unknown("loadBalancerType"):
        return not_estimated(f"its type {LATER}")
    return _load_balancer(planned.text("loadBalancerType") or "application", prices)


def cluster_service(planned: Planned, plan: Plan, prices: RegionalPrices) -> Verdict:
    """A Service of a cluster of the stack's own: one of type LoadBalancer makes a network load balancer."""
    del plan
    if planned.unknown("spec", "type"):
        return not_estimated(f"its type {LATER}")
    return _load_balancer("network", prices) if planned.text("spec", "type") == "LoadBalancer" else Verdict()


def cluster_ingress(planned: Planned, plan: Plan, prices: RegionalPrices) -> Verdict:
    """An Ingress: what stands behind it is the controller's, of which the stack knows nothing."""
    del planned, plan, prices
    return not_estimated("the load balancer before it belongs to its controller")


def control_plane(planned: Planned, plan: Plan, prices: RegionalPrices) -> Verdict:
    """`aws:eks/cluster:Cluster`, of a version in standard support."""
    del planned, plan
    return Verdict(
        (steady("EKS control plane", prices.monthly("eks_cluster_hour")),),
        notes=frozenset(
            {"the Kubernetes version is in standard support; afterwards the control plane costs 6 times that"}
        ),
    )


def more_nodes(planned: Planned, plan: Plan, prices: RegionalPrices) -> Verdict:
    """Karpenter's pools, which make nodes of types that only the pods decide."""
    del planned, plan, prices
    return not_estimated("which nodes it makes, and how many, the waiting pods decide")


def _zones(plan: Plan) -> int:
    return len({zone for each in plan.of_type("aws:ec2/subnet:Subnet") if (zone := each.text("availabilityZone"))})


def _load_balancer(kind: str, prices: RegionalPrices) -> Verdict:
    unit = f"load_balancer_unit_hour_{kind}"
    if not prices.has(unit):
        return not_estimated(f"the price table has no load balancer of type {kind}")
    units = prices.assumed("load_balancer_units") * prices.monthly(unit)
    return charged(steady(f"{kind} load balancer", prices.monthly("load_balancer_hour") + units))
