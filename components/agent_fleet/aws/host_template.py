"""The launch template of hosts in a group: encrypted disk, IMDSv2 for the host alone, no key, no address of its own."""

from collections.abc import Mapping

import pulumi
import pulumi_aws as aws

from agent_fleet.aws.worker_group_args import HostArgs

_NEWEST = "resolve:ssm:/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-"
"""Resolved by EC2 when a host starts, so that no plan changes by itself:
https://docs.aws.amazon.com/autoscaling/ec2/userguide/using-systems-manager-parameters.html"""
_PROCESSORS = {"amd64": "x86_64", "arm64": "arm64"}
ROOT_DEVICE = "/dev/xvda"


def declare_host_template(
    name: str,
    host: HostArgs,
    user_data: pulumi.Input[str],
    instance_type: pulumi.Input[str] | None,
    own_tags: Mapping[str, pulumi.Input[str]],
    options: pulumi.ResourceOptions,
) -> aws.ec2.LaunchTemplate:
    """Declare it; `instance_type` is None where the group's policy names several.

    Another image, role or disk is a new version of it, by which a group replaces its hosts one after the other.
    """
    processors = _PROCESSORS.get(host["image_architecture"])
    if processors is None:
        raise ValueError(
            f"image_architecture: {host['image_architecture']!r} was given; it is one of {', '.join(_PROCESSORS)}."
        )
    return aws.ec2.LaunchTemplate(
        name,
        update_default_version=True,
        image_id=host.get("machine_image", f"{_NEWEST}{processors}"),
        instance_type=instance_type,
        iam_instance_profile=aws.ec2.LaunchTemplateIamInstanceProfileArgs(arn=host["instance_profile_arn"]),
        # In a private subnet, and entered through Session Manager: neither an address nor a key.
        network_interfaces=[
            aws.ec2.LaunchTemplateNetworkInterfaceArgs(
                associate_public_ip_address="false",
                delete_on_termination="true",
                security_groups=[host["security_group_id"]],
            )
        ],
        metadata_options=aws.ec2.LaunchTemplateMetadataOptionsArgs(
            http_endpoint="enabled",
            http_tokens="required",
            # One hop: packets of a container with a network of its own make two, so no sandbox reaches the host's role.
            http_put_response_hop_limit=1,
            instance_metadata_tags="disabled",
        ),
        block_device_mappings=[
            aws.ec2.LaunchTemplateBlockDeviceMappingArgs(
                device_name=ROOT_DEVICE,
                ebs=aws.ec2.LaunchTemplateBlockDeviceMappingEbsArgs(
                    volume_type="gp3",
                    volume_size=host["disk_gibibytes"],
                    encrypted="true",
                    delete_on_termination="true",
                ),
            )
        ],
        monitoring=aws.ec2.LaunchTemplateMonitoringArgs(enabled=True),
        # systemd stops the units in their order and lets them drain.
        instance_initiated_shutdown_behavior="terminate",
        user_data=user_data,
        tag_specifications=[
            aws.ec2.LaunchTemplateTagSpecificationArgs(resource_type=kind, tags={**own_tags, "Name": name})
            for kind in ("instance", "volume", "network-interface")
        ],
        tags=own_tags,
        opts=options,
    )
