"""The aws stand-in: keeps state only, and makes up ids and ARNs of the right form. Nothing exists in AWS.

It is for previews and tests without credentials: inputs are checked against the SDK's types, replacements are judged by
the table, and what AWS alone would know stays unknown in a preview. Where the provider's endpoints are an emulator's on
this machine, what the emulator has is really made there (`aws_emulator`).
"""

import json
import os
import secrets
from collections.abc import Mapping
from typing import Any

from engine.standins import aws_limits, sdk_types
from engine.standins.aws_emulator.calls import EmulatedResource
from engine.standins.aws_emulator.emulation import Emulation, inputs_found, outputs_found
from engine.standins.aws_emulator.endpoint import Endpoints
from engine.standins.aws_identifiers import ACCOUNT, Identity, hexadecimal, kind
from engine.standins.aws_outputs import computed
from engine.standins.aws_policy_document import policy_document
from engine.standins.standin import Call, Created, Naming, OperationError, StandIn, keep_marks
from engine.standins.type_check import Failure
from engine.standins.values import UNKNOWN, Secret, reveal, secret_texts

_DEFAULT_REGION = "us-east-1"
_TEMPLATE = "ec2/launchTemplate"
_TEMPLATE_CONTENT = frozenset({"userData", "metadataOptions", "blockDeviceMappings", "monitoring", "imageId"})
"""What a template may lose and so gets a new version by."""
_NAMES = {
    "ecr/repository": Naming(lowercase=True),
    "elasticache/replicationGroup": Naming("replicationGroupId", lowercase=True),
    "eks/nodeGroup": Naming("nodeGroupName"),
    "rds/instance": Naming("identifier", lowercase=True),
    "s3/bucket": Naming("bucket", lowercase=True),
}


