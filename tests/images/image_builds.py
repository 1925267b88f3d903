"""Builds an image exactly as the docker-build provider does."""

import tempfile
from pathlib import Path
from typing import Any

from architectures.host_certificates import ca_bundle
from engine.standins import build_command
from engine.standins.build_run import BuildRunner
from engine.standins.engine_log import EngineLog, StatusLine

CHECKOUT = Path(__file__).resolve().parents[2]
NAMES = ("runtime", "sandbox", "postgres", "redis")
"""The images that a fleet is built of; each is a folder of images/."""


def build(context: Path, tag: str) -> str:
    """Build the folder `context`, tag the image, and return its ID."""
    certificates = ca_bundle("auto")
    inputs: dict[str, Any] = {
        "context": {"location": str(context)},
        "tags": [tag],
        "exports": [{"docker": {}}],
        "network": "host",
        "secrets": {} if certificates is None else {"ca": certificates},
    }
    with tempfile.TemporaryDirectory() as folder:
        image_id = Path(folder) / "id"
        command = build_command.build_command(inputs, CHECKOUT, build_command.find_builder(), image_id)
        BuildRunner().run(command, StatusLine(EngineLog(""), ""), set())
        return image_id.read_text().strip()
