"""compose.yaml as a whole: services, how their images are built, the network, volumes and secrets."""

import re
from collections.abc import Mapping
from typing import Any

import yaml
from agent_fleet.workload import Workload

from engine.composition import fleet
from engine.composition.builds import build, build_only
from engine.composition.secret_files import FOLDER, NAMES
from engine.composition.service import service
from engine.composition.variables import FLEET, SUBNET, image
from engine.paths import CHECKOUT

FILE = CHECKOUT / "compose.yaml"

_HEADER = """\
# The fleet for people who want `docker compose up` and no Pulumi. Made by `make compose` from the same workloads as
# every other form of the fleet (engine/composition): change those, not this. Before the first use:
# `make compose-secrets`.
# docs/local.md says how it is used, what its variables are, and how it differs from `make up`.
# Valid for Docker Compose 2 and docker-compose 1.29.
"""
_AFTER: Mapping[str, tuple[str, ...]] = {
    "api": ("database", "redis"),
    # The API brings the database's tables up to date before it is healthy.
    "worker": ("api", "sandboxd"),
}
_PROFILES = {"mcp-proxy": "mcp", "devtools": "devtools"}
_BUILD_PROFILE = "build"
_DOUBTFUL = re.compile(r"[\d.:]+(?::.*)?")
"""Strings that a reader of YAML might take for a number or a time, such as `10:20`."""


def document() -> dict[str, Any]:
    """The composition, section by section."""
    workloads = [*fleet.orchestrator(), *fleet.agents(), fleet.mcp_proxy(), fleet.devtools()]
    services = {workload.name: _service(workload) for workload in workloads}
    services["devtools"] |= {"stdin_open": True, "tty": True}
    services |= {f"build-{name}": _only_built(name) for name in build_only()}
    return {
        "services": services,
        "networks": {
            fleet.NETWORK: {
                "driver": "bridge",
                "ipam": {"config": [{"subnet": SUBNET}]},
                "labels": {"agent-fleet.fleet": FLEET, "agent-fleet.role": "network"},
            }
        },
        "volumes": {
            name: {"labels": {"agent-fleet.fleet": FLEET, "agent-fleet.role": "volume"}}
            for name in (fleet.DATA_VOLUME, fleet.RUN_VOLUME, fleet.WORKSPACE_VOLUME)
        },
        "secrets": {name: {"file": f"./{FOLDER}/{name}"} for name in NAMES},
    }


def text() -> str:
    """The file, as it is checked in."""
    return _HEADER + yaml.dump(document(), Dumper=_Plain, sort_keys=False, width=120, allow_unicode=True)


def _service(workload: Workload) -> dict[str, Any]:
    described = service(workload, FLEET)
    described = {"image": described.pop("image"), "build": build(_image_of(workload)), **described}
    if workload.name in _AFTER:
        described["depends_on"] = {other: {"condition": "service_healthy"} for other in _AFTER[workload.name]}
    if workload.name in _PROFILES:
        described["profiles"] = [_PROFILES[workload.name]]
    return described


def _only_built(name: str) -> dict[str, Any]:
    """An image that others are made from or sandboxd uses: `docker compose --profile build build` makes it."""
    return {
        "image": image(name),
        "build": build(name),
        "network_mode": "none",
        "profiles": [_BUILD_PROFILE],
        "scale": 0,
    }


def _image_of(workload: Workload) -> str:
    return str(workload.image).removeprefix("agent-fleet/").partition(":")[0]


class _Plain(yaml.SafeDumper):
    """YAML without anchors, which readers of it need not know, and with strings quoted where a reader may doubt."""

    def ignore_aliases(self, data: Any) -> bool:
        """Everything is written out."""
        del data
        return True


def _string(dumper: _Plain, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style='"' if _DOUBTFUL.fullmatch(value) else None)


_Plain.add_representer(str, _string)
