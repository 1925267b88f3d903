"""What a sandbox may do (posture.py), as Docker is told it; the same for warm and cold sandboxes."""

import json
import platform
from pathlib import Path
from typing import Any

import docker
from docker.types import LogConfig, Mount, Ulimit

from fleet_runtime.sandboxd.config import SandboxTemplate
from fleet_runtime.sandboxd.egress_folders import SANDBOX_FOLDER
from fleet_runtime.sandboxd.oci_seccomp import seccomp
from fleet_runtime.sandboxd.posture import (
    CREDENTIALS_FILE,
    HOST_NAME,
    RESOURCE_LIMITS,
    RUNNER,
    USER_ID,
    WORKING_FOLDER,
    scratch,
)
from fleet_runtime.sandboxd.workspace import SANDBOX_FOLDER as WORKSPACE_FOLDER

LABEL_FLEET = "agent-fleet.fleet"
LABEL_ROLE = "agent-fleet.role"
ROLE = "sandbox"


def container_config(
    client: docker.APIClient,
    fleet: str,
    name: str,
    template: SandboxTemplate,
    egress_folders: Path,
    workspace_volume: str | None = None,
) -> dict[str, Any]:
    """Return the arguments of `create_container` for one sandbox of this template.

    `egress_folders` is where Docker's host has the folders of sandboxes with egress, each by its sandbox's name;
    `workspace_volume` is the volume that is mounted as the workspace.
    """
    # Of the kind that is refused where its source is missing, and not made in its place.
    mounts = [Mount(SANDBOX_FOLDER, str(egress_folders / name), type="bind", read_only=True)] if template.egress else []
    if workspace_volume is not None:
        # A new volume takes over what the image has there: an empty folder of the sandbox's user.
        mounts.append(Mount(WORKSPACE_FOLDER, workspace_volume, type="volume"))
    if template.credentials is not None:
        mounts.append(Mount(CREDENTIALS_FILE, template.credentials.file, type="bind", read_only=True))
    return {
        "image": template.image,
        "entrypoint": list(RUNNER),
        "command": [],
        # An image may bring one for its standing containers, and it would run beside a job.
        "healthcheck": {"test": ["NONE"]},
        "name": name,
        "hostname": HOST_NAME,
        "user": f"{USER_ID}:{USER_ID}",
        "working_dir": WORKING_FOLDER,
        "stdin_open": True,
        "labels": {LABEL_FLEET: fleet, LABEL_ROLE: ROLE},
        "host_config": client.create_host_config(
            network_mode="none",
            # Without these two the host's own name servers and search domains stand in /etc/resolv.conf.
            dns=["127.0.0.1"],
            dns_search=["."],
            cap_drop=["ALL"],
            # The same on every Docker: the profile that an older one has by itself lets io_uring through.
            security_opt=["no-new-privileges:true", f"seccomp={json.dumps(seccomp(platform.machine()))}"],
            read_only=True,
            runtime=template.runtime,
            mem_limit=template.memory_bytes,
            memswap_limit=template.memory_bytes,
            nano_cpus=round(template.cpus * 1e9),
            pids_limit=template.pids,
            ulimits=[Ulimit(name=name, soft=soft, hard=hard) for name, (soft, hard) in RESOURCE_LIMITS.items()],
            mounts=mounts,
            tmpfs={each.path: ",".join(each.options()) for each in scratch(template)},
            ipc_mode="private",
            log_config=LogConfig(type="none"),
            restart_policy={"Name": "no"},
            oom_kill_disable=False,
            privileged=False,
            publish_all_ports=False,
        ),
    }
