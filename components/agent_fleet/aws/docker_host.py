"""`DockerHost`: one instance on which the whole fleet runs, replaceable, with its data on a disk of its own."""

import pulumi
import pulumi_aws as aws

from agent_fleet.aws.docker_host_args import DockerHostArgs
from agent_fleet.aws.docker_host_network import declare_interface, declare_security_group
from agent_fleet.aws.host_template import ROOT_DEVICE
from agent_fleet.aws.resource_tags import tags

_NEWEST = "resolve:ssm:/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-"
"""Resolved by EC2 when the instance is made, so that no plan changes by itself:
https://docs.aws.amazon.com/linux/al2023/ug/ec2.html"""
_PROCESSORS = {"amd64": "x86_64", "arm64": "arm64"}
_DATA_DEVICE = "/dev/sdf"


class DockerHost(pulumi.ComponentResource):
    """An instance with Docker and systemd, in a private subnet unless a public address is asked for.

    A changed program, image or secret replaces the instance: the old one stops, the data disk and the addresses pass to
    the new one, and what was accepted is still there. Nobody enters it but by Session Manager.
    """

    instance_id: pulumi.Output[str]
    """The instance."""
    security_group_id: pulumi.Output[str]
    """Its security group."""
    public_address: pulumi.Output[str]
    """Its public IPv4 address; empty if it has none."""

    def __init__(self, name: str, args: DockerHostArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Declare the host and all it has; see `DockerHostArgs`. Raises ValueError for unknown processors."""
        if args["processors"] not in _PROCESSORS:
            raise ValueError(f"processors: {args['processors']!r} was given; it is one of {', '.join(_PROCESSORS)}.")
        super().__init__("agent-fleet:index:DockerHost", name, {}, opts)
        options = pulumi.ResourceOptions(parent=self)
        own_tags = tags(args["fleet"], "host", args.get("owner"), name=name)
        group = declare_security_group(
            name,
            vpc_id=args["vpc_id"],
            public_client_cidrs=args["public_client_cidrs"],
            public_port=args["public_port"],
            egress_ports=args["egress_ports"],
            own_tags=own_tags,
            options=options,
        )
        interface, address = declare_interface(
            name,
            subnet_id=args["subnet_id"],
            group=group,
            public=bool(args["public_client_cidrs"]),
            own_tags=own_tags,
            options=options,
        )
        given_image = args.get("machine_image")
        instance = aws.ec2.Instance(
            name,
            ami=given_image,
            launch_template=None if given_image is not None else self._newest_image(name, args, own_tags),
            instance_type=args["instance_type"],
            primary_network_interface=aws.ec2.InstancePrimaryNetworkInterfaceArgs(network_interface_id=interface.id),
            iam_instance_profile=args["instance_profile_name"],
            metadata_options=aws.ec2.InstanceMetadataOptionsArgs(
                http_endpoint="enabled",
                http_tokens="required",
                # One hop: what a container with a network of its own sends makes two, so no sandbox gets the role.
                http_put_response_hop_limit=1,
                instance_metadata_tags="disabled",
            ),
            root_block_device=None if given_image is None else self._root_disk(name, args, own_tags),
            ebs_optimized=True,
            monitoring=True,
            # For everybody else; Pulumi takes it off when it replaces the instance.
            disable_api_termination=args["deletion_protection"],
            user_data_base64=args["user_data"],
            user_data_replace_on_change=True,
            tags=own_tags,
            opts=pulumi.ResourceOptions(
                parent=self,
                # The disk and the interface are one instance's at a time.
                delete_before_replace=True,
                replace_on_changes=["launchTemplate"],
                depends_on=[address] if address is not None else [],
            ),
        )
        aws.ec2.VolumeAttachment(
            f"{name}-data",
            device_name=_DATA_DEVICE,
            volume_id=args["data_volume_id"],
            instance_id=instance.id,
            # systemd stops the database before the disk goes.
            stop_instance_before_detaching=True,
            opts=pulumi.ResourceOptions(parent=self, delete_before_replace=True),
        )
        self.instance_id = instance.id
        self.security_group_id = group.id
        self.public_address = pulumi.Output.from_input("") if address is None else address.public_ip
        self.register_outputs(
            {
                "instance_id": self.instance_id,
                "security_group_id": self.security_group_id,
                "public_address": self.public_address,
            }
        )

    def _root_disk(
        self, name: str, args: DockerHostArgs, own_tags: dict[str, pulumi.Input[str]]
    ) -> aws.ec2.InstanceRootBlockDeviceArgs:
        return aws.ec2.InstanceRootBlockDeviceArgs(
            volume_type="gp3",
            volume_size=args["root_gibibytes"],
            encrypted=True,
            delete_on_termination=True,
            tags={**own_tags, "Name": f"{name}-root"},
        )

    def _newest_image(
        self, name: str, args: DockerHostArgs, own_tags: dict[str, pulumi.Input[str]]
    ) -> aws.ec2.InstanceLaunchTemplateArgs:
        """A template of the machine image and its disk: an instance itself takes no name of an image that moves.

        The disk is not the instance's, because the provider then looks for the image by that name, and AWS refuses it:
        https://github.com/hashicorp/terraform-provider-aws/issues/43488
        """
        template = aws.ec2.LaunchTemplate(
            name,
            image_id=f"{_NEWEST}{_PROCESSORS[args['processors']]}",
            update_default_version=True,
            metadata_options=aws.ec2.LaunchTemplateMetadataOptionsArgs(
                http_endpoint="enabled", http_tokens="required", http_put_response_hop_limit=1
            ),
            block_device_mappings=[
                aws.ec2.LaunchTemplateBlockDeviceMappingArgs(
                    device_name=ROOT_DEVICE,
                    ebs=aws.ec2.LaunchTemplateBlockDeviceMappingEbsArgs(
                        volume_type="gp3",
                        volume_size=args["root_gibibytes"],
                        encrypted="true",
                        delete_on_termination="true",
                    ),
                )
            ],
            tag_specifications=[
                aws.ec2.LaunchTemplateTagSpecificationArgs(
                    resource_type="volume", tags={**own_tags, "Name": f"{name}-root"}
                )
            ],
            tags=own_tags,
            opts=pulumi.ResourceOptions(parent=self),
        )
        return aws.ec2.InstanceLaunchTemplateArgs(
            id=template.id, version=template.latest_version.apply(lambda number: str(int(number)))
        )
