"""The docker stand-in: really creates, reads, updates and deletes on the local Docker daemon.

Serves containers, networks, volumes, remote images and tags, with the official provider's property semantics.
"""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from typing import Any, ClassVar

from engine.standins import (
    docker_container,
    docker_container_rules,
    docker_image,
    docker_network,
    docker_volume,
)
from engine.standins.docker_api import DockerEngine, DockerError, part
from engine.standins.standin import Call, Created, Naming, OperationError, StandIn
from engine.standins.type_check import Failure
from engine.standins.values import reveal


class _Token(StrEnum):
    CONTAINER = "docker:index/container:Container"
    NETWORK = "docker:index/network:Network"
    VOLUME = "docker:index/volume:Volume"
    IMAGE = "docker:index/remoteImage:RemoteImage"
    TAG = "docker:index/tag:Tag"


_SETTINGS = frozenset({"host", "certPath", "disableDockerDaemonCheck"})


class DockerStandIn(StandIn):
    """Acts on one Docker daemon."""

    package = "docker"
    notice = (
        "docker: this is agent-fleet's stand-in for the official provider. "
        "It really creates, changes and deletes on the Docker daemon."
    )
    served = frozenset(map(str, _Token))
    named: ClassVar = {_Token.CONTAINER: Naming(), _Token.NETWORK: Naming(), _Token.VOLUME: Naming()}

    def __init__(self) -> None:
        """The daemon is not contacted before an operation needs it, so that a preview works without one."""
        super().__init__()
        self.engine = DockerEngine()

    def configure(self, config: Mapping[str, Any]) -> None:
        """Take the daemon's address; settings that have no meaning here are refused."""
        super().configure(config)
        settings = {key: value for key, value in reveal(config).items() if key != "version" and value not in (None, "")}
        refused = sorted(settings.keys() - _SETTINGS)
        if refused:
            raise OperationError(
                f"The docker stand-in does not serve the provider setting {', '.join(refused)}; it takes "
                f"{', '.join(sorted(_SETTINGS))}. Use the official provider plugin for it."
            )
        self.engine = DockerEngine(settings.get("host", ""), settings.get("certPath", ""))

    def validate(self, call: Call, inputs: Mapping[str, Any]) -> list[Failure]:
        """Faults that types do not show."""
        if call.token == _Token.CONTAINER:
            return docker_container_rules.failures(inputs)
        if call.token == _Token.IMAGE and inputs.get("build") is not None:
            return [Failure("build", "is not served by the docker stand-in: declare a docker_build.Image.")]
        if call.token == _Token.VOLUME and inputs.get("cluster") is not None:
            return [Failure("cluster", "is not served by the docker stand-in: cluster volumes need Docker Swarm.")]
        return []

    def create(self, call: Call, inputs: Mapping[str, Any]) -> Created:
        """Create the object on the daemon."""
        with _reaching_the_daemon():
            match call.token:
                case _Token.CONTAINER:
                    return docker_container.create(self.engine, self.working_directory, call, inputs)
                case _Token.NETWORK:
                    return docker_network.create(self.engine, call, inputs)
                case _Token.VOLUME:
                    return docker_volume.create(self.engine, call, inputs)
                case _Token.IMAGE:
                    return docker_image.create(self.engine, call, inputs)
                case _:
                    return docker_image.create_tag(self.engine, call, inputs)

    def read(self, call: Call, inputs: Mapping[str, Any], state: Mapping[str, Any]) -> Created:
        """Look at the object on the daemon."""
        with _reaching_the_daemon():
            match call.token:
                case _Token.CONTAINER:
                    return docker_container.read(self.engine, call, inputs, state)
                case _Token.NETWORK:
                    return docker_network.read(self.engine, call, inputs)
                case _Token.VOLUME:
                    return docker_volume.read(self.engine, call, inputs)
                case _Token.IMAGE:
                    return docker_image.read(self.engine, call, inputs)
                case _:
                    return Created(call.resource_id, state, inputs)

    def update(
        self, call: Call, old: Mapping[str, Any], state: Mapping[str, Any], new: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """Change what can be changed in place; for everything but containers that is a note in state."""
        if call.token != _Token.CONTAINER:
            return super().update(call, old, state, new)
        with _reaching_the_daemon():
            return docker_container.update(self.engine, call, old, state, new)

    def delete(self, call: Call, state: Mapping[str, Any]) -> None:
        """Delete the object from the daemon."""
        with _reaching_the_daemon():
            match call.token:
                case _Token.CONTAINER:
                    docker_container.delete(self.engine, call, state)
                case _Token.NETWORK:
                    docker_network.delete(self.engine, call, state)
                case _Token.VOLUME:
                    docker_volume.delete(self.engine, call, state)
                case _Token.IMAGE:
                    docker_image.delete(self.engine, call, state)
                case _:
                    # The official provider leaves the tag where it is, and so does this one.
                    return

    def invoke(self, token: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Networks and images that the daemon has."""
        name = str(reveal(arguments).get("name"))
        with _reaching_the_daemon():
            if token == "docker:index/getNetwork:getNetwork":  # noqa: S105
                found = self.engine.find(f"/networks/{part(name)}")
                keys = {"driver": "Driver", "internal": "Internal", "scope": "Scope", "options": "Options", "id": "Id"}
            elif token == "docker:index/getRemoteImage:getRemoteImage":  # noqa: S105
                found = self.engine.find(f"/images/{part(name)}/json")
                keys = {"id": "Id"}
            else:
                return super().invoke(token, arguments)
        if found is None:
            raise OperationError(f"name: this Docker daemon has no {token.rpartition('get')[2]} {name!r}.")
        result = {"name": name, **{key: found.get(source) for key, source in keys.items()}}
        if "IPAM" in found:
            configurations = found["IPAM"].get("Config") or []
            result["ipamConfigs"] = [{"subnet": item.get("Subnet", "")} for item in configurations]
        else:
            result["repoDigest"] = next(iter(found.get("RepoDigests") or []), "")
        return result


@contextmanager
def _reaching_the_daemon() -> Generator[None]:
    """A refusal that no operation explained itself is shown in the daemon's words."""
    try:
        yield
    except DockerError as error:
        raise OperationError(f"Docker: {error.message}") from error


if __name__ == "__main__":
    from engine.standins.server import serve

    serve(DockerStandIn)
