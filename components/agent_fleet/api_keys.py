"""API keys that a deployment makes itself: random, kept in the state as secrets, given to the API as hashes."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import pulumi
import pulumi_random as random

from agent_fleet.inputs import json_text

KEY_ID_BYTES = 4
KEY_SECRET_BYTES = 32


@dataclass(frozen=True, kw_only=True)
class ApiKey:
    """One tenant's key."""

    tenant: str
    key_id: pulumi.Output[str]
    key: pulumi.Output[str]
    """`fleet_<key id>_<secret>`. A secret."""


def make_api_key(name: str, tenant: str, parent: pulumi.Resource | None) -> ApiKey:
    """Declare a key. Renaming it makes a new one and revokes the old one."""
    options = pulumi.ResourceOptions(parent=parent)
    key_id = random.RandomBytes(f"{name}-api-key-id", length=KEY_ID_BYTES, opts=options).hex
    secret = random.RandomBytes(f"{name}-api-key", length=KEY_SECRET_BYTES, opts=options).hex
    return ApiKey(
        tenant=tenant, key_id=key_id, key=pulumi.Output.secret(pulumi.Output.concat("fleet_", key_id, "_", secret))
    )


def bootstrap_keys(keys: Iterable[ApiKey]) -> pulumi.Input[str]:
    """The value of FLEET_BOOTSTRAP_KEYS: for each key its tenant, its id and its SHA-256, never the key."""

    def sha256(key: str) -> str:
        return hashlib.sha256(key.encode()).hexdigest()

    return json_text(
        [{"tenant": each.tenant, "key_id": each.key_id, "sha256": each.key.apply(sha256)} for each in keys]
    )
