"""The way to the collector of spans, out of a namespace that otherwise reaches nothing."""

from agent_fleet import CollectorArgs, EgressArgs, TenantNamespaceArgs

from settings.model import Settings


def open_way_to_collector(space: TenantNamespaceArgs, settings: Settings) -> None:
    """Let a namespace's pods reach the collector, if there is one: a Service's pods, or one address."""
    telemetry = settings.telemetry
    if telemetry.collector_namespace is not None:
        space["collector"] = CollectorArgs(namespace=telemetry.collector_namespace, port=telemetry.collector_port)
    elif telemetry.collector_address is not None:
        way = EgressArgs(cidr=f"{telemetry.collector_address}/32", ports=[telemetry.collector_port])
        space["egress"] = [*space.get("egress", []), way]
