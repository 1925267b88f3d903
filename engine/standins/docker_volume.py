"""`docker.Volume`: creates, reads and deletes real volumes. A volume holds data, so one is never replaced unasked."""

import time
from collections.abc import Mapping
from typing import Any

from engine.standins.docker_api import DockerEngine, DockerError, part
from engine.standins.docker_container_spec import labels
from engine.standins.docker_ownership import left_behind
from engine.standins.standin import Call, Created, OperationError
from engine.standins.values import reveal

_REMOVAL_SECONDS = 30  # terraform-provider-docker's volumeReadRefreshTimeout


def create(engine: DockerEngine, call: Call, inputs: Mapping[str, Any]) -> Created:
    """Create the volume; one that an interrupted run of this fleet left behind is adopted with its data."""
    del call
    plain = reveal(inputs)
    name, wanted = plain["name"], labels(plain.get("labels"))
    existing = engine.find(f"/volumes/{part(name)}")
    if existing is not None and not left_behind(existing.get("Labels"), wanted):
        raise OperationError(
            f"name: a Docker volume {name!r} exists and was not made by this fleet. It may hold data: remove it with "
            f"`docker volume rm {name}`, choose another name, or take it over with `pulumi import`."
        )
    body = {"Name": name, "Driver": plain.get("driver") or "local", "Labels": wanted}
    try:
        found = engine.post("/volumes/create", body | {"DriverOpts": plain.get("driverOpts") or {}})
    except DockerError as error:
        raise OperationError(f"Volume {name!r} could not be created: {error.message}") from error
    return Created(name, _outputs(found, inputs))


def read(engine: DockerEngine, call: Call, inputs: Mapping[str, Any]) -> Created:
    """The volume as it is; gone when Docker does not know it. Docker lets nobody change one."""
    found = engine.find(f"/volumes/{part(call.resource_id)}")
    if found is None:
        return Created("", {})
    actual = inputs or {"name": found["Name"], "driver": found["Driver"]}
    return Created(found["Name"], _outputs(found, actual), actual)


def delete(engine: DockerEngine, call: Call, state: Mapping[str, Any]) -> None:
    """Remove the volume, waiting a while for its containers to go; one that is gone is no fault."""
    del state
    deadline = time.monotonic() + _REMOVAL_SECONDS
    while True:
        try:
            engine.delete(f"/volumes/{part(call.resource_id)}", {"force": 1})
            return
        except DockerError as error:
            if error.status == 404:
                return
            if "in use" not in error.message or time.monotonic() > deadline:
                raise OperationError(f"Volume {call.resource_id!r} could not be removed: {error.message}") from error
            if call.cancelled.wait(0.5):
                raise OperationError(f"Cancelled while volume {call.resource_id!r} is still in use.") from error


def _outputs(found: Mapping[str, Any], inputs: Mapping[str, Any]) -> dict[str, Any]:
    given = {key: value for key, value in inputs.items() if not key.startswith("__")}
    return {"name": found["Name"], "driver": found["Driver"], **given, "mountpoint": found["Mountpoint"]}
