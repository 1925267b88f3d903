"""What a sandbox may do (posture.py), as an OCI runtime is told it: the config.json of one bundle."""

import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fleet_runtime.sandboxd.config import SandboxTemplate
from fleet_runtime.sandboxd.egress_folders import SANDBOX_FOLDER
from fleet_runtime.sandboxd.oci_seccomp import seccomp
from fleet_runtime.sandboxd.posture import HOST_NAME, RESOURCE_LIMITS, RUNNER, USER_ID, WORKING_FOLDER, scratch
from fleet_runtime.sandboxd.workspace import SANDBOX_FOLDER as WORKSPACE_FOLDER

SPECIFICATION = "1.0.2"
UIDS_EACH = 65_536
"""User IDs of one sandbox where it has a user namespace of its own."""
_PERIOD_MICROSECONDS = 100_000
_RESOURCE_NAMES = {name: f"RLIMIT_{name.upper()}" for name in RESOURCE_LIMITS}

# The lists are Docker's (github.com/moby/moby v28.3.3, oci/defaults.go), so that both backends hide the same.
MASKED = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
)
READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
_DEVICES = ((1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 2))
"""null, zero, full, random, urandom, tty and ptmx; (136, any) are the terminals that ptmx makes."""


@dataclass(frozen=True)
class Program:
    """What an image says of itself that matters here."""

    rootfs: Path
    environment: tuple[str, ...]


def bundle_config(
    template: SandboxTemplate,
    program: Program,
    *,
    cgroup: str,
    first_uid: int | None,
    oom_score: int,
    egress_folder: Path,
    workspace_folder: Path | None = None,
) -> dict[str, Any]:
    """Return config.json for one sandbox.

    `cgroup` is the path of its control group below each hierarchy, `first_uid` the first of the host's user IDs that
    are its own, None where it shares the host's. `oom_score` is what its processes start with, and `egress_folder` is
    what it has mounted where its template has egress. `workspace_folder` is mounted as its workspace.
    """
    linux: dict[str, Any] = {
        "cgroupsPath": cgroup,
        "namespaces": [{"type": kind} for kind in ("mount", "network", "uts", "pid", "ipc", "cgroup")],
        "resources": _resources(template),
        "seccomp": seccomp(platform.machine()),
        "maskedPaths": list(MASKED),
        "readonlyPaths": list(READ_ONLY),
        # As in Docker's containers: a job may listen on port 80 of its own loopback.
        "sysctl": {"net.ipv4.ip_unprivileged_port_start": "0", "net.ipv4.ping_group_range": f"0 {UIDS_EACH - 1}"},
    }
    if first_uid is not None:
        linux["namespaces"].append({"type": "user"})
        mapping = [{"containerID": 0, "hostID": first_uid, "size": UIDS_EACH}]
        linux |= {"uidMappings": mapping, "gidMappings": mapping}
    return {
        "ociVersion": SPECIFICATION,
        "hostname": HOST_NAME,
        "root": {"path": str(program.rootfs), "readonly": True},
        "process": {
            "terminal": False,
            "user": {"uid": USER_ID, "gid": USER_ID},
            "args": list(RUNNER),
            "env": [*program.environment, f"HOSTNAME={HOST_NAME}"],
            "cwd": WORKING_FOLDER,
            "capabilities": {kind: [] for kind in ("bounding", "effective", "inheritable", "permitted", "ambient")},
            "rlimits": [
                {"type": _RESOURCE_NAMES[name], "soft": soft, "hard": hard}
                for name, (soft, hard) in RESOURCE_LIMITS.items()
            ],
            "noNewPrivileges": True,
            "oomScoreAdj": oom_score,
        },
        "mounts": [
            *_mounts(template),
            *([_egress(egress_folder)] if template.egress else []),
            *([_workspace(workspace_folder)] if workspace_folder is not None else []),
        ],
        "linux": linux,
    }


def _resources(template: SandboxTemplate) -> dict[str, Any]:
    devices = [*_DEVICES, (136, None)]
    return {
        "devices": [
            {"allow": False, "access": "rwm"},
            *(
                {"allow": True, "type": "c", "major": major, "access": "rwm"}
                | ({} if minor is None else {"minor": minor})
                for major, minor in devices
            ),
        ],
        # The limit of memory and swap together is the memory's: there is no swap.
        "memory": {"limit": template.memory_bytes, "swap": template.memory_bytes, "disableOOMKiller": False},
        "cpu": {"quota": round(template.cpus * _PERIOD_MICROSECONDS), "period": _PERIOD_MICROSECONDS},
        "pids": {"limit": template.pids},
    }


def _mounts(template: SandboxTemplate) -> list[dict[str, Any]]:
    closed = ["nosuid", "noexec", "nodev"]
    return [
        _mount("/proc", "proc", closed),
        _mount("/dev", "tmpfs", ["nosuid", "strictatime", "mode=755", "size=65536k", "nr_inodes=1024"]),
        _mount("/dev/pts", "devpts", ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]),
        _mount("/dev/mqueue", "mqueue", closed),
        _mount("/sys", "sysfs", [*closed, "ro"]),
        _mount("/sys/fs/cgroup", "cgroup", [*closed, "ro"]),
        *(_mount(each.path, "tmpfs", ["rprivate", *each.options()]) for each in scratch(template)),
    ]


def _egress(folder: Path) -> dict[str, Any]:
    options = ["bind", "ro", "rprivate", "nosuid", "noexec", "nodev"]
    return {"destination": SANDBOX_FOLDER, "type": "bind", "source": str(folder), "options": options}


def _workspace(folder: Path) -> dict[str, Any]:
    # Executable: an agent builds there, and runs what it built.
    options = ["bind", "rw", "rprivate", "nosuid", "nodev"]
    return {"destination": WORKSPACE_FOLDER, "type": "bind", "source": str(folder), "options": options}


def _mount(destination: str, kind: str, options: list[str]) -> dict[str, Any]:
    return {"destination": destination, "type": kind, "source": kind, "options": options}
