"""Instances, volumes, launch templates and autoscaling groups in the emulator."""

from collections.abc import Mapping
from typing import Any

from engine.standins.aws_emulator import shapes
from engine.standins.aws_emulator.kind import Kind, Step
from engine.standins.aws_emulator.network import TAGGING

_GROUP = {"AutoScalingGroupName": "id"}
_TEMPLATE_NAMES = {
    "name": "LaunchTemplateName",
    "description": "VersionDescription",
    "vpcSecurityGroupIds": "LaunchTemplateData.SecurityGroupIds",
    "updateDefaultVersion": "",
}


def _new_template_version(client: Any, known: Mapping[str, Any]) -> None:
    """A version for what the template now is; its own tags are no part of one."""
    if not {*known["__changed"]} - {"tags", "updateDefaultVersion"}:
        return
    shape = client.meta.service_model.operation_model("CreateLaunchTemplateVersion").input_shape
    inner = shape.members["LaunchTemplateData"]
    data: dict[str, Any] = {}
    for name in _content(known):
        own = "SecurityGroupIds" if name == "vpcSecurityGroupIds" else shapes.member(inner, name)
        if own:
            data[own] = shapes.convert(known[name], inner.members[own])
    version = client.create_launch_template_version(LaunchTemplateId=known["id"], LaunchTemplateData=data)
    if known.get("updateDefaultVersion"):
        number = str(version["LaunchTemplateVersion"]["VersionNumber"])
        client.modify_launch_template(LaunchTemplateId=known["id"], DefaultVersion=number)


def _content(known: Mapping[str, Any]) -> list[str]:
    """The properties that make a version; the state's own outputs are none."""
    own = ("tags", "tagsAll", "id", "arn", "name", "latestVersion", "defaultVersion", "region", "description")
    return [name for name, value in known.items() if name not in own and value is not None and name[:2] != "__"]


def _attachment(client: Any, known: Mapping[str, Any]) -> Any:
    for volume in client.describe_volumes(VolumeIds=[known["volumeId"]])["Volumes"]:
        for each in volume["Attachments"]:
            if each["InstanceId"] == known["instanceId"]:
                return {"state": each["State"]}
    return None


def _warm_pool(client: Any, known: Mapping[str, Any]) -> None:
    if pool := known.get("warmPool"):
        shape = client.meta.service_model.operation_model("PutWarmPool").input_shape
        arguments: dict[str, Any] = {}
        for name, value in pool.items():
            target = shapes.member(shape, name)
            if target and value is not None:
                arguments[target] = shapes.convert(value, shape.members[target])
        client.put_warm_pool(AutoScalingGroupName=known["id"], **arguments)


