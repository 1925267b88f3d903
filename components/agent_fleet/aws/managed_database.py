"""The jobs database on RDS for PostgreSQL.

Its password is one of ours and not of RDS (`manage_master_user_password`): RDS keeps and rotates its own in Secrets
Manager, from where a program that runs in Kubernetes would have to fetch it at every connection, and no URL could be
given to a pod without asking AWS while the stack is deployed. Ours is a secret of the stack; replacing it changes it.
"""

from collections.abc import Sequence
from typing import NotRequired, TypedDict

import pulumi
import pulumi_random as random

from agent_fleet.aws.client_group import declare_client_group
from agent_fleet.aws.database_instance import declare_instance
from agent_fleet.aws.resource_tags import tags

ROLE_NAME = "fleet"
DATABASE_NAME = "fleet"
PORT = 5432


class ManagedDatabaseArgs(TypedDict):
    """Which database, where, and how it is kept."""

    fleet: pulumi.Input[str]
    """The fleet's name, for the tags."""
    vpc_id: pulumi.Input[str]
    """The VPC."""
    subnet_ids: pulumi.Input[Sequence[pulumi.Input[str]]]
    """Private subnets in at least two zones."""
    client_security_group_ids: Sequence[pulumi.Input[str]]
    """Who may connect; never the nodes of untrusted work. The list's length is plain: each gets a rule."""
    engine_version: str
    """PostgreSQL's version: `17` follows AWS's minor versions in the maintenance window, `17.6` stays. Plain: the
    parameter group's family is its major version."""
    major_upgrade_allowed: NotRequired[pulumi.Input[bool]]
    """Whether another major version in `engine_version` upgrades the database; false if left out."""
    instance_class: pulumi.Input[str]
    """For example `db.m7g.large`; one that Performance Insights supports, so no micro or small."""
    storage_gibibytes: int
    """The disk at the start; it grows to four times as much by itself. Plain."""
    multi_az: pulumi.Input[bool]
    """Whether a standby in another zone takes over within about a minute."""
    deletion_protection: bool
    """Whether AWS and Pulumi refuse to delete it; without, it goes without a final snapshot. Plain."""
    backup_retention_days: pulumi.Input[int]
    """How far back the database can be restored to any second, 1 to 35 days."""
    iam_authentication: NotRequired[pulumi.Input[bool]]
    """Whether roles of the database may also log in by IAM tokens; false if left out."""
    log_retention_days: NotRequired[pulumi.Input[int]]
    """How long its logs are kept; 90 if left out."""
    owner: NotRequired[pulumi.Input[str]]
    """The `owner` tag."""


class ManagedDatabase(pulumi.ComponentResource):
    """PostgreSQL in private subnets: encrypted at rest and in transit, backed up, and closed but to its clients."""

    url: pulumi.Output[str]
    """The connection URL of the fleet's role. A secret. It insists on TLS."""
    address: pulumi.Output[str]
    """The host name."""
    port: pulumi.Output[int]
    """The TCP port."""
    security_group_id: pulumi.Output[str]
    """Its group, for clients that may speak to nobody else."""

    def __init__(self, name: str, args: ManagedDatabaseArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Declare the database and what is around it; see `ManagedDatabaseArgs`."""
        super().__init__("agent-fleet:index:ManagedDatabase", name, {}, opts)
        options = pulumi.ResourceOptions(parent=self)
        own_tags = tags(args["fleet"], "database", args.get("owner"), name=name)
        # Renaming this resource changes the password: pods that have the old one fail until they are rolled.
        password = random.RandomPassword(f"{name}-password", length=40, special=False, opts=options)
        group = declare_client_group(
            name,
            service="PostgreSQL",
            port=PORT,
            vpc_id=args["vpc_id"],
            client_security_group_ids=args["client_security_group_ids"],
            own_tags=own_tags,
            options=options,
        )
        database = declare_instance(
            name,
            engine_version=args["engine_version"],
            instance_class=args["instance_class"],
            storage_gibibytes=args["storage_gibibytes"],
            multi_az=args["multi_az"],
            deletion_protection=args["deletion_protection"],
            backup_retention_days=args["backup_retention_days"],
            iam_authentication=args.get("iam_authentication", False),
            major_upgrade_allowed=args.get("major_upgrade_allowed", False),
            log_retention_days=args.get("log_retention_days", 90),
            subnet_ids=args["subnet_ids"],
            security_group=group,
            database_name=DATABASE_NAME,
            role_name=ROLE_NAME,
            port=PORT,
            password=password.result,
            own_tags=own_tags,
            parent=self,
        )
        self.address = database.address
        self.port = database.port
        self.security_group_id = group.id
        self.url = pulumi.Output.secret(
            pulumi.Output.format(
                "postgresql://{0}:{1}@{2}:{3}/{4}?sslmode=require",
                ROLE_NAME,
                password.result,
                self.address,
                PORT,
                DATABASE_NAME,
            )
        )
        self.register_outputs(
            {
                "url": self.url,
                "address": self.address,
                "port": self.port,
                "security_group_id": self.security_group_id,
            }
        )
