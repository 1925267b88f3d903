"""What sandboxd is told by its environment: where it listens, to whom, and the templates it may create from."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from fleet_runtime.workspaces import TENANT_NAME

_MEBIBYTE = 1024 * 1024


class SandboxCredentials(BaseModel):
    """A file of the host's with credentials, for the jobs of one tenant."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: Annotated[str, Field(pattern=r"^/[^\x00-\x1f]*\.json$", description="As Docker's host sees it.")]
    tenant: Annotated[str, Field(pattern=f"^{TENANT_NAME.pattern}$", description="Another tenant's jobs are refused.")]


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
    cpu_seconds: Annotated[
        float | None, Field(ge=0.1, le=7 * 24 * 3600, description="Processor time of a job, all processes together.")
    ] = None
    workspaces: Annotated[bool, Field(description="Jobs may name a workspace; each sandbox is made for its job.")] = (
        False
    )
    egress: Annotated[bool, Field(description="A socket of the egress proxy's is mounted, and nothing else.")] = False
    credentials: Annotated[
        SandboxCredentials | None, Field(description="Mounted read-only into the home; every job can read it.")
    ] = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.warm > self.maximum:
            raise ValueError(
                f"warm is {self.warm} and maximum is {self.maximum}: sandboxes waiting count towards the maximum, "
                "so raise maximum or lower warm"
            )
        if self.workspaces and self.warm:
            raise ValueError(
                f"warm is {self.warm}, and workspaces is true: which workspace a sandbox has is known when its job "
                "comes, so set warm to 0"
            )
        if self.scratch_bytes > self.memory_bytes:
            raise ValueError(
                f"scratch_bytes is {self.scratch_bytes} and memory_bytes is {self.memory_bytes}: scratch is memory, "
                "so raise memory_bytes or lower scratch_bytes"
            )
        return self


class OciSettings(BaseModel):
    """What the oci backend is told."""

    model_config = ConfigDict(frozen=True)

    state: Path
    runtimes: dict[str, Path]
    user_namespaces: bool
    first_uid: int


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
    sandboxd_backend: Literal["docker", "oci"] = "docker"
    """Whether sandboxes are containers of Docker, or of an OCI runtime that sandboxd calls itself."""
    docker_host: Annotated[str, Field(pattern=r"^(unix|tcp)://")] = "unix:///var/run/docker.sock"
    oci_state: Path = Path("/var/lib/agent-fleet/oci")
    """Where the oci backend keeps unpacked images and what it makes; others must be able to pass through."""
    oci_runtimes: dict[str, Path] = Field(default_factory=dict[str, Path])
    """The programs of runtimes by name, as JSON; one that is not named is looked for in the usual folders."""
    oci_user_namespaces: bool = True
    """Whether each sandbox of runc has a user namespace, with user IDs that nothing else on the host has."""
    oci_first_uid: int = Field(default=0x7000_0000, ge=65_536, le=0x7FFF_0000)
    """The first of those IDs; each sandbox takes 65,536. The default is above what systemd gives to containers."""
    sandbox_templates: dict[str, SandboxTemplate] = Field(min_length=1)
    egress_socket: Path | None = None
    """Where sandboxd listens for the egress proxy; needed where a template has egress."""
    egress_proxy_uid: int = Field(default=1002, ge=0)
    """The user ID that the proxy must have; sandboxd's own will do too."""
    egress_socket_gid: int | None = Field(default=None, ge=0)
    """Group that the socket is given to, so that the proxy may open it."""
    egress_folder: Path = Path("/run/fleet/egress")
    """Where each such sandbox has a folder with its socket."""
    egress_host_folder: Path | None = None
    """The same folder as Docker's host sees it, where sandboxd is itself in a container."""
    drain_seconds: float = Field(default=15.0, gt=0)
    """How long taking down every sandbox may last when sandboxd is told to stop."""

    @property
    def oci(self) -> OciSettings:
        """What the oci backend is told."""
        return OciSettings(
            state=self.oci_state,
            runtimes=self.oci_runtimes,
            user_namespaces=self.oci_user_namespaces,
            first_uid=self.oci_first_uid,
        )

    @property
    def allowed_uids(self) -> frozenset[int]:
        """The user IDs that may connect."""
        return frozenset(int(uid) for uid in self.sandboxd_allowed_uids.split(","))

    @model_validator(mode="after")
    def _egress_has_a_socket(self) -> Self:
        if self.egress_socket is None and any(template.egress for template in self.sandbox_templates.values()):
            raise ValueError(
                "a template has egress, and egress_socket is not given: it takes a proxy on the same host, so pods of "
                "a cluster cannot have it"
            )
        return self

    @model_validator(mode="after")
    def _credentials_are_dockers(self) -> Self:
        if self.sandboxd_backend != "docker" and any(each.credentials for each in self.sandbox_templates.values()):
            raise ValueError(
                "a template has credentials, and sandboxd_backend is oci, where each sandbox has user IDs of its own, "
                "which cannot read the file: remove them, or let the egress proxy add them"
            )
        return self