KINDS = {
    "ec2/instance": Kind(
        "ec2",
        "run_instances",
        "Instances[0].InstanceId",
        names={
            "ami": "ImageId",
            "vpcSecurityGroupIds": "SecurityGroupIds",
            "iamInstanceProfile": "IamInstanceProfile.Name",
            "availabilityZone": "Placement.AvailabilityZone",
            "rootBlockDevice": "",
            "ebsBlockDevices": "",
            "userDataBase64": "",
        },
        constants={"MinCount": 1, "MaxCount": 1},
        tag_type="instance",
        read="describe_instances",
        read_keys={"InstanceIds": "id"},
        found="Reservations[0].Instances[?State.Name != 'terminated'] | [0]",
        outputs={
            "privateIp": "PrivateIpAddress",
            "privateDns": "PrivateDnsName",
            "instanceState": "State.Name",
            "primaryNetworkInterfaceId": "NetworkInterfaces[0].NetworkInterfaceId",
        },
        delete="terminate_instances",
        delete_keys={"InstanceIds": "id"},
        tagging=TAGGING,
    ),
    "ebs/volume": Kind(
        "ec2",
        "create_volume",
        "VolumeId",
        names={"type": "VolumeType"},
        tag_type="volume",
        read="describe_volumes",
        read_keys={"VolumeIds": "id"},
        found="Volumes[0]",
        steps=(
            Step(
                "modify_volume",
                {"VolumeId": "id"},
                ("size", "type", "iops", "throughput"),
                names={"type": "VolumeType"},
                on_create=False,
            ),
        ),
        delete="delete_volume",
        delete_keys={"VolumeId": "id"},
        tagging=TAGGING,
    ),
    "ec2/volumeAttachment": Kind(
        "ec2",
        "attach_volume",
        names={"deviceName": "Device"},
        read=_attachment,
        delete="detach_volume",
        delete_keys={"VolumeId": "volumeId", "InstanceId": "instanceId"},
    ),
    "ec2/launchTemplate": Kind(
        "ec2",
        "create_launch_template",
        "LaunchTemplate.LaunchTemplateId",
        names=_TEMPLATE_NAMES,
        wrap="LaunchTemplateData",
        tag_type="launch-template",
        read="describe_launch_templates",
        read_keys={"LaunchTemplateIds": "id"},
        found="LaunchTemplates[0]",
        outputs={"latestVersion": "LatestVersionNumber", "defaultVersion": "DefaultVersionNumber"},
        delete="delete_launch_template",
        delete_keys={"LaunchTemplateId": "id"},
        tagging=TAGGING,
        on_change=_new_template_version,
    ),
    "autoscaling/group": Kind(
        "autoscaling",
        "create_auto_scaling_group",
        names={
            "name": "AutoScalingGroupName",
            "vpcZoneIdentifiers": "VPCZoneIdentifier",
            "initialLifecycleHooks": "LifecycleHookSpecificationList",
            "enabledMetrics": "",
        },
        read="describe_auto_scaling_groups",
        read_keys={"AutoScalingGroupNames": "id"},
        found="AutoScalingGroups[0]",
        outputs={"arn": "AutoScalingGroupARN"},
        steps=(
            Step(
                "update_auto_scaling_group",
                _GROUP,
                (
                    "minSize",
                    "maxSize",
                    "desiredCapacity",
                    "launchTemplate",
                    "mixedInstancesPolicy",
                    "vpcZoneIdentifiers",
                    "healthCheckType",
                    "healthCheckGracePeriod",
                    "terminationPolicies",
                    "capacityRebalance",
                    "protectFromScaleIn",
                    "maxInstanceLifetime",
                    "defaultInstanceWarmup",
                ),
                names={"vpcZoneIdentifiers": "VPCZoneIdentifier"},
                on_create=False,
            ),
        ),
        delete="delete_auto_scaling_group",
        delete_keys=_GROUP,
        delete_constants={"ForceDelete": True},
        after=_warm_pool,
    ),
    "autoscaling/lifecycleHook": Kind(
        "autoscaling",
        "put_lifecycle_hook",
        names={"name": "LifecycleHookName", "autoscalingGroupName": "AutoScalingGroupName"},
        put=True,
        read="describe_lifecycle_hooks",
        read_keys={"AutoScalingGroupName": "autoscalingGroupName", "LifecycleHookNames": "name"},
        found="LifecycleHooks[0]",
        delete="delete_lifecycle_hook",
        delete_keys={"AutoScalingGroupName": "autoscalingGroupName", "LifecycleHookName": "name"},
    ),
    "autoscaling/policy": Kind(
        "autoscaling",
        "put_scaling_policy",
        names={"name": "PolicyName", "autoscalingGroupName": "AutoScalingGroupName"},
        put=True,
        read="describe_policies",
        read_keys={"AutoScalingGroupName": "autoscalingGroupName", "PolicyNames": "name"},
        found="ScalingPolicies[0]",
        outputs={"arn": "PolicyARN"},
        delete="delete_policy",
        delete_keys={"AutoScalingGroupName": "autoscalingGroupName", "PolicyName": "name"},
    ),
}
