"""`docker.Container`: creates, reads, updates and deletes real containers.

A failed create leaves nothing: the container is removed, and the error carries its last lines of log. A container that
an interrupted run left behind (made, but not in state) is replaced when it carries the same agent-fleet labels.
"""

import base64
import io
import tarfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.standins import docker_container_spec as spec
from engine.standins.docker_api import DockerEngine, DockerError, part
from engine.standins.docker_container_state import inputs_as_found, outputs, running_expected
from engine.standins.docker_health import wait_until_healthy
from engine.standins.docker_ownership import left_behind
from engine.standins.engine_log import StatusLine
from engine.standins.standin import Call, Created, OperationError
from engine.standins.values import reveal

_STOP_SLACK_SECONDS = 60
_GONE = (404, 409)  # no such container; removal already in progress


def create(engine: DockerEngine, folder: Path, call: Call, inputs: Mapping[str, Any]) -> Created:
    """Create the container, join its networks, start it and wait for it, as far as the inputs ask for each."""
    plain = reveal(inputs)
    container_id = _create(engine, plain)
    try:
        _join_networks(engine, container_id, plain)
        _upload(engine, folder, container_id, plain)
        logs = _start(engine, call, container_id, plain)
    except BaseException as error:
        _remove(engine, container_id, {"removeVolumes": True})
        if isinstance(error, DockerError):
            raise OperationError(f"Container {plain['name']!r} could not start: {_explain(error, plain)}") from error
        if isinstance(error, OperationError):
            raise OperationError(f"{error}\nThe container was removed.") from error
        raise
    found = engine.get(f"/containers/{container_id}/json")
    return Created(container_id, outputs(found, inputs, logs))


def read(engine: DockerEngine, call: Call, inputs: Mapping[str, Any], state: Mapping[str, Any]) -> Created:
    """The container as it is; gone when Docker does not know it."""
    found = engine.find(f"/containers/{part(call.resource_id)}/json")
    if found is None or found["State"].get("Status") in ("removing", "dead"):
        return Created("", {})
    actual = inputs_as_found(found, inputs)
    return Created(found["Id"], outputs(found, actual, state.get("containerLogs")), actual)


