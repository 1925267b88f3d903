"""Agents' images of this checkout, built once and then from BuildKit's cache."""

from sandbox_daemon import PROJECT
from sandbox_image import docker_build

SMALL_RUST_TOOL = {"RUST_TOOL": "minijinja-cli", "RUST_TOOL_VERSION": "3.0.5", "RUST_BUILD_PACKAGES": ""}
"""In place of the default, with its 450 crates and a database in C++: a locked tool of the same kind, which makes text
from templates, by the same steps."""
MINUTES = 20


def build_agent_image(target: str, tag: str, **arguments: str) -> str:
    """Build a target of images/agent, tag it, and return the image's ID."""
    options = ["--target", target, "--file", str(PROJECT / "images" / "agent" / "Dockerfile")]
    for name, value in sorted(arguments.items()):
        options += ["--build-arg", f"{name}={value}"]
    return docker_build(PROJECT / "images", tag, *options, minutes=MINUTES)
