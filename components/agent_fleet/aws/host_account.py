"""What a group of hosts has in the account: its secrets, its log group, and a role that reaches these and no others."""

from collections.abc import Sequence
from typing import NotRequired, TypedDict

import pulumi
import pulumi_aws as aws

from agent_fleet.aws.instance_role import declare_instance_role, pull_images, put_metrics, read_secrets, write_logs
from agent_fleet.aws.policy_documents import Statement
from agent_fleet.aws.resource_tags import tags

SECRET_RECOVERY_DAYS = 7
"""How long a deleted secret can be had back."""


class HostAccountArgs(TypedDict):
    """What the hosts need."""

    fleet: pulumi.Input[str]
    """The fleet's name, for the tags."""
    purpose: str
    """What the hosts are, in a word: `api`. Plain."""
    secret_text: pulumi.Input[str]
    """What they fetch at boot. A secret: it is in Secrets Manager and in no user data."""
    images: Sequence[pulumi.Input[str]]
    """The images that they run: the role pulls from these repositories alone."""
    metrics_namespace: str
    """The namespace of their metrics. Plain."""
    statements: NotRequired[Sequence[Statement]]
    """What else their role may do."""
    log_retention_days: pulumi.Input[int]
    """How long their logs are kept."""
    deletion_protection: bool
    """Whether a deleted secret can be had back for a week. Plain."""
    owner: NotRequired[pulumi.Input[str]]
    """The `owner` tag."""


class HostAccount(pulumi.ComponentResource):
    """A secret, a log group, and an instance profile."""

    instance_profile_arn: pulumi.Output[str]
    """Known only when the role has its rights."""
    instance_profile_name: pulumi.Output[str]
    """Likewise."""
    secret_arn: pulumi.Output[str]
    """The secret."""
    secret_version: pulumi.Output[str]
    """The id of its version, which is in the hosts' plan: another secret is another plan, and hosts are replaced."""
    log_group_name: pulumi.Output[str]
    """The log group."""

    def __init__(self, name: str, args: HostAccountArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Declare them; see `HostAccountArgs`."""
        super().__init__("agent-fleet:index:HostAccount", name, {}, opts)
        options = pulumi.ResourceOptions(parent=self)
        own_tags = tags(args["fleet"], args["purpose"], args.get("owner"), name=name)
        logs = aws.cloudwatch.LogGroup(
            name,
            name=f"/agent-fleet/{name}",
            retention_in_days=args["log_retention_days"],
            tags=own_tags,
            opts=options,
        )
        # No fixed name: AWS keeps a deleted one's for a week, and the stack could not be made again until then.
        secret = aws.secretsmanager.Secret(
            name,
            description=f"Secret variables of the programs on {name}",
            recovery_window_in_days=SECRET_RECOVERY_DAYS if args["deletion_protection"] else 0,
            tags=own_tags,
            opts=options,
        )
        version = aws.secretsmanager.SecretVersion(
            name,
            secret_id=secret.id,
            secret_string=pulumi.Output.secret(args["secret_text"]),
            # Hosts that started with the one before may read it until they are replaced.
            opts=options,
        )
        role = declare_instance_role(
            name,
            [
                *pull_images(args["images"]),
                read_secrets([secret.arn]),
                write_logs(logs.arn),
                put_metrics(args["metrics_namespace"]),
                *args.get("statements", ()),
            ],
            own_tags,
            options,
        )
        self.secret_arn = secret.arn
        self.secret_version = version.version_id
        self.log_group_name = logs.name
        # Every resource that a host needs before it starts is in here.
        ready = [each.id for each in role.ready if isinstance(each, pulumi.CustomResource)]
        self.instance_profile_arn, self.instance_profile_name = (
            pulumi.Output.all(each, version.id, *ready).apply(lambda found: str(found[0]))
            for each in (role.profile.arn, role.profile.name)
        )
        self.register_outputs(
            {
                "instance_profile_arn": self.instance_profile_arn,
                "instance_profile_name": self.instance_profile_name,
                "secret_arn": self.secret_arn,
                "secret_version": self.secret_version,
                "log_group_name": self.log_group_name,
            }
        )
