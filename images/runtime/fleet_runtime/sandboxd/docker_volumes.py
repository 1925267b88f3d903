"""Workspaces as Docker volumes: found by their labels, and nothing else's volume is ever taken for one."""

from typing import Any

import docker

from fleet_runtime.sandboxd.backend import BackendError
from fleet_runtime.sandboxd.docker_posture import LABEL_FLEET, LABEL_ROLE
from fleet_runtime.sandboxd.workspace import Workspace

LABEL_TENANT = "agent-fleet.tenant"
LABEL_WORKSPACE = "agent-fleet.workspace"
ROLE = "workspace"


def ensure_volume(client: docker.APIClient, fleet: str, workspace: Workspace) -> str:
    """Return the name of a workspace's volume, which is made at its first use; raises BackendError.

    Docker has no limit on the size of a volume on an ordinary file system.
    """
    name = workspace.volume(fleet)
    labels = {
        LABEL_FLEET: fleet,
        LABEL_ROLE: ROLE,
        LABEL_TENANT: workspace.tenant,
        LABEL_WORKSPACE: workspace.name,
    }
    # One that exists is returned as it is, whoever made it.
    volume: dict[str, Any] = client.create_volume(name, driver="local", labels=labels)
    found: dict[str, str] = volume.get("Labels") or {}
    if any(found.get(label) != value for label, value in labels.items()) or volume.get("Options"):
        raise BackendError(f"the volume {name} is not this workspace's: it has other labels or options; remove it")
    return name
