"""The pools and agent types that an API routes to, as it is told of them."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

_NAME = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
TenantName = Annotated[str, StringConstraints(pattern=_NAME)]
AgentType = Annotated[str, StringConstraints(pattern=_NAME)]


class Pool(BaseModel):
    """The workers of one agent type of one tenant, and the sandbox template that their jobs run in."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tenant: TenantName
    agent_type: AgentType
    template: str = Field(min_length=1)
    default: bool = False
    """Whether it takes the tenant's jobs that name no agent type; a tenant's only pool does anyway."""
    scales_from_zero: bool = False
    """Whether queued jobs bring workers up, so that none being there is no fault."""


class Agent(BaseModel):
    """One agent type of a fleet without pools: what `{agent, …}` jobs of it run in, and how."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    agent_type: AgentType
    template: str = Field(min_length=1)
    prompt_command: tuple[str, ...] = ()
    """The program and arguments that a prompt is given to, on its standard input; empty where it takes none."""
    workspace_bytes: int | None = Field(default=None, ge=1)
    """A job is refused whose workspace was larger than this when it was last measured; None: none is."""
    tenant: TenantName | None = None
    """The only tenant that has this agent type, since its sandboxes have that one's credentials; None: all have it."""
    shell: bool = True
    """Whether the image of its sandboxes has a shell, without which a command must be a list."""
