"""Images: built from this repository, or pulled by digest where they were built before."""

from collections.abc import Mapping
from typing import NotRequired, TypedDict

import pulumi
import pulumi_docker as docker
import pulumi_docker_build as docker_build


class AgentImageArgs(TypedDict):
    """What to build."""

    repository: pulumi.Input[str]
    """The image's name without a tag, for example `agent-fleet/runtime`."""
    tag: pulumi.Input[str]
    """The tag it is loaded under. Containers never use it: they take `reference`."""
    context: pulumi.Input[str]
    """The folder that is sent to the builder, relative to the project."""
    dockerfile: NotRequired[pulumi.Input[str]]
    """Relative to the project; by default the one in the context."""
    target: NotRequired[pulumi.Input[str]]
    """A stage of the Dockerfile; by default its last."""
    build_args: NotRequired[Mapping[str, pulumi.Input[str]]]
    """Values of the Dockerfile's ARGs. They stay readable in the image's history: no secrets."""
    registry: NotRequired[pulumi.Input[str]]
    """Where the image is pushed, without a scheme, for example `127.0.0.1:5001`. Left out: it stays in the Docker host
    that built it."""
    ca_bundle: NotRequired[pulumi.Input[str]]
    """PEM certificates for downloads during the build. Passed as the build secret `ca`, so in no layer. A change of
    it alone builds nothing anew."""


class AgentImage(pulumi.ComponentResource):
    """A BuildKit build, loaded into the Docker host or pushed to a registry. A preview neither builds nor pushes."""

    reference: pulumi.Output[str]
    """The image by its content: `sha256:…`, with a registry `<registry>/<repository>@sha256:…`."""

    def __init__(self, name: str, args: AgentImageArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Declare the build; see `AgentImageArgs`."""
        super().__init__("agent-fleet:index:AgentImage", name, {}, opts)
        ca_bundle = args.get("ca_bundle")
        registry = args.get("registry")
        dockerfile = args.get("dockerfile")
        build_args = args.get("build_args")
        name_in_registry = (
            pulumi.Output.from_input(args["repository"])
            if registry is None
            else pulumi.Output.concat(registry, "/", args["repository"])
        )
        image = docker_build.Image(
            name,
            context=docker_build.BuildContextArgs(location=args["context"]),
            dockerfile=None if dockerfile is None else docker_build.DockerfileArgs(location=dockerfile),
            target=args.get("target"),
            build_args=None if build_args is None else dict(build_args),
            tags=[pulumi.Output.concat(name_in_registry, ":", args["tag"])],
            load=registry is None,
            push=registry is not None,
            build_on_preview=False,
            # Behind a proxy only the host's own network and name table reach the package registries.
            network=docker_build.NetworkMode.HOST,
            secrets=None if ca_bundle is None else {"ca": pulumi.Output.secret(ca_bundle)},
            ignore_secrets_in_diff_calculation=None if ca_bundle is None else ["ca"],
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.reference = image.digest if registry is None else pulumi.Output.concat(name_in_registry, "@", image.digest)
        self.register_outputs({"reference": self.reference})


class PulledImageArgs(TypedDict):
    """What to pull."""

    reference: pulumi.Input[str]
    """`registry/name@sha256:…`."""


class PulledImage(pulumi.ComponentResource):
    """An image built and judged elsewhere, pulled onto the Docker host before anything is started from it."""

    reference: pulumi.Output[str]
    """The image by its content: `sha256:…`."""

    def __init__(self, name: str, args: PulledImageArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Declare the image; see `PulledImageArgs`."""
        super().__init__("agent-fleet:index:PulledImage", name, {}, opts)
        image = docker.RemoteImage(
            name,
            name=args["reference"],
            # Another fleet on the same host may run the same digest.
            keep_locally=True,
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.reference = image.image_id
        self.register_outputs({"reference": self.reference})
