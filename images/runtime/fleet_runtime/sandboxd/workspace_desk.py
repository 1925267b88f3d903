"""sandboxd's answers about the workspaces of its host: how large each is, and the removal of one that nobody uses."""

import json
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from fleet_runtime.sandboxd.backend import BackendError
from fleet_runtime.sandboxd.refused import RefusedError
from fleet_runtime.sandboxd.request import parse_workspace
from fleet_runtime.sandboxd.workspace import Workspace, WorkspacesInUse


@dataclass(frozen=True)
class WorkspaceSize:
    """One workspace, and what its files take."""

    workspace: Workspace
    size_bytes: int
    """-1 where it cannot be measured: Docker gives up at folders deeper than a path may be long."""


@runtime_checkable
class KeepsWorkspaces(Protocol):
    """A backend whose sandboxes may have workspaces."""

    async def workspace_sizes(self) -> list[WorkspaceSize]:
        """Measure all of the fleet's; takes as long as reading their folders does. Raises BackendError."""
        ...

    async def remove_workspace(self, workspace: Workspace) -> bool:
        """Remove one with all that is in it, and say whether there was one. Raises BackendError."""
        ...


class WorkspaceDesk:
    """Answers the operations `workspaces` and `remove_workspace`."""

    def __init__(self, backend: object, in_use: WorkspacesInUse) -> None:
        """A backend without workspaces has none."""
        self._backend = backend if isinstance(backend, KeepsWorkspaces) else None
        self._in_use = in_use

    async def sizes(self) -> tuple[dict[str, Any], bytes]:
        """Return the answer to `workspaces`; raises RefusedError."""
        try:
            found = [] if self._backend is None else await self._backend.workspace_sizes()
        except BackendError as error:
            raise RefusedError("start_failed", f"the workspaces cannot be measured: {error}") from None
        listed = [
            {"tenant": each.workspace.tenant, "workspace": each.workspace.name, "size_bytes": each.size_bytes}
            for each in found
        ]
        return {"event": "workspaces"}, json.dumps(listed).encode()

    async def remove(self, header: dict[str, Any]) -> dict[str, Any]:
        """Return the answer to `remove_workspace`; raises RefusedError where a sandbox has it, or had it just now."""
        workspace = parse_workspace(header)
        if workspace is None:
            raise RefusedError("invalid_request", "remove_workspace needs tenant and workspace")
        if not self._in_use.take(workspace):
            raise RefusedError("no_capacity", f"a job has workspace {workspace.name} of tenant {workspace.tenant}")
        try:
            removed = self._backend is not None and await self._backend.remove_workspace(workspace)
        except BackendError as error:
            raise RefusedError("start_failed", f"it cannot be removed: {error}") from None
        finally:
            self._in_use.free(workspace)
        return {"event": "removed", "removed": removed}
