"""Makes the bucket and the key of the state, or puts right what differs. Run twice, it changes nothing."""

import json
from collections.abc import Mapping
from typing import Any

from engine.errors import UserFacingError
from engine.report import Report
from engine.state_backend.account import client, code, told
from engine.state_backend.location import StateLocation

OLD_VERSIONS_DAYS = 90
"""How long a state that was replaced can be had back."""
_FOLDER = ".pulumi/"
"""Where the engine keeps everything."""
_TAGS = {"project": "agent-fleet", "component": "state"}


def account_id(location: StateLocation) -> str:
    """The account of the credentials."""
    with told("say whose credentials these are"):
        return str(client("sts", location).get_caller_identity()["Account"])


def default_bucket(account: str, region: str) -> str:
    """The bucket's name where none was chosen: one for an account and region, for all stacks."""
    return f"agent-fleet-state-{account}-{region}"


def ensure(location: StateLocation, account: str, report: Report) -> None:
    """Have the key, then the bucket; raises UserFacingError where the bucket is somebody else's."""
    key = _ensure_key(location, report)
    s3 = client("s3", location)
    with told(f"look at the bucket {location.bucket}"):
        there = _owned(s3, location, account)
    if not there:
        with told(f"make the bucket {location.bucket}"):
            where = {} if location.region == "us-east-1" else {"LocationConstraint": location.region}
            s3.create_bucket(Bucket=location.bucket, **({"CreateBucketConfiguration": where} if where else {}))
        report(f"Made the bucket {location.bucket} in {location.region}.")
    with told(f"set up the bucket {location.bucket}"):
        changed = [name for name, put in _WANTED.items() if put(s3, location, key)]
    if there and changed:
        report(f"Put right in the bucket {location.bucket}: {', '.join(changed)}.")


def _owned(s3: Any, location: StateLocation, account: str) -> bool:
    from botocore.exceptions import ClientError

    try:
        # Names are AWS's, all accounts': one that exists may be another's, who then would read the state.
        s3.head_bucket(Bucket=location.bucket, ExpectedBucketOwner=account)
    except ClientError as error:
        if code(error) in ("404", "NoSuchBucket", "NotFound"):
            return False
        if code(error) in ("403", "AccessDenied", "Forbidden"):
            raise UserFacingError(
                f"The bucket {location.bucket} exists, and account {account} does not own it or may not use it.",
                "Choose another name as fleet.aws.state_bucket.",
            ) from error
        raise
    return True


def _ensure_key(location: StateLocation, report: Report) -> str:
    from botocore.exceptions import ClientError

    kms = client("kms", location)
    with told(f"find or make the key {location.alias}"):
        try:
            found = kms.describe_key(KeyId=location.alias)["KeyMetadata"]
        except ClientError as error:
            if code(error) != "NotFoundException":
                raise
            found = kms.create_key(
                Description=f"Secrets and files of Pulumi's state in {location.bucket}",
                Tags=[{"TagKey": name, "TagValue": value} for name, value in _TAGS.items()],
            )["KeyMetadata"]
            kms.create_alias(AliasName=location.alias, TargetKeyId=found["KeyId"])
            report(f"Made the key {location.alias}.")
        if found["KeyState"] != "Enabled":
            raise UserFacingError(
                f"The key {location.alias} is {found['KeyState']}; without it nobody can read the state's secrets.",
                f"Enable it, or cancel its deletion (`aws kms cancel-key-deletion --key-id {found['KeyId']}`).",
            )
        if not kms.get_key_rotation_status(KeyId=found["KeyId"])["KeyRotationEnabled"]:
            kms.enable_key_rotation(KeyId=found["KeyId"])
    return str(found["Arn"])


def _asked(ask: Any, *missing: str) -> Mapping[str, Any]:
    """What a call for one of the bucket's properties answers; nothing where it was never set."""
    from botocore.exceptions import ClientError

    try:
        return ask()
    except ClientError as error:
        if code(error) in missing:
            return {}
        raise


def _versions(s3: Any, location: StateLocation, key: str) -> bool:
    del key
    if s3.get_bucket_versioning(Bucket=location.bucket).get("Status") == "Enabled":
        return False
    s3.put_bucket_versioning(Bucket=location.bucket, VersioningConfiguration={"Status": "Enabled"})
    return True


def _encryption(s3: Any, location: StateLocation, key: str) -> bool:
    wanted = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}
    found = _asked(
        lambda: s3.get_bucket_encryption(Bucket=location.bucket), "ServerSideEncryptionConfigurationNotFoundError"
    )
    rules = found.get("ServerSideEncryptionConfiguration", {}).get("Rules", [])
    if any(rule.get("ApplyServerSideEncryptionByDefault") == wanted for rule in rules):
        return False
    rule = {"ApplyServerSideEncryptionByDefault": wanted, "BucketKeyEnabled": True}
    s3.put_bucket_encryption(Bucket=location.bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})
    return True