class AwsStandIn(StandIn):
    """Serves every resource type of pulumi_aws, in state."""

    package = "aws"
    notice = (
        "aws: this is agent-fleet's stand-in for the official provider. It keeps state only: nothing is created in "
        f"AWS, and ids and account ({ACCOUNT}) are made up."
    )

    def __init__(self) -> None:
        """Without an emulator until the settings name one."""
        super().__init__()
        self._emulation: Emulation | None = None

    @property
    def announcement(self) -> str:
        """What is made, and where."""
        return self.notice if self._emulation is None else self._emulation.notice

    def check_settings(self, config: Mapping[str, Any]) -> list[Failure]:
        """An endpoint that is not on this machine."""
        return Endpoints(config, os.environ).failures()

    def configure(self, config: Mapping[str, Any]) -> None:
        """Take the settings; with endpoints, what an emulator has is made there."""
        super().configure(config)
        endpoints = Endpoints(config, os.environ)
        if failures := endpoints.failures():
            raise OperationError("\n".join(f"{failure.path}: {failure.reason}" for failure in failures))
        if endpoints:
            self._emulation = Emulation(endpoints)

    def naming(self, token: str) -> Naming | None:
        """Names as the official provider makes them up: every type with an optional `name` gets one."""
        if kind(token) in _NAMES:
            return _NAMES[kind(token)]
        resource = sdk_types.resource_type(token)
        name = resource.inputs.get("name") if resource else None
        return Naming() if name is not None and name.optional else None

    def validate(self, call: Call, inputs: Mapping[str, Any]) -> list[Failure]:
        """What AWS would refuse only when the resource is made."""
        return aws_limits.failures(call.token, inputs)

    def preview(self, call: Call, inputs: Mapping[str, Any], state: Mapping[str, Any] | None) -> dict[str, Any]:
        """What is known before; a template that changes gets a version that only the change can tell."""
        outputs = super().preview(call, inputs, state)
        if state is not None and kind(call.token) == _TEMPLATE and _new_version(state, inputs):
            outputs.update(dict.fromkeys(_versions(inputs), UNKNOWN))
        return outputs

    def create(self, call: Call, inputs: Mapping[str, Any]) -> Created:
        """Make the resource where there is an emulator with it; else note it in the state, with made up outputs."""
        resource = self._emulated(call, inputs)
        if resource is None:
            identity = self._identity(call, inputs)
            return Created(identity.id, self._outputs(call, inputs, identity))
        named = {**inputs, **_prefixed(inputs)}
        made = resource.create(reveal(named), self._tags(inputs), self._identity(call, named).id)
        outputs = {**self._outputs(call, inputs, self._identity(call, named, made)), **_prefixed(named)}
        return Created(made, self._merged(call, inputs, outputs, resource, {**outputs, "id": made}))

    def read(self, call: Call, inputs: Mapping[str, Any], state: Mapping[str, Any]) -> Created:
        """The resource as the emulator has it; as the state has it without one."""
        resource = self._emulated(call, inputs)
        if resource is None:
            return super().read(call, inputs, state)
        known = {**reveal(state), **reveal(inputs), "id": call.resource_id}
        if (description := resource.read(known)) is None:
            return Created("", {}, {})
        found = outputs_found(resource, call.token, description)
        now = inputs_found(inputs, found, resource.kind.outputs)
        return Created(call.resource_id, {**state, **_marked(found, inputs), **self._given(now)}, now)

    def update(
        self, call: Call, old: Mapping[str, Any], state: Mapping[str, Any], new: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """Change it in the emulator, or note the change in the state; what was made up stays as it was."""
        resource = self._emulated(call, new)
        fresh = self._outputs(call, new, self._identity(call, new, call.resource_id if resource else ""))
        given = {key for key in new if not key.startswith("__")}
        kept = {key: value for key, value in state.items() if key in fresh and key not in given | {"tagsAll"}}
        outputs = {**fresh, **kept}
        if resource is not None:
            before, after = reveal(old), reveal(new)
            changed = {key for key in {*before, *after} if before.get(key) != after.get(key) and key != "__defaults"}
            untold = resource.update(
                after,
                {**reveal(state), "id": call.resource_id},
                changed,
                (self._tags(old), self._tags(new)),
            )
            if untold:
                names = ", ".join(untold)
                call.log.info(
                    f"Changed in the state only, for which there is no call to the emulator: {names}.", call.urn
                )
            return self._merged(call, new, outputs, resource, {**reveal(outputs), "id": call.resource_id})
        if kind(call.token) == _TEMPLATE and _new_version(state, new):
            latest = int(reveal(state).get("latestVersion") or 1) + 1
            outputs.update(dict.fromkeys(_versions(new), latest))
        return outputs

    def delete(self, call: Call, state: Mapping[str, Any]) -> None:
        """Remove it from the emulator, where it is there."""
        if (resource := self._emulated(call, state)) is not None:
            resource.delete({**reveal(state), "id": call.resource_id})

    def invoke(self, token: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The data sources that can be answered without AWS."""
        plain = reveal(arguments)
        region = str(plain.get("region") or self._region({}))
        match token.rpartition(":")[2]:
            case "getCallerIdentity":
                account = self._account(region)
                arn = f"arn:aws:iam::{account}:user/stand-in"
                return {"accountId": account, "arn": arn, "id": account, "userId": "STANDIN"}
            case "getRegion":
                endpoint = f"ec2.{region}.amazonaws.com"
                return {"id": region, "name": region, "region": region, "endpoint": endpoint, "description": region}
            case "getPartition":
                return {
                    "id": "aws",
                    "partition": "aws",
                    "dnsSuffix": "amazonaws.com",
                    "reverseDnsPrefix": "com.amazonaws",
                }
            case "getAvailabilityZones":
                names = [f"{region}{letter}" for letter in "abc"]
                return {
                    **plain,
                    "id": region,
                    "region": region,
                    "names": names,
                    "zoneIds": [f"{_short(region)}-az{number}" for number in (1, 2, 3)],
                    "groupNames": [region],
                }
            case "getPolicyDocument":
                return policy_document(plain)
            case "getAmi":
                image = f"ami-{hexadecimal(repr(sorted(plain.items(), key=str)), 17)}"
                arn = f"arn:aws:ec2:{region}::image/{image}"
                return {**plain, "id": image, "imageId": image, "arn": arn, "region": region, "architecture": "x86_64"}
            case "getParameter":
                value = f"ami-{hexadecimal(str(plain.get('name')), 17)}"
                return {**plain, "id": plain.get("name"), "value": value, "type": "String", "version": 1}
            case _:
                raise OperationError(
                    f"{token} asks AWS, which the aws stand-in does not reach; it answers getCallerIdentity, "
                    "getRegion, getPartition, getAvailabilityZones, getPolicyDocument, getAmi and getParameter. "
                    "Use the official provider plugin with credentials."
                )

    def _emulated(self, call: Call, values: Mapping[str, Any]) -> EmulatedResource | None:
        return self._emulation.resource(call, self._region(reveal(values))) if self._emulation is not None else None

    def _account(self, region: str) -> str:
        return self._emulation.account(region) if self._emulation is not None else ACCOUNT

    def _tags(self, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
        own = reveal(inputs).get("tags")
        return {**self._default_tags(), **(own if isinstance(own, Mapping) else {})}

    def _given(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in inputs.items() if not key.startswith("__")}

    def _merged(
        self,
        call: Call,
        inputs: Mapping[str, Any],
        outputs: Mapping[str, Any],
        resource: EmulatedResource,
        known: Mapping[str, Any],
    ) -> dict[str, Any]:
        """Outputs with what the emulator says in the place of what is made up; the program's own values stay."""
        description = resource.read(reveal(known)) or {}
        found = outputs_found(resource, call.token, description)
        return {**outputs, **_marked(found, inputs), **self._given(inputs)}

    def _identity(self, call: Call, inputs: Mapping[str, Any], known_id: str = "") -> Identity:
        plain = reveal(inputs)
        # A replacement is another thing in AWS and so has another id, which what depends on it must notice.
        rule = self.table.rule(call.token)
        essence = json.dumps({key: plain[key] for key in plain if rule.replaces(key)}, sort_keys=True, default=str)
        region = self._region(plain)
        account = self._account(region)
        return Identity(f"{call.urn}{essence}", call.token, plain, region, account=account, known_id=known_id)

    def _region(self, plain: Mapping[str, Any]) -> str:
        return str(plain.get("region") or reveal(self.config).get("region") or _DEFAULT_REGION)

    def _outputs(self, call: Call, inputs: Mapping[str, Any], identity: Identity) -> dict[str, Any]:
        resource = sdk_types.resource_type(call.token)
        if resource is None:
            raise OperationError(sdk_types.unknown_type_message(call.token))
        tags = self._default_tags()
        outputs = computed(identity, resource.outputs, tags)
        return {**_marked(outputs, inputs), **self._given(inputs)}

    def _default_tags(self) -> Mapping[str, Any]:
        given: Any = reveal(self.config).get("defaultTags")
        if isinstance(given, str):
            given = json.loads(given)
        return (given or {}).get("tags") or {}


def _marked(outputs: dict[str, Any], inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Outputs that tell no secret of the inputs: one that an input is called like, and the tags a second time."""
    marked = keep_marks(outputs, inputs)
    if "tagsAll" in marked and secret_texts(inputs.get("tags")):
        marked["tagsAll"] = Secret(reveal(marked["tagsAll"]))
    return marked


def _prefixed(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The name of what has only a prefix of one; the name again where there is one already."""
    plain = reveal(inputs)
    if not plain.get("namePrefix"):
        return {}
    return {"name": plain.get("name") or f"{plain['namePrefix']}{secrets.token_hex(5)}"}


def _new_version(state: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether a launch template's change makes a new version of it: all do but those of its own tags."""
    before, after = reveal(state), reveal(new)
    given = {key for key in {*before, *after} if key in after or key in _TEMPLATE_CONTENT}
    return any(
        before.get(key) != after.get(key) for key in given if key not in ("tags", "updateDefaultVersion", "__defaults")
    )


def _versions(inputs: Mapping[str, Any]) -> tuple[str, ...]:
    return ("latestVersion", "defaultVersion") if reveal(inputs).get("updateDefaultVersion") else ("latestVersion",)


def _short(region: str) -> str:
    """`use1` of us-east-1, as zone ids have it."""
    area, direction, number = region.split("-")[0], region.split("-")[1:-1], region.split("-")[-1]
    return area + "".join(item[0] for item in direction) + number


if __name__ == "__main__":
    from engine.standins.server import serve

    serve(AwsStandIn)
