"""The sandbox image of this checkout, as every suite that runs sandboxes needs it."""

import os
import subprocess
from pathlib import Path

from sandbox_daemon import PROJECT

BASE = "agent-fleet/base:bookworm-1"
IMAGE = "agent-fleet/sandbox:test"


def build_sandbox_image(tag: str) -> None:
    """Build it, which BuildKit's cache makes quick."""
    docker_build(PROJECT / "images" / "sandbox", tag, minutes=10)


def docker_build(context: Path, tag: str, *options: str, minutes: float) -> str:
    """Build the folder `context` with Docker's own client, tag the image, and return its ID."""
    command = ["docker", "build", "--quiet", "--network=host", "--tag", tag, *options]
    bundle = Path(os.environ.get("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt"))
    if bundle.is_file():
        command += ["--secret", f"id=ca,src={bundle}"]
    built = subprocess.run(
        [*command, str(context)],
        env={**os.environ, "DOCKER_BUILDKIT": "1", "PATH": "/usr/bin:" + os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=minutes * 60,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    return built.stdout.strip()
