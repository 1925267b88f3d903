"""A folder for each sandbox that may reach the proxy, with one listening socket in it: what the sandbox mounts."""

import os
import shutil
import socket
from collections.abc import Collection
from pathlib import Path

SANDBOX_FOLDER = "/run/egress"
"""Where a sandbox has its folder."""
SOCKET_NAME = "proxy.sock"
_BACKLOG = 64


class EgressFolders:
    """All of them, below one folder that nobody but sandboxd may enter: a sandbox gets to its own by its mount."""

    def __init__(self, folder: Path) -> None:
        """Nothing is made yet."""
        self._folder = folder

    def make(self, name: str) -> socket.socket:
        """Make a sandbox's folder and return its listening socket; raises OSError."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        own = self._folder / name
        own.mkdir(mode=0o755)
        own.chmod(0o755)
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        folder = os.open(own, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            # A socket's path may have 107 bytes, and this folder's own may be longer.
            listening.bind(f"/proc/self/fd/{folder}/{SOCKET_NAME}")
            # The job's user is another one than sandboxd's; only its own sandbox has the folder.
            (own / SOCKET_NAME).chmod(0o666)
            listening.listen(_BACKLOG)
        except BaseException:
            listening.close()
            raise
        finally:
            os.close(folder)
        return listening

    def remove(self, name: str) -> None:
        """Remove a sandbox's folder; one that is not there is as good as removed."""
        shutil.rmtree(self._folder / name, ignore_errors=True)

    def sweep(self, known: Collection[str]) -> None:
        """Remove the folders of sandboxes that are not known: a killed sandboxd's."""
        if self._folder.is_dir():
            for entry in list(self._folder.iterdir()):
                if entry.name not in known:
                    self.remove(entry.name)
