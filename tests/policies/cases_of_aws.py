"""Cases of the rules for registries, storage and messaging."""

from typing import Any

from agent_fleet_policies import messaging, registry, storage
from analyzer_process import Given
from policy_case import Case, allow, document

ACCOUNT = "arn:aws:iam::123456789012:root"
KEY_ARN = "arn:aws:kms:eu-west-1:123456789012:key/1"
_REPOSITORY: dict[str, Any] = {
    "name": "fleet/runtime",
    "imageTagMutability": "IMMUTABLE_WITH_EXCLUSION",
    "imageTagMutabilityExclusionFilters": [{"filter": "latest*", "filterType": "WILDCARD"}],
    "encryptionConfigurations": [{"encryptionType": "KMS", "kmsKey": KEY_ARN}],
    "forceDelete": False,
}
_SCANNING: dict[str, Any] = {
    "scanType": "BASIC",
    "rules": [{"scanFrequency": "SCAN_ON_PUSH", "repositoryFilters": [{"filter": "fleet", "filterType": "WILDCARD"}]}],
}
_QUEUE_POLICY = document(
    allow("sqs:SendMessage", "arn:aws:sqs:eu-west-1:123456789012:jobs", Principal={"AWS": ACCOUNT})
)
_TLS_ONLY = document(
    {
        "Effect": "Deny",
        "Action": "*",
        "Principal": {"AWS": "*"},
        "Resource": "*",
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
)
_FILES = Given(storage.FILE_SYSTEM, {"encrypted": True, "kmsKeyId": KEY_ARN}, "files")
_CLASS: dict[str, Any] = {
    "provisioner": "efs.csi.aws.com",
    "reclaimPolicy": "Retain",
    "parameters": {"provisioningMode": "efs-ap", "fileSystemId": "fs-1"},
}
_CACHE: dict[str, Any] = {
    "description": "doorbell",
    "atRestEncryptionEnabled": True,
    "transitEncryptionEnabled": True,
    "userGroupIds": ["fleet"],
}

CASES = (
    Case(
        1,
        [Given(registry.REPOSITORY, _REPOSITORY)],
        [
            ("imageTagMutability", "MUTABLE"),
            ("imageTagMutabilityExclusionFilters/0/filter", "v*"),
            ("imageTagMutabilityExclusionFilters/0/filter", "lat*"),
        ],
        [("imageTagMutability", "refused"), ("imageTagMutabilityExclusionFilters", "waits"), ("name", "clean")],
        [("imageTagMutability", "broken"), ("imageTagMutabilityExclusionFilters", "clean")],
    ),
    Case(
        2,
        [Given(registry.REPOSITORY, _REPOSITORY), Given(registry.SCANNING, _SCANNING, "scanning")],
        [("1:rules", []), ("1:rules/0/scanFrequency", "MANUAL"), ("1:rules/0/repositoryFilters/0/filter", "other")],
        [("1:rules", "waits"), ("1:rules/0/scanFrequency", "waits"), ("name", "waits")],
        [("1:rules", "broken"), ("1:rules/0/repositoryFilters", "broken")],
    ),
    Case(
        3,
        [Given(registry.REPOSITORY, _REPOSITORY)],
        [("encryptionConfigurations/0/encryptionType", "AES256")],
        [("encryptionConfigurations", "waits"), ("encryptionConfigurations/0/encryptionType", "waits")],
        [("encryptionConfigurations", "broken"), ("encryptionConfigurations/0/encryptionType", "broken")],
    ),
    Case(
        4,
        [Given(registry.REPOSITORY, _REPOSITORY, urn=f"urn:pulumi:prod::agent-fleet::{registry.REPOSITORY}::it")],
        [("forceDelete", True)],
        [("forceDelete", "refused")],
        [("forceDelete", "clean")],
    ),
    Case(
        5,
        [
            Given(registry.REPOSITORY, _REPOSITORY),
            Given(registry.LIFECYCLE_POLICY, {"repository": "fleet/runtime", "policy": "{}"}, "lifecycle"),
        ],
        [("1:repository", "another")],
        [("1:repository", "waits"), ("name", "waits")],
        [("1:repository", "broken")],
    ),
    Case(
        6,
        [
            Given(
                registry.REPOSITORY_POLICY,
                {"repository": "r", "policy": document(allow("ecr:BatchGetImage", Principal={"AWS": ACCOUNT}))},
            )
        ],
        [
            ("policy/Statement/0/Principal", "*"),
            ("policy/Statement/0/Principal/AWS", [ACCOUNT, "*"]),
            ("policy", '{"Statement": [{"Effect": "Allow", "Action": "ecr:*", "Principal": "*"}]}'),
            ("policy", "no document"),
        ],
        [("policy", "waits"), ("policy/Statement/0/Principal", "waits"), ("policy/Statement", "waits")],
        [("policy", "clean"), ("policy/Statement/0/Principal", "clean")],
    ),
    Case(31, [_FILES], [("encrypted", False)], [("encrypted", "refused")], [("encrypted", "broken")]),
    Case(32, [_FILES], [("kmsKeyId", "")], [("kmsKeyId", "waits")], [("kmsKeyId", "broken")]),
    Case(
        33,
        [Given(storage.ACCESS_POINT, {"fileSystemId": "fs-1", "posixUser": {"uid": 1001, "gid": 1001}})],
        [("posixUser/uid", 0), ("posixUser/gid", 0)],
        [("posixUser/uid", "waits"), ("posixUser", "waits")],
        [("posixUser", "broken"), ("posixUser/gid", "broken")],
    ),
    Case(
        34,
        [Given(storage.ACCESS_POINT, {"fileSystemId": "fs-1", "rootDirectory": {"path": "/tenant"}})],
        [("rootDirectory/path", "/")],
        [("rootDirectory/path", "waits"), ("rootDirectory", "waits")],
        [("rootDirectory", "broken")],
    ),
    Case(
        35,
        [
            _FILES,
            Given(
                storage.FILE_SYSTEM_POLICY,
                {"fileSystemId": "fs-1", "policy": _TLS_ONLY},
                "policy",
                {"fileSystemId": ["files"]},
            ),
        ],
        [
            ("1:policy/Statement/0/Effect", "Allow"),
            ("1:policy/Statement/0/Condition", {"Bool": {"aws:SecureTransport": "true"}}),
        ],
        [("1:policy", "waits"), ("1:policy/Statement/0/Condition", "waits"), ("encrypted", "clean")],
        [("1:policy", "broken"), ("1:policy/Statement/0/Condition", "broken")],
    ),
    Case(
        36,
        [Given(storage.STORAGE_CLASS, _CLASS)],
        [
            ("reclaimPolicy", "Delete"),
            ("parameters/provisioningMode", "efs"),
            ("provisioner", "kubernetes.io/aws-efs"),
        ],
        [("reclaimPolicy", "refused"), ("parameters", "waits"), ("parameters/fileSystemId", "clean")],
        [("reclaimPolicy", "broken"), ("parameters", "broken")],
    ),
    Case(
        37,
        [Given(messaging.QUEUE, {"name": "jobs", "sqsManagedSseEnabled": True})],
        [("sqsManagedSseEnabled", False)],
        [("sqsManagedSseEnabled", "waits")],
        [("sqsManagedSseEnabled", "broken")],
    ),
    Case(
        38,
        [
            Given(
                messaging.QUEUE,
                {
                    "name": "jobs",
                    "redrivePolicy": '{"deadLetterTargetArn": "arn:aws:sqs:eu-west-1:1:dead", "maxReceiveCount": 5}',
                },
                "jobs",
            ),
            Given(messaging.QUEUE, {"name": "dead"}, "dead"),
        ],
        [("redrivePolicy", "")],
        [("redrivePolicy", "waits")],
        [("redrivePolicy", "broken")],
    ),
    Case(
        39,
        [Given(messaging.QUEUE_POLICY, {"queueUrl": "https://sqs", "policy": _QUEUE_POLICY})],
        [
            ("policy/Statement/0/Principal", "*"),
            ("policy/Statement/0/Action", "sqs:*"),
            ("policy/Statement/0/Action", ["*"]),
        ],
        [("policy", "waits"), ("policy/Statement/0/Action", "waits"), ("policy/Statement/0/Principal/AWS", "waits")],
        [("policy", "clean")],
    ),
    Case(
        40,
        [Given(messaging.REPLICATION_GROUP, _CACHE)],
        [("atRestEncryptionEnabled", False), ("transitEncryptionEnabled", False), ("userGroupIds", [])],
        [("transitEncryptionEnabled", "waits"), ("userGroupIds", "waits")],
        [("atRestEncryptionEnabled", "broken"), ("userGroupIds", "broken")],
    ),
    Case(
        40,
        [Given(messaging.CACHE_CLUSTER, {"engine": "memcached", "transitEncryptionEnabled": True})],
        [("engine", "redis"), ("transitEncryptionEnabled", False)],
        [("engine", "waits")],
        [("transitEncryptionEnabled", "broken")],
    ),
    Case(
        40,
        [Given(messaging.SERVERLESS_CACHE, {"engine": "valkey", "userGroupId": "fleet"})],
        [("userGroupId", "")],
        [("userGroupId", "waits")],
        [("userGroupId", "broken")],
    ),
    Case(
        41,
        [
            Given(
                messaging.KEY,
                {"enableKeyRotation": True, "policy": document(allow("kms:*", Principal={"AWS": ACCOUNT}))},
            )
        ],
        [("enableKeyRotation", False), ("policy/Statement/0/Principal", {"AWS": "*"})],
        [("enableKeyRotation", "waits"), ("policy", "waits"), ("policy/Statement/0/Effect", "clean")],
        [("enableKeyRotation", "broken"), ("policy", "clean")],
    ),
    Case(
        42,
        [Given(messaging.LOG_GROUP, {"name": "fleet", "retentionInDays": 30})],
        [("retentionInDays", 0)],
        [("retentionInDays", "waits")],
        [("retentionInDays", "broken")],
    ),
)
