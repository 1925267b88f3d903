"""The sandbox image of this checkout, as every suite that runs sandboxes needs it."""

import os
import subprocess
from pathlib import Path

from sandbox_daemon import PROJECT

BASE = "agent-fleet/base:bookworm-1"
IMAGE = "agent-fleet/sandbox:test"


def build_sandbox_image(tag: str) -> None:
    """Build it, which BuildKit's cache makes quick."""
    command = ["docker", "build", "--quiet", "--network=host", "--tag", tag]
    bundle = Path(os.environ.get("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt"))
    if bundle.is_file():
        command += ["--secret", f"id=ca,src={bundle}"]
    built = subprocess.run(
        [*command, str(PROJECT / "images" / "sandbox")],
        env={**os.environ, "DOCKER_BUILDKIT": "1", "PATH": "/usr/bin:" + os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert built.returncode == 0, built.stderr
