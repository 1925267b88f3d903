"""containerd, as far as the cluster itself needs it: importing images, and ending every pod through its CRI."""

import contextlib
import os
import shutil
import signal
import subprocess
from pathlib import Path

import grpc

from engine.cluster.layout import Layout
from engine.cluster.processes import Process, all_ids, command_line, end, find, gone
from engine.errors import UserFacingError

_NAMESPACE = "k8s.io"
_CGROUPS = Path("/sys/fs/cgroup")
_SECONDS = 30.0


def _control(layout: Layout, *arguments: str) -> list[str]:
    program = shutil.which("ctr") or "/usr/bin/ctr"
    return [program, "--address", str(layout.containerd_socket), "--namespace", _NAMESPACE, *arguments]


def images(layout: Layout) -> set[str]:
    """The names of the images that the node has."""
    ended = subprocess.run(
        _control(layout, "images", "list", "-q"), capture_output=True, text=True, check=False, timeout=60
    )
    return set(ended.stdout.split())


def import_archive(layout: Layout, archive: bytes) -> None:
    """Give the node the images of an archive of `docker save`."""
    ended = subprocess.run(
        _control(layout, "images", "import", "-"), input=archive, capture_output=True, check=False, timeout=600
    )
    if ended.returncode:
        raise UserFacingError(
            f"The node's containerd did not take an image: {ended.stderr.decode(errors='replace').strip()[-300:]}",
            f"Its log is {layout.logs / 'containerd.log'}.",
        )


def _sandboxes(layout: Layout) -> list[str]:
    pods = 'labels."io.cri-containerd.kind"==sandbox'
    try:
        ended = subprocess.run(
            _control(layout, "containers", "list", "-q", pods), capture_output=True, text=True, check=False, timeout=30
        )
    except subprocess.TimeoutExpired:
        return []
    return ended.stdout.split()


def _identified(sandbox: str) -> bytes:
    # The one field of the CRI's StopPodSandboxRequest and RemovePodSandboxRequest: pod_sandbox_id = 1, a string.
    content = sandbox.encode()
    return b"\x0a" + bytes([len(content)]) + content


def end_pods(layout: Layout) -> None:
    """Stop and remove every pod, each with its network, through containerd's own API; needs a running containerd."""
    sandboxes = _sandboxes(layout)
    if not sandboxes:
        return
    with grpc.insecure_channel(f"unix://{layout.containerd_socket}") as channel:
        for method in ("StopPodSandbox", "RemovePodSandbox"):
            call = channel.unary_unary(
                f"/runtime.v1.RuntimeService/{method}",
                request_serializer=_identified,
                response_deserializer=bytes,
            )
            answers = [call.future(sandbox, timeout=_SECONDS) for sandbox in sandboxes]
            for answer in answers:
                # What containerd cannot end is ended by its process id afterwards.
                with contextlib.suppress(grpc.RpcError):
                    answer.result()


def _cgroups(layout: Layout) -> list[Path]:
    """The cluster's own cgroup in every hierarchy that the machine has."""
    candidates = [_CGROUPS, *(path for path in _CGROUPS.iterdir() if path.is_dir() and not path.is_symlink())]
    return [path / layout.cgroup for path in candidates if (path / layout.cgroup).is_dir()]


def ensure_cgroup(layout: Layout) -> None:
    """Have the cgroup below which the kubelet puts every pod."""
    if (_CGROUPS / "cgroup.controllers").exists():
        for controller in (_CGROUPS / "cgroup.controllers").read_text().split():
            with contextlib.suppress(OSError):
                (_CGROUPS / "cgroup.subtree_control").write_text(f"+{controller}")
        (_CGROUPS / layout.cgroup).mkdir(exist_ok=True)
        return
    for hierarchy in _CGROUPS.iterdir():
        if not hierarchy.is_dir() or hierarchy.is_symlink() or not (hierarchy / "cgroup.procs").exists():
            continue
        folder = hierarchy / layout.cgroup
        folder.mkdir(exist_ok=True)
        for name in ("cpuset.cpus", "cpuset.mems"):
            if (folder / name).exists() and not (folder / name).read_text().strip():
                (folder / name).write_text((hierarchy / name).read_text())


def left_over(layout: Layout) -> list[Process]:
    """Containers' processes and their shims that still run."""
    ids = {
        int(line)
        for cgroup in _cgroups(layout)
        for path in cgroup.rglob("cgroup.procs")
        for line in path.read_text().split()
    }
    socket = str(layout.containerd_socket)
    for pid in all_ids():
        words = command_line(pid)
        if words and Path(words[0]).name.startswith("containerd-shim") and socket in words:
            ids.add(pid)
    return [process for pid in ids if pid != os.getpid() and (process := find(pid)) is not None]


def kill_left_over(layout: Layout) -> None:
    """End by id what containerd did not end, then remove the cgroups."""
    shims = left_over(layout)
    for process in shims:
        process.send(signal.SIGKILL)
    gone(shims, 10)
    end(left_over(layout), 1)
    for cgroup in _cgroups(layout):
        folders = sorted((path for path in cgroup.rglob("*") if path.is_dir()), key=lambda path: -len(path.parts))
        for folder in (*folders, cgroup):
            with contextlib.suppress(OSError):
                folder.rmdir()
