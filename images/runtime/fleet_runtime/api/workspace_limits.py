"""Refusing jobs whose workspace has grown past its agent type's limit."""

from fleet_runtime.api.problems import Problem
from fleet_runtime.config import ApiSettings
from fleet_runtime.store.records import NewJob
from fleet_runtime.store.workspaces import Workspaces

_MEBIBYTE = 1024 * 1024


class WorkspaceLimits:
    """What the last measurement says. What a job writes while it runs, and one that was queued before, is not held."""

    def __init__(self, settings: ApiSettings, store: Workspaces) -> None:
        """Take the limits of the settings' agent types."""
        self._limits = {agent.agent_type: agent.workspace_bytes for agent in settings.agents}
        self._store = store

    async def problem(self, job: NewJob) -> Problem | None:
        """Return the refusal of a job, or None; raises DatabaseAway."""
        limit = None if job.agent is None else self._limits.get(job.agent)
        if job.workspace is None or limit is None:
            return None
        size = await self._store.size_bytes(job.tenant, job.workspace)
        if 0 <= size <= limit:
            return None
        holds = f"holds {size / _MEBIBYTE:.1f} MiB" if size >= 0 else "cannot be measured, its folders being too deep"
        message = (
            f"workspace {job.workspace!r} {holds}, and agent type {job.agent!r} takes "
            f"workspaces of at most {limit / _MEBIBYTE:.1f} MiB; use another workspace, or have the operator remove "
            "this one or raise the limit"
        )
        return Problem(422, "workspace-full", "The workspace is too large", message, errors=[("workspace", message)])
