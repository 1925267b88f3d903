"""Workspaces, as sandboxd sees them: what they are called on the host, and that each has one sandbox at a time."""

from collections.abc import Callable
from dataclasses import dataclass

from fleet_runtime.agent_script import WORKSPACE_FOLDER as SANDBOX_FOLDER

__all__ = ["SANDBOX_FOLDER", "Workspace", "WorkspacesInUse"]


@dataclass(frozen=True)
class Workspace:
    """One workspace. Its tenant is a part of its name: what a job says can lead to no other tenant's."""

    tenant: str
    name: str

    def volume(self, fleet: str) -> str:
        """Return the name of its Docker volume. Neither tenants nor workspaces have a dot, so no two share one."""
        return f"{fleet}-workspace-{self.tenant}.{self.name}"


class WorkspacesInUse:
    """Which workspaces sandboxes of this host have mounted, or had until they are gone.

    The queue gives out one job of a workspace at a time. That job's sandbox may still be being removed when the next
    one arrives, and a worker that lost its lease may not know yet; here it is exact.
    """

    def __init__(self) -> None:
        """Begin with none."""
        self._taken: set[Workspace] = set()
        self._listeners: list[Callable[[], None]] = []

    def listen(self, on_freed: Callable[[], None]) -> None:
        """Have this called whenever one is free again."""
        self._listeners.append(on_freed)

    def take(self, workspace: Workspace | None) -> bool:
        """Take one, and say whether it was free; None always is."""
        if workspace is None:
            return True
        if workspace in self._taken:
            return False
        self._taken.add(workspace)
        return True

    def free(self, workspace: Workspace | None) -> None:
        """Give one back."""
        if workspace is not None:
            self._taken.remove(workspace)
            for listener in self._listeners:
                listener()
