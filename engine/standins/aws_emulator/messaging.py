"""SQS and SNS in the emulator."""

import threading
from collections.abc import Mapping
from typing import Any

from engine.standins.aws_emulator import shapes
from engine.standins.aws_emulator.kind import Kind, Tagging

_QUEUE_NAMES = {
    "name": "QueueName",
    "visibilityTimeoutSeconds": "Attributes.VisibilityTimeout",
    "messageRetentionSeconds": "Attributes.MessageRetentionPeriod",
    "receiveWaitTimeSeconds": "Attributes.ReceiveMessageWaitTimeSeconds",
    "delaySeconds": "Attributes.DelaySeconds",
    "maxMessageSize": "Attributes.MaximumMessageSize",
    "redrivePolicy": "Attributes.RedrivePolicy",
    "redriveAllowPolicy": "Attributes.RedriveAllowPolicy",
    "policy": "Attributes.Policy",
    "sqsManagedSseEnabled": "Attributes.SqsManagedSseEnabled",
    "kmsMasterKeyId": "Attributes.KmsMasterKeyId",
    "kmsDataKeyReusePeriodSeconds": "Attributes.KmsDataKeyReusePeriodSeconds",
    "fifoQueue": "Attributes.FifoQueue",
    "contentBasedDeduplication": "Attributes.ContentBasedDeduplication",
}
_ONCE = ("name", "fifoQueue")
_LOCK = threading.Lock()


def _set(client: Any, url: str, attributes: dict[str, str]) -> None:
    """Set attributes of a queue. moto forgets a queue's policy when anything else of it is set, so it is set anew."""
    with _LOCK:
        if "Policy" not in attributes:
            answer = client.get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"])
            attributes = {**answer.get("Attributes", {}), **attributes}
        client.set_queue_attributes(QueueUrl=url, Attributes=attributes)


def _change_queue(client: Any, known: Mapping[str, Any]) -> None:
    changed = {
        target.removeprefix("Attributes."): shapes.text(known[name]) if known.get(name) is not None else ""
        for name, target in _QUEUE_NAMES.items()
        if name in known["__changed"] and name not in _ONCE
    }
    if changed:
        _set(client, known["id"], changed)


def _attribute(name: str, parameter: str, shown: str) -> Kind:
    """A resource that is one attribute of a queue; `shown` is what a read asks for."""

    def put(client: Any, known: Mapping[str, Any]) -> None:
        _set(client, known["queueUrl"], {parameter: shapes.text(known[name])})

    def remove(client: Any, known: Mapping[str, Any]) -> None:
        _set(client, known["queueUrl"], {parameter: ""})

    return Kind(
        "sqs",
        put,
        read="get_queue_attributes",
        read_keys={"QueueUrl": "queueUrl"},
        read_constants={"AttributeNames": [shown]},
        found=f"Attributes.{shown}",
        delete=remove,
        on_change=put,
    )


KINDS = {
    "sqs/queue": Kind(
        "sqs",
        "create_queue",
        "QueueUrl",
        names=_QUEUE_NAMES,
        read="get_queue_attributes",
        read_keys={"QueueUrl": "id"},
        read_constants={"AttributeNames": ["All"]},
        found="Attributes",
        outputs={
            "arn": "QueueArn",
            "visibilityTimeoutSeconds": "VisibilityTimeout",
            "messageRetentionSeconds": "MessageRetentionPeriod",
            "receiveWaitTimeSeconds": "ReceiveMessageWaitTimeSeconds",
            "delaySeconds": "DelaySeconds",
        },
        delete="delete_queue",
        delete_keys={"QueueUrl": "id"},
        tagging=Tagging("tag_queue", "untag_queue", {"QueueUrl": "id"}),
        on_change=_change_queue,
    ),
    "sqs/queuePolicy": _attribute("policy", "Policy", "Policy"),
    "sqs/redrivePolicy": _attribute("redrivePolicy", "RedrivePolicy", "RedrivePolicy"),
    # moto takes this attribute and shows it to nobody: so it is there as long as its queue is.
    "sqs/redriveAllowPolicy": _attribute("redriveAllowPolicy", "RedriveAllowPolicy", "QueueArn"),
    "sns/topic": Kind(
        "sns",
        "create_topic",
        "TopicArn",
        names={"kmsMasterKeyId": "Attributes.KmsMasterKeyId", "policy": "Attributes.Policy"},
        read="get_topic_attributes",
        read_keys={"TopicArn": "id"},
        found="Attributes",
        outputs={"arn": "TopicArn"},
        delete="delete_topic",
        delete_keys={"TopicArn": "id"},
        tagging=Tagging("tag_resource", "untag_resource", {"ResourceArn": "id"}),
    ),
}
