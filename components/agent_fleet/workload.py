"""`Workload`: what the fleet itself runs, described without naming what runs it.

A renderer turns a `Workload` into a container, a unit of a VM or a pod. The defaults are the security posture, so
the posture is written here and nowhere else; a field that weakens it says so in its name or its docstring.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pulumi


@dataclass(frozen=True, kw_only=True)
class User:
    """Who a process runs as, in numbers, so that no image's name table can change the meaning."""

    uid: int
    gid: int
    supplementary_gids: tuple[int, ...] = ()

    @property
    def is_root(self) -> bool:
        """Whether the process runs as uid 0."""
        return self.uid == 0


@dataclass(frozen=True, kw_only=True)
class Publication:
    """Where a port of the workload can be reached on its host."""

    address: pulumi.Input[str]
    """The host's own IP address to listen on."""
    port: pulumi.Input[int]
    """The host's TCP port."""


@dataclass(frozen=True, kw_only=True)
class Port:
    """A TCP port that the workload listens on."""

    name: str
    number: int
    published: Publication | None = None
    """None: reachable from the workload's own networks only."""


@dataclass(frozen=True, kw_only=True)
class HttpTarget:
    """A path of the workload that answers with status 200 when all is well."""

    port: str
    """The name of one of its ports."""
    path: str


@dataclass(frozen=True, kw_only=True)
class TcpTarget:
    """A port of the workload that takes connections when all is well."""

    port: str
    """The name of one of its ports."""


@dataclass(frozen=True, kw_only=True)
class Probe:
    """A question to the workload, and how often it is asked."""

    command: tuple[str, ...] = ()
    """Inside the workload; exit code 0 says that all is well. For renderers that cannot ask `target`."""
    target: HttpTarget | TcpTarget | None = None
    """The same question asked from outside, which costs no process: for renderers that can."""
    interval_seconds: int = 5
    """Also the delay before the first probe, hence what each workload adds to the start of those that wait for it."""
    timeout_seconds: int = 4
    retries: int = 3
    """Failures in a row after which the workload counts as unhealthy."""
    start_period_seconds: int = 45
    """Failures in this time after the start do not count."""


@dataclass(frozen=True, kw_only=True)
class Reservation:
    """What a workload is sure to get, for renderers that place it by this on one of several hosts."""

    memory_mebibytes: pulumi.Input[int]
    cpus: float


@dataclass(frozen=True, kw_only=True)
class Resources:
    """The most that a workload may use."""

    memory_mebibytes: pulumi.Input[int]
    """Swap is never added to it."""
    cpus: float
    reserved: Reservation | None = None
    """None: all of it."""
    disk_mebibytes: int = 128
    """What it may leave on its host's disk: its log, as `LogRotation` bounds it, and nothing else, its root being
    read-only."""
    processes: int = 2048
    """Processes and threads. Generous, because a renderer may only have RLIMIT_NPROC for it, which counts all
    processes of the user on the host and not those of the one container."""


@dataclass(frozen=True, kw_only=True)
class VolumeMount:
    """A named volume at a path."""

    volume: pulumi.Input[str]
    path: str
    read_only: bool = False


@dataclass(frozen=True, kw_only=True)
class HostPathMount:
    """A path of the host, which gives up part of the isolation: only sandboxd has one, the Docker socket."""

    host_path: str
    path: str
    read_only: bool = False


@dataclass(frozen=True, kw_only=True)
class ScratchMount:
    """A directory in memory that is empty at every start. It counts towards the workload's memory."""

    path: str
    size_mebibytes: int
    owner: User | None = None
    """None: root's, and everybody may write, with the sticky bit, as /tmp has it."""


@dataclass(frozen=True, kw_only=True)
class CredentialsMount:
    """A directory with what the workload needs to call the API of the platform that runs it: `token`, `ca.crt`.

    Only a cluster has such an API; the other renderers refuse it.
    """

    path: str
    lifetime_seconds: int = 3600
    """How long a token is good for. It is renewed before that."""


Mount = VolumeMount | HostPathMount | ScratchMount | CredentialsMount


@dataclass(frozen=True, kw_only=True)
class Hardening:
    """The posture. There is no privileged mode to ask for, and seccomp's default profile is always on."""

    read_only_root: bool = True
    dropped_capabilities: tuple[str, ...] = ("ALL",)
    privilege_escalation_allowed: bool = False


@dataclass(frozen=True, kw_only=True)
class LogRotation:
    """How much of a workload's output is kept on its host (G4: 10 MB, three files)."""

    maximum_megabytes: int = 10
    files: int = 3


TEMPORARY_DIRECTORY = ScratchMount(path="/tmp", size_mebibytes=64)  # noqa: S108 - a mount point inside the workload
"""What every workload may write to, its root being read-only."""


@dataclass(frozen=True, kw_only=True)
class Workload:
    """One program of the fleet: what to run, what it may use, and what it can reach."""

    name: str
    """Unique on the host or in the namespace."""
    role: str
    """The value of the role label."""
    image: pulumi.Input[str]
    """By digest or by the image's own id, never by a tag that may move."""
    command: tuple[str, ...]
    """Arguments to the image's entrypoint; empty for the image's own command."""
    user: User
    resources: Resources
    probe: Probe
    """Whether it is well."""
    stop_grace_seconds: int
    """From the signal to stop until the kill."""
    liveness: Probe | None = None
    """Whether a restart would help, for renderers that restart what is not well. None: `probe`."""
    readiness: Probe | None = None
    """Whether to send it work, for renderers that route by it. None: `probe`."""
    routed_seconds: int = 0
    """How long work may still be sent to it after it was told to stop: the signal is held back for so long, by
    renderers that have such a router before it."""
    own_name_variable: str | None = None
    """The variable that gets the name of this one of several replicas, from renderers that make replicas."""
    environment: Mapping[str, pulumi.Input[str]] = field(default_factory=dict[str, pulumi.Input[str]])
    secret_environment: Mapping[str, pulumi.Input[str]] = field(default_factory=dict[str, pulumi.Input[str]])
    """Kept apart from `environment`, because every renderer has another place for secrets."""
    ports: tuple[Port, ...] = ()
    mounts: tuple[Mount, ...] = (TEMPORARY_DIRECTORY,)
    networks: tuple[pulumi.Input[str], ...] = ()
    """The networks that it is on. None: it has no network at all."""
    hardening: Hardening = Hardening()
    log_rotation: LogRotation = LogRotation()
