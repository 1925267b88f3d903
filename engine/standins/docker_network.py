"""`docker.Network`: creates, reads and deletes real networks; every change replaces."""

import time
from collections.abc import Mapping
from typing import Any

from engine.standins.docker_api import DockerEngine, DockerError, part
from engine.standins.docker_container_spec import labels
from engine.standins.docker_ownership import left_behind
from engine.standins.standin import Call, Created, OperationError
from engine.standins.values import reveal

_REMOVAL_SECONDS = 30  # terraform-provider-docker's networkRemoveRefreshTimeout


def create(engine: DockerEngine, call: Call, inputs: Mapping[str, Any]) -> Created:
    """Create the network; one that an interrupted run left behind is replaced."""
    plain = reveal(inputs)
    name = plain["name"]
    # Docker allows two networks of one name unless asked, and then confuses them for ever.
    existing = next((item for item in engine.get("/networks") if item["Name"] == name), None)
    if existing is not None:
        if not left_behind(existing.get("Labels"), labels(plain.get("labels"))):
            raise OperationError(
                f"name: a Docker network {name!r} exists and was not made by this fleet. Remove it with "
                f"`docker network rm {name}`, choose another name, or take it over with `pulumi import`."
            )
        _remove(engine, call, existing["Id"], name)
    try:
        network_id = str(engine.post("/networks/create", _body(plain))["Id"])
    except DockerError as error:
        raise OperationError(f"Network {name!r} could not be created: {error.message}") from error
    return Created(network_id, _outputs(engine.get(f"/networks/{network_id}"), inputs))


def read(engine: DockerEngine, call: Call, inputs: Mapping[str, Any]) -> Created:
    """The network as it is; gone when Docker does not know it. Docker lets nobody change one."""
    found = engine.find(f"/networks/{part(call.resource_id)}")
    if found is None:
        return Created("", {})
    actual = inputs or {"name": found["Name"], "driver": found["Driver"], "internal": found["Internal"]}
    return Created(found["Id"], _outputs(found, actual), actual)


def delete(engine: DockerEngine, call: Call, state: Mapping[str, Any]) -> None:
    """Remove the network, waiting a while for its containers to leave; one that is gone is no fault."""
    _remove(engine, call, call.resource_id, str(reveal(state).get("name")))


def _remove(engine: DockerEngine, call: Call, network_id: str, name: str) -> None:
    deadline = time.monotonic() + _REMOVAL_SECONDS
    while True:
        try:
            engine.delete(f"/networks/{part(network_id)}")
            return
        except DockerError as error:
            if error.status == 404:
                return
            if "has active endpoints" not in error.message or time.monotonic() > deadline:
                raise OperationError(
                    f"Network {name!r} could not be removed: {error.message}. `docker network inspect {name}` shows "
                    "which containers still use it."
                ) from error
            if call.cancelled.wait(0.5):
                raise OperationError(f"Cancelled while containers still use network {name!r}.") from error


def _body(plain: Mapping[str, Any]) -> dict[str, Any]:
    ipam = [
        {
            key: value
            for key, value in (
                ("Subnet", item.get("subnet")),
                ("IPRange", item.get("ipRange")),
                ("Gateway", item.get("gateway")),
                ("AuxiliaryAddresses", item.get("auxAddress")),
            )
            if value
        }
        for item in plain.get("ipamConfigs") or []
    ]
    return {
        "Name": plain["name"],
        "CheckDuplicate": True,
        "Driver": plain.get("driver") or "bridge",
        "Internal": plain.get("internal") or False,
        "Attachable": plain.get("attachable") or False,
        "Ingress": plain.get("ingress") or False,
        "EnableIPv6": plain.get("ipv6") or False,
        "Options": plain.get("options") or {},
        "Labels": labels(plain.get("labels")),
        "IPAM": {
            "Driver": plain.get("ipamDriver") or "default",
            "Config": ipam,
            "Options": plain.get("ipamOptions") or {},
        },
    }


def _outputs(found: Mapping[str, Any], inputs: Mapping[str, Any]) -> dict[str, Any]:
    ipam = [
        {
            key: value
            for key, value in (
                ("subnet", item.get("Subnet")),
                ("ipRange", item.get("IPRange")),
                ("gateway", item.get("Gateway")),
                ("auxAddress", item.get("AuxiliaryAddresses")),
            )
            if value
        }
        for item in found["IPAM"].get("Config") or []
    ]
    computed = {
        "name": found["Name"],
        "driver": found["Driver"],
        "internal": found["Internal"],
        "ipamDriver": found["IPAM"]["Driver"],
        "options": found.get("Options") or {},
        "scope": found["Scope"],
    }
    given = {key: value for key, value in inputs.items() if not key.startswith("__")}
    return {**computed, **given, "ipamConfigs": ipam}
