"""Logs, alarms and event rules in the emulator."""

from collections.abc import Mapping
from typing import Any

from engine.standins.aws_emulator.kind import Kind, Tagging

_GROUP = {"logGroupName": "id"}
_RULE = {"Name": "rule"}


def _retain(client: Any, known: Mapping[str, Any]) -> None:
    if known.get("retentionInDays"):
        client.put_retention_policy(logGroupName=known["id"], retentionInDays=int(known["retentionInDays"]))


def _put_target(client: Any, known: Mapping[str, Any]) -> Any:
    target = {"Id": known["targetId"], "Arn": known["arn"]}
    for name, parameter in (("roleArn", "RoleArn"), ("input", "Input"), ("inputPath", "InputPath")):
        if known.get(name):
            target[parameter] = known[name]
    return client.put_targets(Rule=known["rule"], Targets=[target])


def _target(client: Any, known: Mapping[str, Any]) -> Any:
    found = client.list_targets_by_rule(Rule=known["rule"])["Targets"]
    return next(({"Arn": each["Arn"]} for each in found if each["Id"] == known["targetId"]), None)


def _remove_target(client: Any, known: Mapping[str, Any]) -> None:
    client.remove_targets(Rule=known["rule"], Ids=[known["targetId"]])


KINDS = {
    "cloudwatch/logGroup": Kind(
        "logs",
        "create_log_group",
        names={"name": "logGroupName"},
        read="describe_log_groups",
        read_keys={"logGroupNamePrefix": "id"},
        found="logGroups[0]",
        delete="delete_log_group",
        delete_keys=_GROUP,
        tagging=Tagging("tag_resource", "untag_resource", {"resourceArn": "arn"}),
        after=_retain,
    ),
    "cloudwatch/metricAlarm": Kind(
        "cloudwatch",
        "put_metric_alarm",
        names={
            "name": "AlarmName",
            "alarmDescription": "AlarmDescription",
            "metricQueries": "Metrics",
            "datapointsToAlarm": "DatapointsToAlarm",
        },
        put=True,
        read="describe_alarms",
        read_keys={"AlarmNames": "id"},
        found="MetricAlarms[0]",
        outputs={"arn": "AlarmArn"},
        delete="delete_alarms",
        delete_keys={"AlarmNames": "id"},
    ),
    "cloudwatch/eventRule": Kind(
        "events",
        "put_rule",
        put=True,
        read="describe_rule",
        read_keys={"Name": "id"},
        outputs={"arn": "Arn"},
        delete="delete_rule",
        delete_keys={"Name": "id"},
        tagging=Tagging("tag_resource", "untag_resource", {"ResourceARN": "arn"}),
    ),
    "cloudwatch/eventTarget": Kind("events", _put_target, read=_target, delete=_remove_target, after=_put_target),
}
