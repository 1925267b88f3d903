"""What a sandbox may do, as Docker is told it. Every limit is here, the same for warm and cold sandboxes."""

from typing import Any

import docker
from docker.types import LogConfig, Ulimit

from fleet_runtime.sandboxd.config import SandboxTemplate

LABEL_FLEET = "agent-fleet.fleet"
LABEL_ROLE = "agent-fleet.role"
ROLE = "sandbox"

_USER = "10001:10001"
_MEBIBYTE = 1024 * 1024
_SHARED_MEMORY_BYTES = 16 * _MEBIBYTE
_BYTES_PER_INODE = 16 * 1024
"""One file or folder for so many bytes of scratch, as ext4 does by default; each takes about 1 KiB of kernel memory."""


def container_config(client: docker.APIClient, fleet: str, name: str, template: SandboxTemplate) -> dict[str, Any]:
    """Return the arguments of `create_container` for one sandbox of this template."""
    return {
        "image": template.image,
        "name": name,
        "hostname": "sandbox",
        "user": _USER,
        "working_dir": "/job",
        "stdin_open": True,
        "labels": {LABEL_FLEET: fleet, LABEL_ROLE: ROLE},
        "host_config": client.create_host_config(
            network_mode="none",
            # Without these two the host's own name servers and search domains stand in /etc/resolv.conf.
            dns=["127.0.0.1"],
            dns_search=["."],
            cap_drop=["ALL"],
            # Docker's default seccomp profile applies because no other is named; `check` refuses a daemon without one.
            security_opt=["no-new-privileges:true"],
            read_only=True,
            runtime=template.runtime,
            mem_limit=template.memory_bytes,
            memswap_limit=template.memory_bytes,
            nano_cpus=round(template.cpus * 1e9),
            pids_limit=template.pids,
            ulimits=[
                Ulimit(name="nofile", soft=1024, hard=4096),
                Ulimit(name="core", soft=0, hard=0),
                Ulimit(name="memlock", soft=65536, hard=65536),
            ],
            tmpfs={
                "/job": _tmpfs(template.scratch_bytes, mode="0700"),
                "/tmp": _tmpfs(max(template.scratch_bytes // 4, _MEBIBYTE), mode="1777"),  # noqa: S108 - the sandbox's
                "/dev/shm": _tmpfs(_SHARED_MEMORY_BYTES, mode="1777", executable=False),  # noqa: S108
            },
            ipc_mode="private",
            log_config=LogConfig(type="none"),
            restart_policy={"Name": "no"},
            oom_kill_disable=False,
            privileged=False,
            publish_all_ports=False,
        ),
    }


def _tmpfs(size: int, *, mode: str, executable: bool = True) -> str:
    """Return mount options; a job that compiles has to execute what it made."""
    inodes = max(size // _BYTES_PER_INODE, 1024)
    access = "exec" if executable else "noexec"
    return f"rw,{access},nosuid,nodev,size={size},nr_inodes={inodes},mode={mode},uid=10001,gid=10001"
