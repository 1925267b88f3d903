"""ECR, EFS, S3, and secrets in the emulator."""

from collections.abc import Mapping
from typing import Any

from engine.standins.aws_emulator.kind import Kind, Step, Tagging

_REPOSITORY = {"repositoryName": "repository"}
_BUCKET = {"Bucket": "bucket"}
_GONE_IN_TESTS = {"ForceDeleteWithoutRecovery": True}


def _create_bucket(client: Any, inputs: Mapping[str, Any]) -> Any:
    region = client.meta.region_name
    where = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    return client.create_bucket(Bucket=inputs["bucket"], **where)


def _delete_repository(client: Any, known: Mapping[str, Any]) -> None:
    client.delete_repository(repositoryName=known["id"], force=bool(known.get("forceDelete")))


def _reset_scanning(client: Any, known: Mapping[str, Any]) -> None:
    del known
    client.put_registry_scanning_configuration(scanType="BASIC", rules=[])


def _reset_replication(client: Any, known: Mapping[str, Any]) -> None:
    del known
    client.put_replication_configuration(replicationConfiguration={"rules": []})


def _put_lifecycle(client: Any, known: Mapping[str, Any]) -> None:
    policies = known.get("lifecyclePolicies") or []
    client.put_lifecycle_configuration(
        FileSystemId=known["id"],
        LifecyclePolicies=[
            {
                {
                    "transitionToIa": "TransitionToIA",
                    "transitionToPrimaryStorageClass": "TransitionToPrimaryStorageClass",
                    "transitionToArchive": "TransitionToArchive",
                }[name]: value
                for name, value in policy.items()
                if value
            }
            for policy in policies
        ],
    )


def _put_secret_value(client: Any, inputs: Mapping[str, Any]) -> Any:
    return client.put_secret_value(SecretId=inputs["secretId"], SecretString=inputs["secretString"])


def _put_parameter(client: Any, known: Mapping[str, Any]) -> Any:
    value = known.get("value") or known.get("insecureValue") or ""
    return client.put_parameter(Name=known["name"], Value=value, Type=known["type"], Overwrite=True)


def _bucket_part(put: str, get: str, remove: str, *, wrap: str = "", names: Mapping[str, str] | None = None) -> Kind:
    return Kind(
        "s3",
        put,
        names={"expectedBucketOwner": "", **(names or {})},
        wrap=wrap,
        put=True,
        read=get,
        read_keys=_BUCKET,
        delete=remove,
        delete_keys=_BUCKET if remove else {},
    )


