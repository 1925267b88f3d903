"""The agents' images of the family, for stacks that build none: one place for each target of images/agent."""

from typing import Generic, TypeVar

from settings.agent_image_names import key_of_target
from settings.values import ImageByDigest, ImageName, Section

_Image = TypeVar("_Image", bound=str)


class _AgentImages(Section, Generic[_Image]):
    python: _Image | None = None
    """Of `toolchain: python`."""
    python_hardened: _Image | None = None
    """The same with `hardened`."""
    node: _Image | None = None
    """Of `toolchain: node`."""
    node_hardened: _Image | None = None
    """The same with `hardened`."""
    rust: _Image | None = None
    """Of `toolchain: rust`."""
    rust_hardened: _Image | None = None
    """The same with `hardened`."""
    full: _Image | None = None
    """Of `toolchain: full`."""
    full_hardened: _Image | None = None
    """The same with `hardened`."""

    def of(self, target: str) -> _Image | None:
        """The image of a target of images/agent, such as `python-hardened`."""
        return getattr(self, key_of_target(target))


class AgentDigests(_AgentImages[ImageByDigest]):
    """The images of agent types with a `toolchain`, `agent-fleet/agent-…`. Each is `registry/name@sha256:…`."""


class ImportedAgents(_AgentImages[ImageName]):
    """The images of agent types with a `toolchain`, `agent-fleet/agent-…`, by their ids on the Docker host."""
