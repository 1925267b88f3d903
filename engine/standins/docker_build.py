"""The docker-build stand-in: builds images with BuildKit, through the Docker CLI, for the local Docker daemon.

As the official provider it updates for every difference and removes no local image on delete. Other than it: the
context's hash covers build arguments, target and platforms too; where the context lies is no difference; an image that
the daemon no longer has is built again; and a preview never builds.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.standins import build_command, build_context, docker_push
from engine.standins.build_run import BuildRunner
from engine.standins.differences import Difference, Kind
from engine.standins.docker_api import DockerEngine, DockerError, part
from engine.standins.engine_log import StatusLine
from engine.standins.standin import Call, Created, Judgement, OperationError, StandIn
from engine.standins.type_check import Failure
from engine.standins.values import UNKNOWN, has_unknown, reveal, secret_texts

IMAGE = "docker-build:index:Image"
_PLACES = frozenset({"context", "context.location", "dockerfile", "dockerfile.location"})


class DockerBuildStandIn(StandIn):
    """Serves `docker_build.Image`."""

    package = "docker-build"
    notice = (
        "docker-build: this is agent-fleet's stand-in for the official provider. "
        "It really builds, in the local Docker daemon, and pushes from there where that is asked for."
    )
    served = frozenset({IMAGE})

    def __init__(self) -> None:
        """Neither CLI nor daemon is needed before something is built."""
        super().__init__()
        self.engine = DockerEngine()
        self._runner = BuildRunner()

    def configure(self, config: Mapping[str, Any]) -> None:
        """Take the daemon's address."""
        super().configure(config)
        self.engine = DockerEngine(str(reveal(config).get("host") or ""))

    def stop(self) -> None:
        """End the builds under way."""
        self._runner.stop()

    def validate(self, call: Call, inputs: Mapping[str, Any]) -> list[Failure]:
        """Contexts and Dockerfiles that are not there."""
        del call
        return build_context.failures(inputs, self.working_directory)

    def diff(
        self, call: Call, inputs: Mapping[str, Any], state: Mapping[str, Any], new: Mapping[str, Any]
    ) -> Judgement:
        """Build again when an input, the context, or the daemon's store of images changed."""
        judged = super().diff(call, inputs, state, new)
        ignored = set(reveal(new).get("ignoreSecretsInDiffCalculation") or [])
        found = [item for item in judged.differences if not _ignorable(item, inputs, new, ignored)]
        if has_unknown(new.get("context")) or has_unknown(new.get("dockerfile")) or has_unknown(new.get("buildArgs")):
            return Judgement([*found, Difference("contextHash", Kind.CHANGED)], frozenset(), False)
        known = reveal(state)
        if reveal(new).get("pull") or self._hash(new) != known.get("contextHash"):
            found.append(Difference("contextHash", Kind.CHANGED))
        elif self._lost(known):
            found.append(Difference("digest", Kind.CHANGED))
        return Judgement(found, frozenset(), delete_before_replace=False)

    def preview(self, call: Call, inputs: Mapping[str, Any], state: Mapping[str, Any] | None) -> dict[str, Any]:
        """The outputs but the digest, which only a build can tell."""
        del call, state
        outputs = dict(inputs)
        unknown = any(has_unknown(inputs.get(name)) for name in ("context", "dockerfile", "buildArgs", "target"))
        outputs["contextHash"] = UNKNOWN if unknown else self._hash(inputs)
        outputs["digest"] = UNKNOWN
        outputs["ref"] = UNKNOWN if has_unknown(inputs.get("tags")) or inputs.get("push") else _ref(inputs)
        return outputs

    def create(self, call: Call, inputs: Mapping[str, Any]) -> Created:
        """Build the image."""
        outputs = self._build(call, inputs)
        return Created(outputs["digest"], outputs)

    def update(
        self, call: Call, old: Mapping[str, Any], state: Mapping[str, Any], new: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """Build the image again."""
        del old, state
        return self._build(call, new)

    def read(self, call: Call, inputs: Mapping[str, Any], state: Mapping[str, Any]) -> Created:
        """The image as it was built; gone when the daemon no longer has it."""
        known = reveal(state)
        if known.get("push"):
            lost = docker_push.gone(self.engine, known, str(known.get("digest")))
            return Created("", {}) if lost else Created(call.resource_id, state, inputs)
        try:
            lost = self.engine.find(f"/images/{part(str(known.get('digest')))}/json") is None
        except DockerError as error:
            raise OperationError(f"Docker: {error.message}") from error
        return Created("", {}) if lost else Created(call.resource_id, state, inputs)

    def _build(self, call: Call, inputs: Mapping[str, Any]) -> dict[str, Any]:
        digest_before = self._hash(inputs)
        builder = build_command.find_builder()
        with tempfile.TemporaryDirectory(prefix="image-id-") as folder:
            image_id_file = Path(folder) / "image-id"
            command = build_command.build_command(inputs, self.working_directory, builder, image_id_file)
            # The CLI may have a context of its own; what it builds must be where the containers will run.
            command.environment["DOCKER_HOST"] = self.engine.host
            self._runner.run(command, StatusLine(call.log, call.urn), secret_texts(inputs))
            image_id = image_id_file.read_text().strip()
        try:
            digest = str(self.engine.get(f"/images/{part(image_id)}/json")["Id"])
        except DockerError as error:
            raise OperationError(
                f"The build succeeded, but the Docker daemon has no image {image_id}: {error.message}"
            ) from error
        outputs = {key: value for key, value in inputs.items() if not key.startswith("__")}
        reference = _ref(inputs)
        if reveal(inputs).get("push"):
            push = docker_push.ImagePush(self.engine, self._runner, builder.program)
            digest = push.push(reveal(inputs), StatusLine(call.log, call.urn))
            reference = f"{reference}@{digest}"
        return {**outputs, "contextHash": digest_before, "digest": digest, "ref": reference}

    def _hash(self, inputs: Mapping[str, Any]) -> str:
        try:
            return build_context.context_hash(inputs, self.working_directory)
        except OSError as error:
            raise OperationError(f"context: {error.filename} could not be read: {error.strerror}.") from error

    def _lost(self, known: Mapping[str, Any]) -> bool:
        """Whether the daemon, or the registry, answers and does not have the image; else nothing is known."""
        digest = known.get("digest")
        if digest and known.get("push"):
            return docker_push.gone(self.engine, known, str(digest))
        try:
            return bool(digest) and self.engine.find(f"/images/{part(str(digest))}/json") is None
        except DockerError:
            return False


def _ignorable(item: Difference, old: Mapping[str, Any], new: Mapping[str, Any], ignored: set[str]) -> bool:
    """Places count by what is in them; secrets may be told not to count while they stay."""
    if item.path in _PLACES:
        return True
    name = item.path.removeprefix("secrets.").removeprefix('secrets["').removesuffix('"]')
    both = (reveal(old).get("secrets") or {}).keys() & (reveal(new).get("secrets") or {}).keys()
    return item.path.startswith("secrets") and name in ignored & both


def _ref(inputs: Mapping[str, Any]) -> str:
    tags = reveal(inputs).get("tags") or []
    return str(tags[0]) if tags else ""


if __name__ == "__main__":
    from engine.standins.server import serve

    serve(DockerBuildStandIn)
