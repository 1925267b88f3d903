"""IAM and KMS in the emulator."""

from collections.abc import Mapping
from typing import Any

from engine.standins.aws_emulator.kind import Kind, Step, Tagging

_ROLE_NAMES = {"name": "RoleName", "assumeRolePolicy": "AssumeRolePolicyDocument"}


def _create_profile(client: Any, inputs: Mapping[str, Any]) -> Any:
    answer = client.create_instance_profile(InstanceProfileName=inputs["name"], Path=inputs.get("path") or "/")
    if inputs.get("role"):
        client.add_role_to_instance_profile(InstanceProfileName=inputs["name"], RoleName=inputs["role"])
    return answer


def _delete_profile(client: Any, known: Mapping[str, Any]) -> None:
    name = known["name"]
    for role in client.get_instance_profile(InstanceProfileName=name)["InstanceProfile"]["Roles"]:
        client.remove_role_from_instance_profile(InstanceProfileName=name, RoleName=role["RoleName"])
    client.delete_instance_profile(InstanceProfileName=name)


def _change_policy(client: Any, known: Mapping[str, Any]) -> None:
    if "policy" not in known["__changed"]:
        return
    arn = known["id"]
    current = client.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
    client.create_policy_version(PolicyArn=arn, PolicyDocument=known["policy"], SetAsDefault=True)
    client.delete_policy_version(PolicyArn=arn, VersionId=current)


def _attached(client: Any, known: Mapping[str, Any]) -> Any:
    found = client.list_attached_role_policies(RoleName=known["role"])["AttachedPolicies"]
    return next((each for each in found if each["PolicyArn"] == known["policyArn"]), None)


def _alias(client: Any, known: Mapping[str, Any]) -> Any:
    return next((each for each in client.list_aliases()["Aliases"] if each["AliasName"] == known["id"]), None)


def _rotate(client: Any, known: Mapping[str, Any]) -> None:
    turn = client.enable_key_rotation if known.get("enableKeyRotation") else client.disable_key_rotation
    turn(KeyId=known["id"])


def _delete_key(client: Any, known: Mapping[str, Any]) -> None:
    client.schedule_key_deletion(KeyId=known["id"], PendingWindowInDays=int(known.get("deletionWindowInDays") or 30))


KINDS = {
    "iam/role": Kind(
        "iam",
        "create_role",
        names={**_ROLE_NAMES, "inlinePolicies": "", "managedPolicyArns": ""},
        read="get_role",
        read_keys={"RoleName": "id"},
        found="Role",
        outputs={"uniqueId": "RoleId"},
        steps=(
            Step(
                "update_assume_role_policy",
                {"RoleName": "id"},
                ("assumeRolePolicy",),
                names={"assumeRolePolicy": "PolicyDocument"},
                on_create=False,
            ),
            Step("update_role", {"RoleName": "id"}, ("description", "maxSessionDuration"), on_create=False),
        ),
        delete="delete_role",
        delete_keys={"RoleName": "id"},
        tagging=Tagging("tag_role", "untag_role", {"RoleName": "id"}),
    ),
    "iam/rolePolicy": Kind(
        "iam",
        "put_role_policy",
        names={"name": "PolicyName", "role": "RoleName", "policy": "PolicyDocument"},
        put=True,
        read="get_role_policy",
        read_keys={"RoleName": "role", "PolicyName": "name"},
        delete="delete_role_policy",
        delete_keys={"RoleName": "role", "PolicyName": "name"},
    ),
    "iam/policy": Kind(
        "iam",
        "create_policy",
        "Policy.Arn",
        names={"name": "PolicyName", "policy": "PolicyDocument"},
        read="get_policy",
        read_keys={"PolicyArn": "id"},
        found="Policy",
        delete="delete_policy",
        delete_keys={"PolicyArn": "id"},
        tagging=Tagging("tag_policy", "untag_policy", {"PolicyArn": "id"}),
        on_change=_change_policy,
    ),
    "iam/rolePolicyAttachment": Kind(
        "iam",
        "attach_role_policy",
        names={"role": "RoleName"},
        read=_attached,
        delete="detach_role_policy",
        delete_keys={"RoleName": "role", "PolicyArn": "policyArn"},
    ),
    "iam/instanceProfile": Kind(
        "iam",
        _create_profile,
        read="get_instance_profile",
        read_keys={"InstanceProfileName": "id"},
        found="InstanceProfile",
        outputs={"uniqueId": "InstanceProfileId"},
        delete=_delete_profile,
        tagging=Tagging("tag_instance_profile", "untag_instance_profile", {"InstanceProfileName": "id"}),
    ),
    "kms/key": Kind(
        "kms",
        "create_key",
        "KeyMetadata.KeyId",
        names={"customerMasterKeySpec": "KeySpec"},
        read="describe_key",
        read_keys={"KeyId": "id"},
        # A key that is to be deleted counts as gone: nobody can use it.
        found="KeyMetadata.KeyState != 'PendingDeletion' && KeyMetadata",
        steps=(
            Step("put_key_policy", {"KeyId": "id"}, ("policy",), on_create=False, constants={"PolicyName": "default"}),
            Step("update_key_description", {"KeyId": "id"}, ("description",), on_create=False),
        ),
        delete=_delete_key,
        tagging=Tagging("tag_resource", "untag_resource", {"KeyId": "id"}),
        after=_rotate,
    ),
    "kms/keyPolicy": Kind(
        "kms",
        "put_key_policy",
        constants={"PolicyName": "default"},
        put=True,
        read="get_key_policy",
        read_keys={"KeyId": "keyId"},
        read_constants={"PolicyName": "default"},
    ),
    "kms/alias": Kind(
        "kms",
        "create_alias",
        names={"name": "AliasName"},
        read=_alias,
        steps=(Step("update_alias", {"AliasName": "id"}, ("targetKeyId",), on_create=False),),
        delete="delete_alias",
        delete_keys={"AliasName": "id"},
    ),
}
