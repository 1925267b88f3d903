"""What a managed platform cannot have: each setting of a stack that would mean nothing there, or something else."""

from collections.abc import Iterator
from typing import Literal, get_args

from agent_fleet.execution_workloads import WORKER_STOP_MARGIN_SECONDS

from engine.errors import UserFacingError
from settings.model import Digests, Settings
from settings.placeholders import placeholders

Platform = Literal["fly", "modal"]
PLATFORMS: tuple[str, ...] = get_args(Platform)
STOP_SECONDS = {"fly": 300, "modal": 25}
"""How long each platform waits for a container that it has told to end: Fly at most, Modal always (30 s, less our own
start of it)."""
_MOST_CPUS = {"fly": 16, "modal": 64}


def refuse_misfits(settings: Settings, platform: Platform, file: str) -> Digests:
    """The images to export with. Raises UserFacingError with everything that the platform cannot have."""
    problems = list(_misfits(settings, platform))
    digests = settings.images.digests
    if problems or digests is None:
        raise UserFacingError(
            f"These settings cannot be had on {platform}:\n" + "\n".join(f"  {each}" for each in problems),
            f"Correct {file}, or write a settings file for {platform} and name it: CONFIG=path. "
            "docs/managed-platforms.md says what there is there.",
        )
    return digests


def _misfits(settings: Settings, platform: Platform) -> Iterator[str]:
    if settings.architecture != "vm":
        yield (
            f"fleet.architecture is {settings.architecture}; what is exported is the fleet of one host: use vm, with "
            "its settings of workers and sandboxes"
        )
        return
    if settings.images.digests is None:
        yield "fleet.images.digests is not given; the platform pulls images by digest from a registry: give it"
    else:
        for each in placeholders(settings):
            if each.key.startswith("fleet.images"):
                yield f"{each.problem}"
    if settings.sandbox.egress.domains:
        yield "fleet.sandbox.egress.domains is given; there is no egress proxy there: remove it"
    if settings.agents:
        yield "fleet.agents is given; there are no workspaces there, which agents' jobs need: remove it"
    if settings.doorbell.kind != "postgres":
        yield f"fleet.doorbell.kind is {settings.doorbell.kind}; use postgres, which needs nothing but the database"
    if settings.sandbox.runtime != "runc":
        yield (
            f"fleet.sandbox.runtime is {settings.sandbox.runtime}; a sandbox there is the platform's own (on Fly a "
            "virtual machine, on Modal gVisor): leave it out"
        )
    if settings.sandbox.cpus > _MOST_CPUS[platform]:
        yield f"fleet.sandbox.cpus is {settings.sandbox.cpus:g}; at most {_MOST_CPUS[platform]} are to be had"
    longest = STOP_SECONDS[platform] - WORKER_STOP_MARGIN_SECONDS
    if settings.workers.drain_seconds > longest:
        yield (
            f"fleet.workers.drain_seconds is {settings.workers.drain_seconds}; the platform ends a worker before: "
            f"at most {longest}. Jobs that take longer run again on another worker"
        )