KINDS = {
    "ecr/repository": Kind(
        "ecr",
        "create_repository",
        names={"name": "repositoryName", "forceDelete": ""},
        read="describe_repositories",
        read_keys={"repositoryNames": "id"},
        found="repositories[0]",
        outputs={"arn": "repositoryArn", "repositoryUrl": "repositoryUri"},
        steps=(
            Step(
                "put_image_tag_mutability",
                {"repositoryName": "id"},
                ("imageTagMutability", "imageTagMutabilityExclusionFilters"),
                on_create=False,
            ),
            Step(
                "put_image_scanning_configuration",
                {"repositoryName": "id"},
                ("imageScanningConfiguration",),
                on_create=False,
            ),
        ),
        delete=_delete_repository,
        tagging=Tagging("tag_resource", "untag_resource", {"resourceArn": "arn"}),
    ),
    "ecr/lifecyclePolicy": Kind(
        "ecr",
        "put_lifecycle_policy",
        names={"repository": "repositoryName", "policy": "lifecyclePolicyText"},
        put=True,
        read="get_lifecycle_policy",
        read_keys=_REPOSITORY,
        delete="delete_lifecycle_policy",
        delete_keys=_REPOSITORY,
    ),
    "ecr/repositoryPolicy": Kind(
        "ecr",
        "set_repository_policy",
        names={"repository": "repositoryName", "policy": "policyText"},
        put=True,
        read="get_repository_policy",
        read_keys=_REPOSITORY,
        delete="delete_repository_policy",
        delete_keys=_REPOSITORY,
    ),
    "ecr/registryScanningConfiguration": Kind(
        "ecr", "put_registry_scanning_configuration", put=True, delete=_reset_scanning
    ),
    "ecr/replicationConfiguration": Kind("ecr", "put_replication_configuration", put=True, delete=_reset_replication),
    "efs/fileSystem": Kind(
        "efs",
        "create_file_system",
        "FileSystemId",
        names={"lifecyclePolicies": ""},
        read="describe_file_systems",
        read_keys={"FileSystemId": "id"},
        found="FileSystems[0]",
        outputs={"arn": "FileSystemArn"},
        steps=(
            Step(
                "update_file_system",
                {"FileSystemId": "id"},
                ("throughputMode", "provisionedThroughputInMibps"),
                on_create=False,
            ),
        ),
        delete="delete_file_system",
        delete_keys={"FileSystemId": "id"},
        tagging=Tagging("tag_resource", "untag_resource", {"ResourceId": "id"}),
        after=_put_lifecycle,
    ),
    "efs/mountTarget": Kind(
        "efs",
        "create_mount_target",
        "MountTargetId",
        read="describe_mount_targets",
        read_keys={"MountTargetId": "id"},
        found="MountTargets[0]",
        steps=(
            Step("modify_mount_target_security_groups", {"MountTargetId": "id"}, ("securityGroups",), on_create=False),
        ),
        delete="delete_mount_target",
        delete_keys={"MountTargetId": "id"},
    ),
    "efs/accessPoint": Kind(
        "efs",
        "create_access_point",
        "AccessPointId",
        read="describe_access_points",
        read_keys={"AccessPointId": "id"},
        found="AccessPoints[0]",
        outputs={"arn": "AccessPointArn"},
        delete="delete_access_point",
        delete_keys={"AccessPointId": "id"},
        tagging=Tagging("tag_resource", "untag_resource", {"ResourceId": "id"}),
    ),
    "efs/fileSystemPolicy": Kind(
        "efs",
        "put_file_system_policy",
        put=True,
    ),
    "s3/bucket": Kind(
        "s3",
        _create_bucket,
        read="head_bucket",
        read_keys={"Bucket": "id"},
        delete="delete_bucket",
        delete_keys={"Bucket": "id"},
    ),
    "s3/bucketPolicy": _bucket_part("put_bucket_policy", "get_bucket_policy", "delete_bucket_policy"),
    "s3/bucketVersioning": _bucket_part("put_bucket_versioning", "get_bucket_versioning", ""),
    "s3/bucketPublicAccessBlock": _bucket_part(
        "put_public_access_block",
        "get_public_access_block",
        "delete_public_access_block",
        wrap="PublicAccessBlockConfiguration",
    ),
    "s3/bucketServerSideEncryptionConfiguration": _bucket_part(
        "put_bucket_encryption",
        "get_bucket_encryption",
        "delete_bucket_encryption",
        wrap="ServerSideEncryptionConfiguration",
    ),
    "secretsmanager/secret": Kind(
        "secretsmanager",
        "create_secret",
        "ARN",
        names={"recoveryWindowInDays": "", "policy": "", "forceOverwriteReplicaSecret": ""},
        read="describe_secret",
        read_keys={"SecretId": "id"},
        found="!DeletedDate && @",
        outputs={"arn": "ARN"},
        steps=(Step("update_secret", {"SecretId": "id"}, ("description", "kmsKeyId"), on_create=False),),
        delete="delete_secret",
        delete_keys={"SecretId": "id"},
        delete_constants=_GONE_IN_TESTS,
        tagging=Tagging("tag_resource", "untag_resource", {"SecretId": "id"}),
    ),
    "secretsmanager/secretVersion": Kind(
        "secretsmanager",
        _put_secret_value,
        "join('|', [ARN, VersionId])",
        read="get_secret_value",
        read_keys={"SecretId": "secretId"},
    ),
    "ssm/parameter": Kind(
        "ssm",
        _put_parameter,
        read="get_parameter",
        read_keys={"Name": "id"},
        found="Parameter",
        outputs={"arn": "ARN"},
        delete="delete_parameter",
        delete_keys={"Name": "id"},
        after=_put_parameter,
    ),
}
