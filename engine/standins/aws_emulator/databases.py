"""RDS and ElastiCache in the emulator."""

from collections.abc import Mapping
from typing import Any

from engine.standins.aws_emulator.kind import Kind, Step, Tagging

_RDS_TAGS = Tagging("add_tags_to_resource", "remove_tags_from_resource", {"ResourceName": "arn"})
_CHANGEABLE = (
    "allocatedStorage",
    "backupRetentionPeriod",
    "deletionProtection",
    "engineVersion",
    "instanceClass",
    "iops",
    "multiAz",
    "parameterGroupName",
    "password",
    "vpcSecurityGroupIds",
)
_INSTANCE_NAMES = {
    "identifier": "DBInstanceIdentifier",
    "instanceClass": "DBInstanceClass",
    "parameterGroupName": "DBParameterGroupName",
    "password": "MasterUserPassword",
    "username": "MasterUsername",
    "maintenanceWindow": "PreferredMaintenanceWindow",
    "backupWindow": "PreferredBackupWindow",
    "iamDatabaseAuthenticationEnabled": "EnableIAMDatabaseAuthentication",
    "enabledCloudwatchLogsExports": "EnableCloudwatchLogsExports",
    "performanceInsightsEnabled": "EnablePerformanceInsights",
    "dbSubnetGroupName": "DBSubnetGroupName",
    "passwordWo": "MasterUserPassword",
}


def _set_parameters(client: Any, known: Mapping[str, Any]) -> None:
    parameters = [
        {
            "ParameterName": each["name"],
            "ParameterValue": str(each["value"]),
            "ApplyMethod": each.get("applyMethod") or "immediate",
        }
        for each in known.get("parameters") or []
    ]
    if parameters:
        client.modify_db_parameter_group(DBParameterGroupName=known["id"], Parameters=parameters)


def _delete_instance(client: Any, known: Mapping[str, Any]) -> None:
    final = {"SkipFinalSnapshot": True}
    if not known.get("skipFinalSnapshot") and known.get("finalSnapshotIdentifier"):
        final = {"SkipFinalSnapshot": False, "FinalDBSnapshotIdentifier": known["finalSnapshotIdentifier"]}
    client.delete_db_instance(DBInstanceIdentifier=known["identifier"], **final)


KINDS = {
    "rds/subnetGroup": Kind(
        "rds",
        "create_db_subnet_group",
        names={"name": "DBSubnetGroupName", "description": "DBSubnetGroupDescription"},
        constants={"DBSubnetGroupDescription": "Managed by Pulumi"},
        read="describe_db_subnet_groups",
        read_keys={"DBSubnetGroupName": "id"},
        found="DBSubnetGroups[0]",
        outputs={"arn": "DBSubnetGroupArn"},
        steps=(Step("modify_db_subnet_group", {"DBSubnetGroupName": "id"}, ("subnetIds",), on_create=False),),
        delete="delete_db_subnet_group",
        delete_keys={"DBSubnetGroupName": "id"},
        tagging=_RDS_TAGS,
    ),
    "rds/parameterGroup": Kind(
        "rds",
        "create_db_parameter_group",
        names={"name": "DBParameterGroupName", "family": "DBParameterGroupFamily", "parameters": ""},
        constants={"Description": "Managed by Pulumi"},
        read="describe_db_parameter_groups",
        read_keys={"DBParameterGroupName": "id"},
        found="DBParameterGroups[0]",
        outputs={"arn": "DBParameterGroupArn"},
        delete="delete_db_parameter_group",
        delete_keys={"DBParameterGroupName": "id"},
        tagging=_RDS_TAGS,
        after=_set_parameters,
    ),
    "rds/instance": Kind(
        "rds",
        "create_db_instance",
        names=_INSTANCE_NAMES,
        read="describe_db_instances",
        read_keys={"DBInstanceIdentifier": "identifier"},
        found="DBInstances[0]",
        outputs={
            "arn": "DBInstanceArn",
            "address": "Endpoint.Address",
            "port": "Endpoint.Port",
            "endpoint": "join(':', [Endpoint.Address, to_string(Endpoint.Port)])",
            "status": "DBInstanceStatus",
            "resourceId": "DbiResourceId",
        },
        steps=(
            Step(
                "modify_db_instance",
                {"DBInstanceIdentifier": "identifier"},
                _CHANGEABLE,
                names=_INSTANCE_NAMES,
                on_create=False,
            ),
        ),
        delete=_delete_instance,
        tagging=_RDS_TAGS,
    ),
    # moto makes ElastiCache's subnet groups and has no call that removes them: those stay in the state.
    "elasticache/replicationGroup": Kind(
        "elasticache",
        "create_replication_group",
        names={
            "description": "ReplicationGroupDescription",
            "nodeType": "CacheNodeType",
            "subnetGroupName": "",
            "parameterGroupName": "CacheParameterGroupName",
            "numCacheClusters": "NumCacheClusters",
            "maintenanceWindow": "PreferredMaintenanceWindow",
        },
        read="describe_replication_groups",
        read_keys={"ReplicationGroupId": "id"},
        found="ReplicationGroups[?Status != 'deleting'] | [0]",
        outputs={
            "arn": "ARN",
            "primaryEndpointAddress": "NodeGroups[0].PrimaryEndpoint.Address",
            "readerEndpointAddress": "NodeGroups[0].ReaderEndpoint.Address",
        },
        delete="delete_replication_group",
        delete_keys={"ReplicationGroupId": "id"},
    ),
}
