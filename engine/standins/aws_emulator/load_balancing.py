"""Load balancers in the emulator."""

from collections.abc import Mapping
from typing import Any

from engine.standins.aws_emulator import shapes
from engine.standins.aws_emulator.kind import Kind, Step, Tagging

_TAGGING = Tagging("add_tags", "remove_tags", {"ResourceArns": "id"})


def _balancer_attributes(client: Any, known: Mapping[str, Any]) -> None:
    attributes = {
        "deletion_protection.enabled": known.get("enableDeletionProtection"),
        "idle_timeout.timeout_seconds": known.get("idleTimeout"),
        "routing.http.drop_invalid_header_fields.enabled": known.get("dropInvalidHeaderFields"),
    }
    given = [{"Key": key, "Value": str(value).lower()} for key, value in attributes.items() if value is not None]
    if given:
        client.modify_load_balancer_attributes(LoadBalancerArn=known["id"], Attributes=given)


def _target_attributes(client: Any, known: Mapping[str, Any]) -> None:
    if (seconds := known.get("deregistrationDelay")) is not None:
        attribute = {"Key": "deregistration_delay.timeout_seconds", "Value": str(seconds)}
        client.modify_target_group_attributes(TargetGroupArn=known["id"], Attributes=[attribute])


def _target_group(client: Any, inputs: Mapping[str, Any]) -> Any:
    """Its health check stands flat in the API."""
    shape = client.meta.service_model.operation_model("CreateTargetGroup").input_shape
    check = inputs.get("healthCheck") or {}
    names = {
        "enabled": "HealthCheckEnabled",
        "interval": "HealthCheckIntervalSeconds",
        "path": "HealthCheckPath",
        "port": "HealthCheckPort",
        "protocol": "HealthCheckProtocol",
        "timeout": "HealthCheckTimeoutSeconds",
        "healthyThreshold": "HealthyThresholdCount",
        "unhealthyThreshold": "UnhealthyThresholdCount",
    }
    arguments = {names[name]: value for name, value in check.items() if name in names and value is not None}
    if check.get("matcher"):
        arguments["Matcher"] = {"HttpCode": check["matcher"]}
    for name in ("name", "port", "protocol", "protocolVersion", "vpcId", "targetType"):
        target = shapes.member(shape, name)
        if target and inputs.get(name) is not None:
            arguments[target] = inputs[name]
    arguments = {name: shapes.convert(value, shape.members[name]) for name, value in arguments.items()}
    if inputs.get("tags"):
        arguments["Tags"] = shapes.pairs(inputs["tags"], shape.members["Tags"])
    return client.create_target_group(**arguments)


def _balancer(client: Any, inputs: Mapping[str, Any]) -> Any:
    arguments: dict[str, Any] = {
        "Name": inputs["name"],
        "Subnets": inputs.get("subnets") or [each["subnetId"] for each in inputs.get("subnetMappings") or []],
        "SecurityGroups": inputs.get("securityGroups") or [],
        "Scheme": "internal" if inputs.get("internal") else "internet-facing",
        "Type": inputs.get("loadBalancerType") or "application",
        "Tags": [{"Key": key, "Value": str(value)} for key, value in (inputs.get("tags") or {}).items()],
    }
    return client.create_load_balancer(**{name: value for name, value in arguments.items() if value})


KINDS = {
    "lb/loadBalancer": Kind(
        "elbv2",
        _balancer,
        "LoadBalancers[0].LoadBalancerArn",
        read="describe_load_balancers",
        read_keys={"LoadBalancerArns": "id"},
        found="LoadBalancers[0]",
        outputs={"arn": "LoadBalancerArn", "dnsName": "DNSName", "zoneId": "CanonicalHostedZoneId"},
        delete="delete_load_balancer",
        delete_keys={"LoadBalancerArn": "id"},
        tagging=_TAGGING,
        after=_balancer_attributes,
    ),
    "lb/targetGroup": Kind(
        "elbv2",
        _target_group,
        "TargetGroups[0].TargetGroupArn",
        read="describe_target_groups",
        read_keys={"TargetGroupArns": "id"},
        found="TargetGroups[0]",
        outputs={"arn": "TargetGroupArn"},
        delete="delete_target_group",
        delete_keys={"TargetGroupArn": "id"},
        tagging=_TAGGING,
        after=_target_attributes,
    ),
    "lb/listener": Kind(
        "elbv2",
        "create_listener",
        "Listeners[0].ListenerArn",
        names={"certificateArn": "Certificates.CertificateArn"},
        read="describe_listeners",
        read_keys={"ListenerArns": "id"},
        found="Listeners[0]",
        outputs={"arn": "ListenerArn"},
        steps=(
            Step(
                "modify_listener",
                {"ListenerArn": "id"},
                ("port", "protocol", "sslPolicy", "defaultActions"),
                on_create=False,
            ),
        ),
        delete="delete_listener",
        delete_keys={"ListenerArn": "id"},
        tagging=_TAGGING,
    ),
}
