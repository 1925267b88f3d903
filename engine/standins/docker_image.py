"""`docker.RemoteImage` and `docker.Tag`: images that the Docker host has or can pull."""

import json
from collections.abc import Mapping
from typing import Any

from engine.standins.docker_api import DockerEngine, DockerError, part
from engine.standins.engine_log import StatusLine
from engine.standins.standin import Call, Created, OperationError
from engine.standins.values import reveal

_PULL_SECONDS = 1200  # terraform-provider-docker's dockerImageCreateDefaultTimeout


def create(engine: DockerEngine, call: Call, inputs: Mapping[str, Any]) -> Created:
    """Find the image on the Docker host, else pull it."""
    plain = reveal(inputs)
    name = plain["name"]
    found = engine.find(f"/images/{part(name)}/json")
    if found is None:
        StatusLine(call.log, call.urn).show(f"pulling {name}")
        repository, tag = split_reference(name)
        query = {"fromImage": repository, "tag": tag, "platform": plain.get("platform") or ""}
        try:
            progress = engine.raw("POST", "/images/create", query=query, timeout=_PULL_SECONDS)
        except DockerError as error:
            raise OperationError(f"name: image {name!r} is not on this Docker host, and {error.message}") from error
        # A pull that fails on its way says so in its progress, after the daemon has answered 200.
        faults = [fault for line in progress.splitlines() if line and (fault := json.loads(line).get("error"))]
        found = engine.find(f"/images/{part(name)}/json")
        if found is None:
            raise OperationError(
                f"name: image {name!r} is not on this Docker host and could not be pulled. {' '.join(faults)}"
            )
    return Created(found["Id"] + name, _outputs(found, inputs))


def read(engine: DockerEngine, call: Call, inputs: Mapping[str, Any]) -> Created:
    """The image as the Docker host has it; gone when it has none of that name."""
    del call
    found = engine.find(f"/images/{part(reveal(inputs)['name'])}/json")
    if found is None:
        return Created("", {})
    return Created(found["Id"] + reveal(inputs)["name"], _outputs(found, inputs), inputs)


def delete(engine: DockerEngine, call: Call, state: Mapping[str, Any]) -> None:
    """Remove the image from the Docker host, unless `keepLocally`; one that is gone is no fault."""
    del call
    plain = reveal(state)
    if not plain.get("keepLocally"):
        _remove(engine, plain["name"], force=bool(plain.get("forceRemove")))


def create_tag(engine: DockerEngine, call: Call, inputs: Mapping[str, Any]) -> Created:
    """Give an image of the Docker host another name."""
    del call
    plain = reveal(inputs)
    repository, tag = split_reference(plain["targetImage"])
    try:
        engine.post(f"/images/{part(plain['sourceImage'])}/tag", query={"repo": repository, "tag": tag})
        source = engine.get(f"/images/{part(plain['sourceImage'])}/json")
    except DockerError as error:
        raise OperationError(f"sourceImage: {plain['sourceImage']!r} could not be tagged: {error.message}") from error
    outputs = {key: value for key, value in inputs.items() if not key.startswith("__")}
    return Created(f"{plain['sourceImage']}.{plain['targetImage']}", {**outputs, "sourceImageId": source["Id"]})


def split_reference(name: str) -> tuple[str, str]:
    """An image's repository and tag (`latest` when it has none); a digest stands in the tag's place."""
    if "@" in name:
        repository, _, digest = name.partition("@")
        return repository, digest
    repository, colon, tag = name.rpartition(":")
    # A colon before a slash belongs to the registry's port.
    return (repository, tag) if colon and "/" not in tag else (name, "latest")


def _remove(engine: DockerEngine, name: str, *, force: bool) -> None:
    try:
        engine.delete(f"/images/{part(name)}", {"force": int(force)})
    except DockerError as error:
        if error.status != 404:
            raise OperationError(f"Image {name!r} could not be removed: {error.message}") from error


def _outputs(found: Mapping[str, Any], inputs: Mapping[str, Any]) -> dict[str, Any]:
    digests: list[str] = found.get("RepoDigests") or []
    given = {key: value for key, value in inputs.items() if not key.startswith("__")}
    return {**given, "imageId": found["Id"], "repoDigest": digests[0] if digests else ""}
