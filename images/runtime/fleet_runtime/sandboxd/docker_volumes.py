"""Workspaces as Docker volumes: found by their labels, and nothing else's volume is ever taken for one."""

from typing import Any

import docker
from docker.errors import NotFound

from fleet_runtime.sandboxd.backend import BackendError
from fleet_runtime.sandboxd.docker_posture import LABEL_FLEET, LABEL_ROLE
from fleet_runtime.sandboxd.workspace import Workspace
from fleet_runtime.sandboxd.workspace_desk import WorkspaceSize

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


def volume_sizes(client: docker.APIClient, fleet: str) -> list[WorkspaceSize]:
    """Measure the volumes of a fleet's workspaces, as the daemon counts: the lengths of all files."""
    volumes: list[dict[str, Any]] = client.df().get("Volumes") or []
    found: list[WorkspaceSize] = []
    for volume in volumes:
        labels: dict[str, str] = volume.get("Labels") or {}
        size = (volume.get("UsageData") or {}).get("Size", -1)
        if labels.get(LABEL_FLEET) == fleet and labels.get(LABEL_ROLE) == ROLE:
            workspace = Workspace(labels.get(LABEL_TENANT, ""), labels.get(LABEL_WORKSPACE, ""))
            # By its labels alone another one could be taken for it.
            if volume["Name"] == workspace.volume(fleet):
                found.append(WorkspaceSize(workspace, int(size)))
    return found


def remove_volume(client: docker.APIClient, fleet: str, workspace: Workspace) -> bool:
    """Remove a workspace's volume, and say whether there was one; raises BackendError where it is another's."""
    name = workspace.volume(fleet)
    try:
        labels: dict[str, str] = client.inspect_volume(name).get("Labels") or {}
        if (labels.get(LABEL_FLEET), labels.get(LABEL_ROLE)) != (fleet, ROLE):
            raise BackendError(f"the volume {name} is not this workspace's: it has other labels")
        client.remove_volume(name)
    except NotFound:
        return False
    return True
