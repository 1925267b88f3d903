"""What a worker that runs its jobs in pods is told by its environment."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from fleet_runtime.sandboxd.config import SandboxTemplate

_TARGET = r"^(\[[0-9a-fA-F:]+\]|[^\s:\[\]]+):[0-9]{1,5}$"


class KubernetesSettings(BaseSettings):
    """The environment of the `kubernetes` backend: prefix FLEET_, but for the two names that Kubernetes gives."""

    model_config = SettingsConfigDict(env_prefix="FLEET_", extra="ignore", frozen=True, populate_by_name=True)

    kubernetes_service_host: Annotated[str, Field(min_length=1, validation_alias="KUBERNETES_SERVICE_HOST")]
    kubernetes_service_port: Annotated[int, Field(ge=1, le=65_535, validation_alias="KUBERNETES_SERVICE_PORT")] = 443
    kubernetes_credentials: Path = Path("/var/run/secrets/fleet")
    """A folder with `token`, which is read again as it rotates, and `ca.crt`, the only authority that is trusted."""

    sandbox_namespace: Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
    sandbox_selector: Annotated[str, Field(min_length=1)]
    """The labels of the pool's sandbox pods, such as `agent-fleet.role=sandbox,agent-fleet.pool=testing`."""
    agent_sandbox: Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$")] | None = None
    """The SandboxWarmPool of agent-sandbox that has the sandboxes. Left out: the pods are a Deployment's."""
    sandbox_templates: dict[str, SandboxTemplate] = Field(min_length=1)
    """By name. `warm` is how many pods this worker holds attached, `maximum` how many it holds at most."""

    network_canary: Literal["enforce", "report"] = "enforce"
    """What follows where a sandbox reaches what it must not: no job is run, or it is only logged and counted."""
    canary_targets: tuple[Annotated[str, Field(pattern=_TARGET)], ...] = ()
    """More `host:port` that a sandbox must not reach, beside the metadata service, the API server and the database."""
    canary_seconds: Annotated[float, Field(ge=10)] = 900
    """How often it is tried again: what denies the network may be removed while workers run."""

    @field_validator("sandbox_templates")
    @classmethod
    def _one(cls, value: dict[str, SandboxTemplate]) -> dict[str, SandboxTemplate]:
        # Pods are found by one selector, and what they may do is the Deployment's to say.
        if len(value) > 1:
            raise ValueError(f"must hold one template, as there is one selector; given are {', '.join(sorted(value))}")
        if any(template.workspaces for template in value.values()):
            raise ValueError("workspaces must be false: pods are made before their jobs are known")
        if any(template.credentials for template in value.values()):
            raise ValueError("credentials must be left out: a pod mounts no file of its node's")
        return value
