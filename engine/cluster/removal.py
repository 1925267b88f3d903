"""Takes the one-node cluster away: processes, mounts, network and state; what is not there is no error."""

import contextlib
import shutil
import subprocess
import time
from dataclasses import replace
from pathlib import Path

from engine.cluster import containers, health, kernel_settings, network
from engine.cluster.layout import Layout
from engine.cluster.processes import Process, Supervisor, all_ids, command_line, end, find
from engine.errors import UserFacingError
from engine.report import Report

_MOUNTS = Path("/proc/self/mountinfo")
_POD_LOG_LINKS = Path("/var/log/containers")
_CNI_CACHE = Path("/var/lib/cni")
_KUBELET = Path("/var/lib/kubelet")
_PAUSE = 0.05
# By the name of the file.
_PROGRAMS = {
    "etcd": "etcd",
    "docker-registry": "registry",
    "containerd": "containerd",
    "kube-apiserver": "api-server",
    "kube-controller-manager": "controller-manager",
    "kube-scheduler": "scheduler",
    "kubelet": "kubelet",
    "kube-proxy": "proxy",
    "coredns": "name-service",
    "metrics-server": "metrics-server",
    "volumes": "volumes",
}
_LAST = ("containerd", "registry", "api-server", "etcd")


def present(layout: Layout) -> bool:
    """Whether anything of the cluster is on this machine."""
    return layout.folder.exists() or _doomed(layout).exists() or network.owner(layout) == layout.owner


def _doomed(layout: Layout) -> Path:
    return layout.folder.with_name(f"{layout.folder.name}.removed")


def _processes(layout: Layout) -> dict[str, Process]:
    """Every process of the cluster: those on record, and any whose program reads a file of it."""
    found = Supervisor(layout.processes, layout.logs).recorded()
    known = {process.pid for process in found.values()}
    folders = tuple(f"{folder}/" for folder in (layout.configuration, layout.certificates))
    for pid in all_ids():
        words = command_line(pid)
        named = [word.rpartition("=")[2] for word in words[1:]]
        if pid in known or not words or not any(name.startswith(folders) for name in named):
            continue
        part = _PROGRAMS.get(Path(words[0]).name)
        if part is not None and (process := find(pid)) is not None:
            found[f"{part} {pid}"] = process
    return found


def mounts_below(folder: Path, table: str | None = None) -> list[Path]:
    """What is mounted below a folder, the deepest first; `table` is the kernel's mountinfo."""
    text = table if table is not None else _MOUNTS.read_text()
    points = [line.split()[4].encode().decode("unicode_escape") for line in text.splitlines()]
    below = [Path(point) for point in points if point.startswith(f"{folder}/")]
    return sorted(below, key=lambda path: -len(path.parts))


def _unmount(folder: Path) -> None:
    for point in mounts_below(folder):
        subprocess.run(["umount", "--lazy", str(point)], capture_output=True, check=False, timeout=60)
    deadline = time.monotonic() + 10
    while left := mounts_below(folder):
        if time.monotonic() > deadline:
            raise UserFacingError(
                f"{len(left)} mounts below {folder} could not be taken away, {left[0]} among them.",
                "Nothing below them was removed. See who uses them (fuser -vm), end it, and run the command again.",
            )
        time.sleep(_PAUSE)


def abandoned(layout: Layout) -> Layout | None:
    """Another checkout's cluster that was killed: its network is there, and none of its parts runs."""
    owner = network.owner(layout)
    if owner is None or owner == layout.owner or not Path(owner).is_absolute():
        return None
    other = replace(layout, folder=Path(owner))
    return None if _processes(other) else other


def clear_abandoned(layout: Layout, report: Report) -> None:
    """Take away what it left on the machine; its state stays, for its own checkout to start or to remove."""
    other = abandoned(layout)
    if other is None:
        return
    report(f"Another checkout's cluster was killed ({other.folder}): taking away its network and its pods' processes.")
    containers.kill_left_over(other)
    network.remove(other)
    kernel_settings.restore(other.folder / "kernel.json")
    _unmount(other.folder)


def _traces(layout: Layout) -> None:
    """Remove what the programs leave in folders that cannot be chosen."""
    if _POD_LOG_LINKS.is_dir():
        for link in _POD_LOG_LINKS.iterdir():
            if link.is_symlink() and str(link.readlink()).startswith(f"{layout.folder}/"):
                link.unlink()
    for path in _CNI_CACHE.glob(f"*/{layout.network_name}-*"):
        path.unlink()
    shutil.rmtree(_KUBELET / "device-plugins", ignore_errors=True)
    for folder in (_POD_LOG_LINKS, _CNI_CACHE / "results", _CNI_CACHE, _KUBELET):
        with contextlib.suppress(OSError):
            folder.rmdir()  # only if nobody else has anything in it


def remove(layout: Layout, report: Report) -> None:
    """End and remove everything; Docker and what it runs are not touched."""
    running = _processes(layout)
    if running:
        report(f"Ending {len(running)} processes of the cluster and its pods.")
    # The kubelet first, so that it starts no pod again; containerd last, since it ends the pods.
    end(process for name, process in running.items() if not name.startswith(_LAST))
    if health.containerd(layout):
        containers.end_pods(layout)
    end(process for name, process in running.items() if name.startswith(_LAST))
    containers.kill_left_over(layout)
    if network.owner(layout) == layout.owner:
        network.remove(layout)
    kernel_settings.restore(layout.folder / "kernel.json")
    _unmount(layout.folder)
    _traces(layout)
    # Renamed first: an interrupted removal leaves a cluster that is gone, and none that lacks half of its data.
    doomed = _doomed(layout)
    if layout.folder.exists():
        shutil.rmtree(doomed, ignore_errors=True)
        layout.folder.rename(doomed)
    if doomed.exists():
        shutil.rmtree(doomed)
