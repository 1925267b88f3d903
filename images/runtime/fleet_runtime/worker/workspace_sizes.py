"""After jobs that had a workspace, how large workspaces are now: written down for the API, which refuses by it."""

import asyncio
from typing import Protocol, runtime_checkable

import structlog

from fleet_runtime.database import DatabaseAway
from fleet_runtime.sandboxd.client import Sandboxes, SandboxLost, SandboxRefused
from fleet_runtime.store.workspaces import Key, Workspaces

log = structlog.get_logger()

_PAUSE_SECONDS = 1.0
"""Between two measurements: each reads the folders of all workspaces of the host."""
_RETRY_SECONDS = 10.0
"""After one that failed: until it succeeds, the API goes by older sizes."""


@runtime_checkable
class MeasuresWorkspaces(Protocol):
    """Sandboxes that have workspaces."""

    async def workspace_sizes(self) -> dict[Key, int]:
        """Return the bytes of each; raises SandboxLost or SandboxRefused."""
        ...


class WorkspaceSizes:
    """Measures soon after a job has ended, once for all that end together."""

    def __init__(self, sandboxes: Sandboxes, store: Workspaces) -> None:
        """Measure nothing before `run`."""
        self._sandboxes = sandboxes
        self._store = store
        self._used: set[Key] = set()
        self._wake = asyncio.Event()

    def ended(self, tenant: str, workspace: str) -> None:
        """Note that a job which had a workspace has ended."""
        self._used.add((tenant, workspace))
        self._wake.set()

    async def run(self) -> None:
        """Measure until cancelled. What cannot be measured keeps its last size, and is tried again."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            done = await self._measure()
            await asyncio.sleep(_PAUSE_SECONDS if done else _RETRY_SECONDS)

    async def _measure(self) -> bool:
        used, self._used = self._used, set()
        sizes: dict[Key, int] = {}
        measured = True
        try:
            if isinstance(self._sandboxes, MeasuresWorkspaces):
                sizes = await self._sandboxes.workspace_sizes()
        except (SandboxLost, SandboxRefused) as error:
            log.warning("workspaces_not_measured", reason=str(error))
            measured = False
            self._wake.set()
        try:
            await self._store.record(sizes, used)
        except DatabaseAway as error:
            log.warning("workspace_sizes_not_written", error=str(error))
            self._used |= used
            self._wake.set()
        return measured
