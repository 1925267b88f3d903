"""AWS resources as a plan of Terraform, which is what checkov's rules for AWS read.

The provider is Terraform's own, bridged: its types and properties have the same names but for Pulumi's spelling.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, cast

from recording import Declared

_TYPES = {
    "aws:cloudwatch/eventRule:EventRule": "aws_cloudwatch_event_rule",
    "aws:cloudwatch/eventTarget:EventTarget": "aws_cloudwatch_event_target",
    "aws:cloudwatch/logGroup:LogGroup": "aws_cloudwatch_log_group",
    "aws:cloudwatch/metricAlarm:MetricAlarm": "aws_cloudwatch_metric_alarm",
    "aws:ebs/volume:Volume": "aws_ebs_volume",
    "aws:lb/loadBalancer:LoadBalancer": "aws_lb",
    "aws:rds/instance:Instance": "aws_db_instance",
    "aws:rds/parameterGroup:ParameterGroup": "aws_db_parameter_group",
    "aws:rds/subnetGroup:SubnetGroup": "aws_db_subnet_group",
}
# Modules of Pulumi that Terraform has no prefix for.
_WITHOUT_PREFIX = ("ec2", "ec2transitgateway", "rds")
_PREFIXES = {"elasticache": "elasticache", "vpc": "vpc"}
_MAPS = ("tags", "tags_all", "labels", "parameters", "variables")
_BLOCKS = {
    "default_actions": "default_action",
    "encryption_configurations": "encryption_configuration",
    "ebs_block_devices": "ebs_block_device",
    "image_tag_mutability_exclusion_filters": "image_tag_mutability_exclusion_filter",
    "metric_queries": "metric_query",
    "taints": "taint",
}
_WORD = re.compile(r"(?<!^)(?=[A-Z])")


def plan(resources: Iterable[Declared]) -> dict[str, Any]:
    """The plan that makes the AWS resources among these."""
    planned = [_planned(each) for each in resources if each.type.startswith("aws:")]
    changes = [
        {**{name: each[name] for name in ("address", "mode", "type", "name")}, "change": _created(each["values"])}
        for each in planned
    ]
    return {
        "format_version": "1.2",
        "terraform_version": "1.9.0",
        "planned_values": {"root_module": {"resources": planned}},
        "resource_changes": changes,
    }


def _created(values: Mapping[str, Any]) -> dict[str, Any]:
    return {"actions": ["create"], "before": None, "after": values, "after_unknown": {}}


def _planned(each: Declared) -> dict[str, Any]:
    kind, name = terraform_type(each.type), re.sub(r"\W", "_", each.name)
    values = {key: value for key, value in _values(each.inputs).items() if value is not None}
    return {"address": f"{kind}.{name}", "mode": "managed", "type": kind, "name": name, "values": values}


def terraform_type(token: str) -> str:
    """A type's name in Terraform."""
    if token in _TYPES:
        return _TYPES[token]
    _, place, name = token.split(":")
    module = place.partition("/")[0]
    words = _snake(name[0].lower() + name[1:])
    return f"aws_{words}" if module in _WITHOUT_PREFIX else f"aws_{_PREFIXES.get(module, module)}_{words}"


def _snake(name: str) -> str:
    return _WORD.sub("_", name).lower()


def _values(given: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in given.items():
        key = _snake(name)
        key = _BLOCKS.get(key, key)
        found[key] = value if key in _MAPS else _value(value)
    return found


def _value(value: Any) -> Any:
    """A block is a list of one there."""
    if isinstance(value, Mapping):
        return [_values(cast(Mapping[str, Any], value))]
    if isinstance(value, list):
        inner = cast(list[Any], value)
        return [_values(cast(Mapping[str, Any], each)) if isinstance(each, Mapping) else each for each in inner]
    return value
