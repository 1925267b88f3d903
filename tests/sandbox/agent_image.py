"""Agents' images of this checkout, built once and then from BuildKit's cache."""

import os
import subprocess
from pathlib import Path

from sandbox_daemon import PROJECT

SMALL_RUST_TOOL = {"RUST_TOOL": "minijinja-cli", "RUST_TOOL_VERSION": "3.0.5", "RUST_BUILD_PACKAGES": ""}
"""In place of the default, with its 450 crates and a database in C++: a locked tool of the same kind, which makes text
from templates, by the same steps."""
MINUTES = 20


def build_agent_image(target: str, tag: str, **arguments: str) -> str:
    """Build a target of images/agent, tag it, and return the image's ID."""
    command = ["docker", "build", "--quiet", "--network=host", "--tag", tag, "--target", target]
    command += ["--file", str(PROJECT / "images" / "agent" / "Dockerfile")]
    for name, value in sorted(arguments.items()):
        command += ["--build-arg", f"{name}={value}"]
    bundle = Path(os.environ.get("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt"))
    if bundle.is_file():
        command += ["--secret", f"id=ca,src={bundle}"]
    built = subprocess.run(
        [*command, str(PROJECT / "images")],
        env={**os.environ, "DOCKER_BUILDKIT": "1", "PATH": "/usr/bin:" + os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=MINUTES * 60,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    return built.stdout.strip()
