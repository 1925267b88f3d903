"""What AWS would answer to a mocked deployment: the values that the stand-in makes up."""

from collections.abc import Mapping
from typing import Any

from pulumi.runtime.mocks import MockResourceArgs

from engine.standins import sdk_types
from engine.standins.aws_identifiers import Identity
from engine.standins.aws_outputs import computed

REGION = "eu-central-1"


def aws_resource(args: MockResourceArgs) -> tuple[str, dict[str, Any]]:
    """Its id and its outputs, once it is there."""
    resource = sdk_types.resource_type(args.typ)
    assert resource is not None, f"pulumi_aws has no {args.typ}"
    inputs: Mapping[str, Any] = {"name": f"{args.name}-1a2b3c4", **args.inputs}
    identity = Identity(f"{args.typ}::{args.name}", args.typ, inputs, REGION)
    known = computed(identity, resource.outputs, {})
    named = {"name": inputs["name"]} if "name" in resource.outputs else {}
    return identity.id, {**known, **named, **args.inputs}
