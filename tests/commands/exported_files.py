"""What `make export` writes for a stack of tests, once for each platform."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from engine.commands.export import export
from engine.commands.session import Session
from engine.paths import CHECKOUT, Paths

DIGESTS = {
    name: f"registry.test/agent-fleet/{name}@sha256:{letter * 64}"
    for name, letter in (("runtime", "a"), ("sandbox", "b"), ("postgres", "c"))
}
FLEET = "agent-fleet-probe"


def stack_file(folder: Path, **given: Any) -> Path:
    """A stack's file that both platforms can have, with what a test changes."""
    settings: dict[str, Any] = {
        "architecture": "vm",
        "workers": {"count": 2, "drain_seconds": 10},
        "tenants": {"acme": {"jobs_per_day": 100}},
        "images": {"digests": DIGESTS},
        **given,
    }
    path = folder / "Pulumi.probe.yaml"
    path.write_text(yaml.safe_dump({"config": {"agent-fleet:fleet": settings}}))
    return path


def write(folder: Path, platform: str, **given: Any) -> Path:
    """Run the command; returns the folder that it wrote. Raises UserFacingError."""
    out = folder / platform
    export(Session(Paths(CHECKOUT), "probe", 0.0), stack_file(folder, **given), platform, out, "")
    return out


@cache
def written(folder: Path, platform: str) -> Path:
    """The same, once."""
    return write(folder, platform)


def plan(out: Path) -> dict[str, Any]:
    """What differs between stacks on Modal."""
    return json.loads((out / "fleet.json").read_text())
