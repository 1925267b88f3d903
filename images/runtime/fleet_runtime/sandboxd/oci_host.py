"""What a Linux host must have before it can make sandboxes without Docker."""

import os
from collections.abc import Collection
from pathlib import Path

from fleet_runtime.sandboxd.config import OciSettings
from fleet_runtime.sandboxd.oci_cgroups import WANTED

_USER_NAMESPACES = Path("/proc/sys/user/max_user_namespaces")


def host_problem(settings: OciSettings, controllers: Collection[str]) -> str | None:
    """Return what this host lacks and what to do about it; None if nothing."""
    if os.geteuid() != 0:
        return f"sandboxd runs as user {os.geteuid()}, and only root can make containers with the oci backend"
    if missing := sorted(WANTED - set(controllers)):
        return (
            f"the kernel's control groups lack {', '.join(missing)}, without which no sandbox has limits; "
            "mount them, or boot without cgroup_disable"
        )
    if settings.user_namespaces and _number(_USER_NAMESPACES) == 0:
        return (
            f"{_USER_NAMESPACES} is 0, so no sandbox can have user IDs of its own: raise it, or set "
            "FLEET_OCI_USER_NAMESPACES=false, and sandboxes run as user 10001 of this host"
        )
    try:
        settings.state.mkdir(mode=0o711, parents=True, exist_ok=True)
    except OSError as error:
        return f"FLEET_OCI_STATE {settings.state} cannot be made: {error.strerror}"
    if settings.user_namespaces:
        closed = [folder for folder in (settings.state, *settings.state.parents) if not folder.stat().st_mode & 0o001]
        if closed:
            return (
                f"FLEET_OCI_STATE is {settings.state}, and {closed[-1]} lets only its owner through: sandboxes have "
                "user IDs of their own, so choose another folder, or let others pass (chmod o+x)"
            )
    return None


def oom_score() -> int:
    """Return what a sandbox starts with: not more protected from the kernel than others, nor than sandboxd itself."""
    return max(0, _number(Path("/proc/self/oom_score_adj")) or 0)


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None
