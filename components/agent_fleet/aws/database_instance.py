"""The RDS instance of a `ManagedDatabase`, with its key, parameters, subnets, logs and monitoring role."""

import hashlib
from collections.abc import Mapping, Sequence

import pulumi
import pulumi_aws as aws

from agent_fleet.aws.policy_documents import key_policy, managed_policy, service_trust

LOGS = ("postgresql", "upgrade")
GROWTH_LIMIT = 4
"""How many times its first size the disk may grow to."""
MONITORING_SECONDS = 60
INSIGHTS_DAYS = 7
"""What Performance Insights keeps without a charge."""
CERTIFICATE_AUTHORITY = "rds-ca-rsa2048-g1"
KEY_DELETION_DAYS = 30
SLOW_STATEMENT_MILLISECONDS = 1000


def declare_instance(
    name: str,
    *,
    engine_version: str,
    instance_class: pulumi.Input[str],
    storage_gibibytes: int,
    multi_az: pulumi.Input[bool],
    deletion_protection: bool,
    backup_retention_days: pulumi.Input[int],
    iam_authentication: pulumi.Input[bool],
    major_upgrade_allowed: pulumi.Input[bool],
    log_retention_days: pulumi.Input[int],
    subnet_ids: pulumi.Input[Sequence[pulumi.Input[str]]],
    security_group: aws.ec2.SecurityGroup,
    database_name: str,
    role_name: str,
    port: int,
    password: pulumi.Input[str],
    own_tags: Mapping[str, pulumi.Input[str]],
    parent: pulumi.Resource,
) -> aws.rds.Instance:
    """Declare it."""
    options = pulumi.ResourceOptions(parent=parent)
    protected = pulumi.ResourceOptions(parent=parent, protect=deletion_protection)
    # Renaming either the key or the instance replaces the database: every job and result is then in the snapshot alone.
    key = aws.kms.Key(
        name,
        description=f"Database {name}",
        enable_key_rotation=True,
        deletion_window_in_days=KEY_DELETION_DAYS,
        policy=key_policy(security_group.arn),
        tags=own_tags,
        opts=protected,
    )
    subnets = aws.rds.SubnetGroup(name, name=name, subnet_ids=subnet_ids, tags=own_tags, opts=options)
    family = f"postgres{engine_version.partition('.')[0]}"
    parameters = aws.rds.ParameterGroup(
        # Another family is another group, and stands beside the old one while the database moves.
        f"{name}-{family}",
        family=family,
        parameters=[
            aws.rds.ParameterGroupParameterArgs(name="rds.force_ssl", value="1"),
            aws.rds.ParameterGroupParameterArgs(
                name="log_min_duration_statement", value=str(SLOW_STATEMENT_MILLISECONDS)
            ),
            aws.rds.ParameterGroupParameterArgs(name="log_connections", value="1"),
        ],
        tags=own_tags,
        opts=options,
    )
    role = aws.iam.Role(
        f"{name}-monitoring",
        assume_role_policy=service_trust("monitoring.rds.amazonaws.com"),
        tags=own_tags,
        opts=options,
    )
    monitoring = aws.iam.RolePolicyAttachment(
        f"{name}-monitoring",
        role=role.name,
        policy_arn=managed_policy(role.arn, "service-role/AmazonRDSEnhancedMonitoringRole"),
        opts=options,
    )
    # RDS would make groups of these names itself, without an end to their retention.
    logs = [
        aws.cloudwatch.LogGroup(
            f"{name}-{kind}",
            name=f"/aws/rds/instance/{name}/{kind}",
            retention_in_days=log_retention_days,
            tags=own_tags,
            opts=options,
        )
        for kind in LOGS
    ]
    return aws.rds.Instance(
        name,
        identifier=name,
        engine="postgres",
        engine_version=engine_version,
        instance_class=instance_class,
        allocated_storage=storage_gibibytes,
        max_allocated_storage=storage_gibibytes * GROWTH_LIMIT,
        storage_type="gp3",
        storage_encrypted=True,
        kms_key_id=key.arn,
        db_name=database_name,
        username=role_name,
        password=password,
        port=port,
        db_subnet_group_name=subnets.name,
        vpc_security_group_ids=[security_group.id],
        publicly_accessible=False,
        parameter_group_name=parameters.name,
        ca_cert_identifier=CERTIFICATE_AUTHORITY,
        iam_database_authentication_enabled=iam_authentication,
        multi_az=multi_az,
        backup_retention_period=backup_retention_days,
        # At night in UTC, the backup before the maintenance.
        backup_window="02:00-03:00",
        maintenance_window="sun:03:30-sun:04:30",
        copy_tags_to_snapshot=True,
        delete_automated_backups=not deletion_protection,
        # A minor version that is named stays: AWS would move on, and the next `pulumi up` could not move it back.
        auto_minor_version_upgrade="." not in engine_version,
        allow_major_version_upgrade=major_upgrade_allowed,
        apply_immediately=False,
        deletion_protection=deletion_protection,
        skip_final_snapshot=not deletion_protection,
        # A snapshot of an earlier fleet of the name may still be there, and two cannot have one name.
        final_snapshot_identifier=security_group.id.apply(
            lambda group: f"{name}-final-{hashlib.sha256(group.encode()).hexdigest()[:8]}"
        )
        if deletion_protection
        else None,
        performance_insights_enabled=True,
        performance_insights_kms_key_id=key.arn,
        performance_insights_retention_period=INSIGHTS_DAYS,
        monitoring_interval=MONITORING_SECONDS,
        monitoring_role_arn=role.arn,
        enabled_cloudwatch_logs_exports=list(LOGS),
        tags=own_tags,
        opts=pulumi.ResourceOptions.merge(
            protected,
            pulumi.ResourceOptions(depends_on=[monitoring, *logs]),
        ),
    )