def update(
    engine: DockerEngine, call: Call, old: Mapping[str, Any], state: Mapping[str, Any], new: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Change limits and the restart policy in place, and start the container again if it should run."""
    plain, before = reveal(new), reveal(old)
    try:
        body = spec.update_body(plain)
        if body != spec.update_body(before):
            engine.post(f"/containers/{call.resource_id}/update", body)
        if running_expected(plain) and not running_expected(before):
            _start(engine, call, call.resource_id, plain)
    except DockerError as error:
        raise OperationError(f"Container {plain['name']!r} could not be changed: {_explain(error, plain)}") from error
    return outputs(engine.get(f"/containers/{call.resource_id}/json"), new, state.get("containerLogs"))


def delete(engine: DockerEngine, call: Call, state: Mapping[str, Any]) -> None:
    """Stop the container with its grace and remove it; one that is gone is no fault."""
    plain = reveal(state)
    try:
        if not plain.get("attach"):
            grace = plain.get("destroyGraceSeconds") or 0
            engine.post(f"/containers/{call.resource_id}/stop", query={"t": grace}, timeout=grace + _STOP_SLACK_SECONDS)
        _remove(engine, call.resource_id, plain)
    except DockerError as error:
        if error.status != 404 and "already in progress" not in error.message:
            raise OperationError(f"Container {plain.get('name')!r} could not be removed: {error.message}") from error


def _create(engine: DockerEngine, plain: Mapping[str, Any]) -> str:
    query = {"name": plain["name"], **({"platform": plain["platform"]} if plain.get("platform") else {})}
    for attempt in range(2):
        try:
            return str(engine.post("/containers/create", spec.create_body(plain), query)["Id"])
        except DockerError as error:
            existing = engine.find(f"/containers/{part(plain['name'])}/json") if error.status == 409 else None
            if existing is None or attempt:
                raise OperationError(
                    f"Container {plain['name']!r} could not be created: {_explain(error, plain)}"
                ) from error
            if not left_behind(existing["Config"].get("Labels"), spec.labels(plain.get("labels"))):
                raise OperationError(
                    f"name: a container {plain['name']!r} exists and was not made by this fleet. Remove it with "
                    f"`docker rm -f {plain['name']}`, choose another name, or take it over with `pulumi import`."
                ) from error
            _remove(engine, existing["Id"], {"removeVolumes": True})
    raise AssertionError("unreachable")


def _join_networks(engine: DockerEngine, container_id: str, plain: Mapping[str, Any]) -> None:
    networks = spec.endpoints(plain)
    if not networks:
        return
    try:
        engine.post("/networks/bridge/disconnect", {"Container": container_id})
    except DockerError as error:
        if "is not connected to" not in error.message:
            raise
    for network, settings in networks:
        engine.post(f"/networks/{part(network)}/connect", {"Container": container_id, "EndpointConfig": settings})


def _upload(engine: DockerEngine, folder: Path, container_id: str, plain: Mapping[str, Any]) -> None:
    for upload in plain.get("uploads") or []:
        if upload.get("source") is not None:
            content = (folder / upload["source"]).read_bytes()
        elif upload.get("contentBase64") is not None:
            content = base64.b64decode(upload["contentBase64"])
        else:
            content = upload["content"].encode()
        mode = (
            int(upload["permissions"], 8) if upload.get("permissions") else 0o744 if upload.get("executable") else 0o644
        )
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            entry = tarfile.TarInfo(upload["file"].lstrip("/"))
            entry.size, entry.mode, entry.mtime = len(content), mode, int(time.time())
            tar.addfile(entry, io.BytesIO(content))
        engine.request("PUT", f"/containers/{container_id}/archive", query={"path": "/"}, body=archive.getvalue())


def _start(engine: DockerEngine, call: Call, container_id: str, plain: Mapping[str, Any]) -> str | None:
    """Start the container as the inputs ask; returns its log when they want that kept."""
    if plain.get("start") is False:
        return None
    engine.post(f"/containers/{container_id}/start")
    if plain.get("wait"):
        wait_until_healthy(engine, call, container_id, plain)
    if not plain.get("attach"):
        return None
    status = StatusLine(call.log, call.urn)
    while engine.get(f"/containers/{container_id}/json")["State"]["Running"]:
        status.show("waiting for the container to end")
        if call.cancelled.wait(0.5):
            raise OperationError(f"Cancelled while container {plain['name']!r} ran.")
    return "\n".join(engine.logs(container_id, 100_000)) if plain.get("logs") else None


def _remove(engine: DockerEngine, container_id: str, plain: Mapping[str, Any]) -> None:
    volumes = plain.get("removeVolumes") is not False
    try:
        engine.delete(f"/containers/{container_id}", {"force": 1, "v": int(volumes)}, timeout=_STOP_SLACK_SECONDS)
    except DockerError as error:
        if error.status not in _GONE:
            raise
    # A removal that is "already in progress" frees the name only when it is done.
    deadline = time.monotonic() + _STOP_SLACK_SECONDS
    pause = 0.02
    while engine.find(f"/containers/{container_id}/json") is not None:
        if time.monotonic() > deadline:
            raise OperationError(f"Docker is still removing container {container_id[:12]} after a minute; try again.")
        time.sleep(pause)
        pause = min(pause * 2, 0.5)


def _explain(error: DockerError, plain: Mapping[str, Any]) -> str:
    message = error.message
    if "port is already allocated" in message or "address already in use" in message:
        ports = ", ".join(str(port["external"]) for port in plain.get("ports") or [] if port.get("external"))
        return f"ports: host port {ports} is in use by something else. Free it or choose another. ({message})"
    if "No such image" in message or (error.status == 404 and "image" in message.lower()):
        return f"image: {plain['image']!r} is not on this Docker host. Build or pull it first. ({message})"
    if "unknown or invalid runtime" in message.lower():
        return f"runtime: this Docker daemon has no runtime {plain.get('runtime')!r}. ({message})"
    return message
