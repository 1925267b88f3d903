"""Workspaces as folders of the host, each of user IDs that no other sandbox has."""

import os
import subprocess
from collections.abc import Collection
from pathlib import Path

from fleet_runtime.sandboxd.backend import BackendError
from fleet_runtime.sandboxd.oci_config import UIDS_EACH
from fleet_runtime.sandboxd.posture import USER_ID
from fleet_runtime.sandboxd.workspace import Workspace
from fleet_runtime.sandboxd.workspace_desk import WorkspaceSize

_LAST_UID = 0x7FFF_FFFF
"""Above it, user IDs are negative numbers to some programs."""
_COMMAND_SECONDS = 300


class WorkspaceFolders:
    """All of one fleet, below one folder: a folder for each tenant, and in it one for each workspace.

    A workspace's files outlive its sandboxes, so the range of user IDs that they belong to is the workspace's own:
    the owner of its folder says which. Ranges are given from the last one downwards; sandboxes without a workspace
    have theirs from the first one upwards.
    """

    def __init__(self, folder: Path, first_uid: int) -> None:
        """Nothing is made yet."""
        self._folder = folder
        self._first_uid = first_uid

    def open(self, workspace: Workspace, taken: Collection[int], *, shares_users: bool) -> tuple[int | None, Path]:
        """Return the first user ID of a workspace, None where it has the host's, and its folder, made if need be.

        `taken` are the ranges of sandboxes that run. Raises BackendError, OSError.
        """
        folder = self._folder / workspace.tenant / workspace.name
        if not folder.exists():
            self._make(folder, None if shares_users else self._free_slot(taken))
        owner = folder.stat().st_uid
        if (owner == USER_ID) != shares_users:
            raise BackendError(
                f"workspace {workspace.name} of tenant {workspace.tenant} was made "
                f"{'without' if owner == USER_ID else 'with'} user IDs of its own, and its sandboxes are started the "
                f"other way now: set the runtime and FLEET_OCI_USER_NAMESPACES back, or remove {folder}"
            )
        return (None if shares_users else owner - USER_ID), folder

    def sizes(self) -> list[WorkspaceSize]:
        """Measure every workspace by `du`, which no depth of folders stops; raises OSError, SubprocessError."""
        found: list[WorkspaceSize] = []
        for folder in sorted(self._folder.glob("[!.]*/[!.]*")):
            command = ["du", "--summarize", "--one-file-system", "--block-size=1", "--", str(folder)]
            # Files that a job removes meanwhile make it complain, and its sum no less true.
            said = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_COMMAND_SECONDS)
            size = said.stdout.partition("\t")[0]
            if size.isdecimal():
                found.append(WorkspaceSize(Workspace(folder.parent.name, folder.name), int(size)))
        return found

    def remove(self, workspace: Workspace) -> bool:
        """Remove one that no sandbox has, and say whether there was one; raises OSError, SubprocessError."""
        folder = self._folder / workspace.tenant / workspace.name
        if not folder.exists():
            return False
        command = ["rm", "-rf", "--one-file-system", "--", str(folder)]
        subprocess.run(command, capture_output=True, check=True, timeout=_COMMAND_SECONDS)
        return True

    def _make(self, folder: Path, slot: int | None) -> None:
        """Make a folder that has its owner from the moment in which it has its name."""
        for each in (self._folder, folder.parent):
            each.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = folder.with_name(f".{folder.name}.new")
        fresh.mkdir(mode=0o700, exist_ok=True)
        owner = USER_ID if slot is None else self._first_uid + slot * UIDS_EACH + USER_ID
        os.chown(fresh, owner, owner)
        fresh.rename(folder)

    def _free_slot(self, taken: Collection[int]) -> int:
        mine = {(each.stat().st_uid - self._first_uid) // UIDS_EACH for each in self._folder.glob("[!.]*/[!.]*")}
        last = (_LAST_UID + 1 - self._first_uid) // UIDS_EACH - 1
        for slot in range(last, max(taken, default=-1), -1):
            if slot not in mine:
                return slot
        raise BackendError(
            f"there are {len(mine)} workspaces, and no user IDs are left for another: remove some, or lower "
            "FLEET_OCI_FIRST_UID"
        )
