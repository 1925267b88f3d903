"""The shared workspace on EFS: one file system, and a storage class that gives each claim a directory of its own."""

from collections.abc import Sequence
from typing import NotRequired, TypedDict

import pulumi
import pulumi_aws as aws
import pulumi_kubernetes as kubernetes

from agent_fleet.aws.policy_documents import document, key_policy, tls_only
from agent_fleet.aws.resource_tags import tags

PROVISIONER = "efs.csi.aws.com"
NFS_PORT = 2049
DIRECTORY_PERMISSIONS = "0770"
KEY_DELETION_DAYS = 30


class SharedWorkspaceArgs(TypedDict):
    """Where the files are, and whose they are."""

    fleet: pulumi.Input[str]
    """The fleet's name, for the tags."""
    vpc_id: pulumi.Input[str]
    """The VPC."""
    zones: Sequence[str]
    """The zones of `subnet_ids`, in their order. Plain: each gets a mount target."""
    subnet_ids: pulumi.Input[Sequence[pulumi.Input[str]]]
    """One private subnet for each zone."""
    client_security_group_id: pulumi.Input[str]
    """The nodes that may mount it; never those of untrusted work."""
    storage_class_name: str
    """The name of the StorageClass. Plain."""
    uid: pulumi.Input[int]
    """Every file belongs to this user, whatever a pod runs as: EFS's access points replace the client's. So it must be
    the image's user."""
    gid: pulumi.Input[int]
    """Every file belongs to this group."""
    deletion_protection: NotRequired[bool]
    """Whether Pulumi refuses to delete the file system; true if left out. Plain: `protect` follows it."""
    owner: NotRequired[pulumi.Input[str]]
    """The `owner` tag."""


class SharedWorkspace(pulumi.ComponentResource):
    """An encrypted file system with backups, mounted over TLS by an access point for each claim.

    EFS ignores the size of a claim: what bounds a team is what it pays for.
    """

    file_system_id: pulumi.Output[str]
    """The file system. Known only when every zone can mount it."""
    storage_class: pulumi.Output[str]
    """The StorageClass, for claims of ReadWriteMany."""

    def __init__(self, name: str, args: SharedWorkspaceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Declare file system and class; see `SharedWorkspaceArgs`. `opts` brings the Kubernetes provider."""
        super().__init__("agent-fleet:index:SharedWorkspace", name, {}, opts)
        options = pulumi.ResourceOptions(parent=self)
        protected = pulumi.ResourceOptions(parent=self, protect=args.get("deletion_protection", True))
        own_tags = tags(args["fleet"], "workspace", args.get("owner"), name=name)
        group = aws.ec2.SecurityGroup(
            name, description="NFS from the nodes", vpc_id=args["vpc_id"], tags=own_tags, opts=options
        )
        aws.vpc.SecurityGroupIngressRule(
            name,
            security_group_id=group.id,
            description="NFS from the nodes",
            ip_protocol="tcp",
            from_port=NFS_PORT,
            to_port=NFS_PORT,
            referenced_security_group_id=args["client_security_group_id"],
            tags=own_tags,
            opts=options,
        )
        # Renaming either resource replaces the file system and so destroys every workspace.
        key = aws.kms.Key(
            name,
            description=f"Files of {name}",
            enable_key_rotation=True,
            deletion_window_in_days=KEY_DELETION_DAYS,
            # The account is in the ARN of any resource; the group's is at hand.
            policy=key_policy(group.arn),
            tags=own_tags,
            opts=protected,
        )
        files = aws.efs.FileSystem(
            name,
            encrypted=True,
            kms_key_id=key.arn,
            performance_mode="generalPurpose",
            throughput_mode="elastic",
            lifecycle_policies=[
                aws.efs.FileSystemLifecyclePolicyArgs(transition_to_ia="AFTER_30_DAYS"),
                aws.efs.FileSystemLifecyclePolicyArgs(transition_to_primary_storage_class="AFTER_1_ACCESS"),
            ],
            tags=own_tags,
            opts=protected,
        )
        aws.efs.BackupPolicy(
            name,
            file_system_id=files.id,
            backup_policy=aws.efs.BackupPolicyBackupPolicyArgs(status="ENABLED"),
            opts=options,
        )
        policy = aws.efs.FileSystemPolicy(
            name,
            file_system_id=files.id,
            policy=document(
                {
                    "Sid": "MountThroughTargetsOnly",
                    "Effect": "Allow",
                    "Principal": {"AWS": "*"},
                    "Action": ["elasticfilesystem:ClientMount", "elasticfilesystem:ClientWrite"],
                    "Resource": files.arn,
                    # The drivers of the nodes mount without IAM; the security group decides who reaches a target.
                    "Condition": {"Bool": {"elasticfilesystem:AccessedViaMountTarget": "true"}},
                },
                tls_only("elasticfilesystem:*", [files.arn]),
            ),
            opts=options,
        )
        subnets = pulumi.Output.from_input(args["subnet_ids"])
        targets = [
            aws.efs.MountTarget(
                f"{name}-{zone}",
                file_system_id=files.id,
                subnet_id=subnets[number],
                security_groups=[group.id],
                opts=options,
            )
            for number, zone in enumerate(args["zones"])
        ]
        self.file_system_id = pulumi.Output.all(files.id, policy.id, *[target.id for target in targets]).apply(
            lambda values: str(values[0])
        )
        storage_class = kubernetes.storage.v1.StorageClass(
            name,
            metadata=kubernetes.meta.v1.ObjectMetaArgs(
                name=args["storage_class_name"],
                labels={
                    "app.kubernetes.io/name": "workspace",
                    "app.kubernetes.io/part-of": "agent-fleet",
                    "app.kubernetes.io/managed-by": "pulumi",
                    "agent-fleet.fleet": args["fleet"],
                    "agent-fleet.role": "workspace",
                },
            ),
            provisioner=PROVISIONER,
            parameters={
                "provisioningMode": "efs-ap",
                "fileSystemId": self.file_system_id,
                "directoryPerms": DIRECTORY_PERMISSIONS,
                "uid": pulumi.Output.from_input(args["uid"]).apply(lambda number: str(int(number))),
                "gid": pulumi.Output.from_input(args["gid"]).apply(lambda number: str(int(number))),
                "basePath": "/workspaces",
                "subPathPattern": "${.PVC.namespace}/${.PVC.name}",
                "ensureUniqueDirectory": "true",
            },
            mount_options=["tls"],
            # A claim that is deleted by mistake must not take its files along.
            reclaim_policy="Retain",
            volume_binding_mode="Immediate",
            opts=options,
        )
        self.storage_class = storage_class.metadata.name.apply(lambda found: found or args["storage_class_name"])
        self.register_outputs({"file_system_id": self.file_system_id, "storage_class": self.storage_class})
