"""What a sandbox may do, as numbers. Docker and the OCI runtimes are told the same ones: tests hold both renderings."""

from collections.abc import Mapping
from dataclasses import dataclass

from fleet_runtime.agent_script import HOME_FOLDER
from fleet_runtime.sandboxd.config import SandboxTemplate

USER_ID = 10001
"""User and group of every process in a sandbox."""
HOST_NAME = "sandbox"
WORKING_FOLDER = "/job"
CREDENTIALS_FOLDER = f"{HOME_FOLDER}/.claude"
"""Where the Claude Code CLI keeps its own; it is a job's to write to, like the rest of its home."""
CREDENTIALS_FILE = f"{CREDENTIALS_FOLDER}/.credentials.json"
RUNNER = ("python3", "main.py")
"""What every sandbox starts as, whatever its image starts otherwise: Python, which becomes the runner
(images/sandbox/sitecustomize.py)."""

RESOURCE_LIMITS: Mapping[str, tuple[int, int]] = {
    "nofile": (1024, 4096),
    "core": (0, 0),
    "memlock": (65536, 65536),
}
"""Soft and hard, by the names of setrlimit(2); fleet_sandbox/limits.py sets the same where a backend cannot."""

_MEBIBYTE = 1024 * 1024
_SHARED_MEMORY_BYTES = 16 * _MEBIBYTE
_BYTES_PER_INODE = 16 * 1024
"""One file or folder for so many bytes of scratch, as ext4 does by default; each takes about 1 KiB of kernel memory."""


@dataclass(frozen=True)
class Scratch:
    """A file system in memory that a job may write to: `size` in bytes, `inodes` files and folders."""

    path: str
    size: int
    inodes: int
    mode: str
    executable: bool

    def options(self) -> list[str]:
        """Return its mount options."""
        return [
            "rw",
            "exec" if self.executable else "noexec",
            "nosuid",
            "nodev",
            f"size={self.size}",
            f"nr_inodes={self.inodes}",
            f"mode={self.mode}",
            f"uid={USER_ID}",
            f"gid={USER_ID}",
        ]


def scratch(template: SandboxTemplate) -> tuple[Scratch, ...]:
    """Return what a sandbox of this template may write to; a job that compiles has to execute what it made."""
    home_bytes = max(template.scratch_bytes // 4, _MEBIBYTE)
    return (
        _scratch(WORKING_FOLDER, template.scratch_bytes, "0700"),
        _scratch("/tmp", home_bytes, "1777"),  # noqa: S108 - the sandbox's own
        # Docker would make the folder that a file is mounted in as root's, and the CLI could keep nothing there.
        *((_scratch(CREDENTIALS_FOLDER, home_bytes, "0700"),) if template.credentials else ()),
        _scratch("/dev/shm", _SHARED_MEMORY_BYTES, "1777", executable=False),  # noqa: S108 - the same
    )


def _scratch(path: str, size: int, mode: str, *, executable: bool = True) -> Scratch:
    return Scratch(path, size, max(size // _BYTES_PER_INODE, 1024), mode, executable)
