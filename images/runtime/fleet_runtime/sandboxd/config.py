"""What sandboxd is told by its environment: where it listens, to whom, and the templates it may create from."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

_MEBIBYTE = 1024 * 1024


class SandboxTemplate(BaseModel):
    """One kind of sandbox, and how many of it. Nothing outside a template decides what a sandbox may do."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    image: Annotated[str, Field(min_length=1, description="Image ID or digest; it is never pulled.")]
    runtime: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="runc or runsc.")] = "runc"
    memory_bytes: Annotated[int, Field(ge=64 * _MEBIBYTE, description="Of all processes and scratch together.")]
    cpus: Annotated[float, Field(ge=0.1, le=1024)] = 1.0
    pids: Annotated[int, Field(ge=16, le=32768, description="Processes and threads; the runner takes two.")] = 128
    scratch_bytes: Annotated[int, Field(ge=_MEBIBYTE, description="The working directory, in memory.")]
    warm: Annotated[int, Field(ge=0, le=1000)] = 4
    maximum: Annotated[int, Field(ge=1, le=1000, description="Waiting and running together.")] = 8
    start_timeout_seconds: Annotated[float, Field(gt=0, le=600)] = 30.0

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.warm > self.maximum:
            raise ValueError(
                f"warm is {self.warm} and maximum is {self.maximum}: sandboxes waiting count towards the maximum, "
                "so raise maximum or lower warm"
            )
        if self.scratch_bytes > self.memory_bytes:
            raise ValueError(
                f"scratch_bytes is {self.scratch_bytes} and memory_bytes is {self.memory_bytes}: scratch is memory, "
                "so raise memory_bytes or lower scratch_bytes"
            )
        return self


class SandboxdSettings(BaseSettings):
    """The environment of the sandboxd role, each with the prefix FLEET_."""

    model_config = SettingsConfigDict(env_prefix="FLEET_", extra="ignore", frozen=True)

    name: Annotated[str, Field(min_length=1, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
    """The fleet's name; it labels every sandbox, and left-over ones are found by it."""
    log_level: str = "info"
    sandboxd_socket: Path = Path("/run/fleet/sandboxd.sock")
    sandboxd_allowed_uids: Annotated[str, Field(pattern=r"^\d+( *, *\d+)*$")] = "1001"
    """User IDs that may connect, separated by commas; sandboxd's own always may."""
    sandboxd_socket_gid: int | None = Field(default=None, ge=0)
    """Group that the socket is given to, so that the worker may open it."""
    docker_host: Annotated[str, Field(pattern=r"^(unix|tcp)://")] = "unix:///var/run/docker.sock"
    sandbox_templates: dict[str, SandboxTemplate] = Field(min_length=1)
    drain_seconds: float = Field(default=15.0, gt=0)
    """How long taking down every sandbox may last when sandboxd is told to stop."""

    @property
    def allowed_uids(self) -> frozenset[int]:
        """The user IDs that may connect."""
        return frozenset(int(uid) for uid in self.sandboxd_allowed_uids.split(","))