def _privacy(s3: Any, location: StateLocation, key: str) -> bool:
    del key
    names = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
    wanted = dict.fromkeys(names, True)
    found = _asked(lambda: s3.get_public_access_block(Bucket=location.bucket), "NoSuchPublicAccessBlockConfiguration")
    if found.get("PublicAccessBlockConfiguration") == wanted:
        return False
    s3.put_public_access_block(Bucket=location.bucket, PublicAccessBlockConfiguration=wanted)
    return True


def _ownership(s3: Any, location: StateLocation, key: str) -> bool:
    del key
    wanted = {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    found = _asked(lambda: s3.get_bucket_ownership_controls(Bucket=location.bucket), "OwnershipControlsNotFoundError")
    if found.get("OwnershipControls") == wanted:
        return False
    s3.put_bucket_ownership_controls(Bucket=location.bucket, OwnershipControls=wanted)
    return True


def policy(bucket: str, region: str) -> dict[str, Any]:
    """The bucket's policy: nothing but TLS."""
    partition = "aws-cn" if region.startswith("cn-") else "aws-us-gov" if region.startswith("us-gov-") else "aws"
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "RefusePlainText",
                "Effect": "Deny",
                "Principal": "*",
                "Action": "s3:*",
                "Resource": [f"arn:{partition}:s3:::{bucket}", f"arn:{partition}:s3:::{bucket}/*"],
                "Condition": {"Bool": {"aws:SecureTransport": "false"}},
            }
        ],
    }


def _transport(s3: Any, location: StateLocation, key: str) -> bool:
    del key
    if location.endpoint.startswith("http://"):
        return False  # an emulator without TLS would have to refuse this very command
    wanted = policy(location.bucket, location.region)
    found = _asked(lambda: s3.get_bucket_policy(Bucket=location.bucket), "NoSuchBucketPolicy")
    there: dict[str, Any] = json.loads(found["Policy"]) if found else {**wanted, "Statement": []}
    # Whoever keeps the bucket may refuse more than this does, and must not lose that here.
    others = [each for each in _listed(there["Statement"]) if each.get("Sid") != wanted["Statement"][0]["Sid"]]
    statements = [*others, *wanted["Statement"]]
    if _listed(there["Statement"]) == statements:
        return False
    s3.put_bucket_policy(Bucket=location.bucket, Policy=json.dumps({**there, "Statement": statements}))
    return True


def _listed(statements: Any) -> list[dict[str, Any]]:
    """A policy's statements: one alone may stand without a list."""
    return list(statements) if isinstance(statements, list) else [statements]


def _lifecycle(s3: Any, location: StateLocation, key: str) -> bool:
    del key
    name = "old-versions"
    found = _asked(
        lambda: s3.get_bucket_lifecycle_configuration(Bucket=location.bucket), "NoSuchLifecycleConfiguration"
    )
    rules: list[dict[str, Any]] = list(found.get("Rules", []))
    for rule in rules:
        days = rule.get("NoncurrentVersionExpiration", {}).get("NoncurrentDays")
        if rule.get("ID") == name and rule.get("Status") == "Enabled" and days == OLD_VERSIONS_DAYS:
            return False
    rule = {
        "ID": name,
        "Status": "Enabled",
        # In a bucket that keeps other things too, theirs are not this rule's.
        "Filter": {"Prefix": _FOLDER},
        "NoncurrentVersionExpiration": {"NoncurrentDays": OLD_VERSIONS_DAYS},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
    }
    kept = [each for each in rules if each.get("ID") != name]
    s3.put_bucket_lifecycle_configuration(Bucket=location.bucket, LifecycleConfiguration={"Rules": [*kept, rule]})
    return True


def _tags(s3: Any, location: StateLocation, key: str) -> bool:
    del key
    found = _asked(lambda: s3.get_bucket_tagging(Bucket=location.bucket), "NoSuchTagSet")
    tags = {each["Key"]: each["Value"] for each in found.get("TagSet", [])}
    if tags.items() >= _TAGS.items():
        return False
    content = [{"Key": name, "Value": value} for name, value in {**tags, **_TAGS}.items()]
    s3.put_bucket_tagging(Bucket=location.bucket, Tagging={"TagSet": content})
    return True


_WANTED = {
    "versions": _versions,
    "public access": _privacy,
    "ownership": _ownership,
    "encryption": _encryption,
    "TLS": _transport,
    "old versions": _lifecycle,
    "tags": _tags,
}
