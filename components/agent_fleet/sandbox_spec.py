"""`SandboxSpec`: what strangers' code gets, and per field who enforces it in each architecture.

Always stricter than a `Workload`. The fields with a default are the posture, the same in every sandbox; those without
are what a pool chooses.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import pulumi

from agent_fleet.inputs import applied

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True)
class Enforcement:
    """Who holds one field of a sandbox true. Written as data, for the documentation and for tests."""

    host: str
    """On a Docker host: architectures `vm` and `queue`."""
    cluster: str
    """In Kubernetes: architecture `cluster`."""

    def by_architecture(self) -> Mapping[str, str]:
        """The answer for each architecture by its name."""
        return {"vm": self.host, "queue": self.host, "cluster": self.cluster}


@dataclass(frozen=True, kw_only=True)
class SandboxSpec:
    """The limits of one kind of sandbox. `template` is the form in which sandboxd is told."""

    image: Annotated[
        pulumi.Input[str],
        Enforcement("sandboxd: a job names a template, never an image", "the pool's Deployment, by digest"),
    ]
    runtime: Annotated[pulumi.Input[str], Enforcement("Docker: HostConfig.Runtime", "the pod's RuntimeClass")]
    memory_mebibytes: Annotated[
        pulumi.Input[int],
        Enforcement("the kernel's memory cgroup, no swap; Docker: HostConfig.Memory", "resources.limits.memory"),
    ]
    cpus: Annotated[
        pulumi.Input[float],
        Enforcement("the kernel's CPU quota; Docker: HostConfig.NanoCpus", "resources.limits.cpu"),
    ]
    processes: Annotated[
        pulumi.Input[int],
        Enforcement(
            "the kernel's pids cgroup; Docker: HostConfig.PidsLimit",
            "the kubelet's podPidsLimit, which the nodes' user data must set",
        ),
    ]
    scratch_mebibytes: Annotated[
        pulumi.Input[int],
        Enforcement("a tmpfs of that size, charged to memory", "an emptyDir in memory with that sizeLimit"),
    ]
    warm: Annotated[
        pulumi.Input[int], Enforcement("sandboxd: started ahead of need", "the replicas of the pool's Deployment")
    ]
    maximum: Annotated[
        pulumi.Input[int], Enforcement("sandboxd: refuses with no_capacity", "the namespace's ResourceQuota")
    ]
    start_timeout_seconds: Annotated[
        pulumi.Input[int],
        Enforcement("sandboxd: the sandbox is destroyed", "the worker: the pod is deleted"),
    ]
    cpu_seconds: Annotated[
        pulumi.Input[float] | None,
        Enforcement(
            "the sandbox's runner: kills the job by what its control group counts",
            "the same, where the pod sees its control group; else by what /proc says of its processes",
        ),
    ] = None
    network: Annotated[str, Enforcement("Docker: NetworkMode none", "NetworkPolicy: nothing in, nothing out")] = "none"
    egress_socket_mounted: Annotated[
        bool,
        Enforcement("sandboxd: one socket of the egress proxy, alone in a read-only folder", "no pod has one"),
    ] = False
    uid: Annotated[int, Enforcement("Docker: Config.User", "Pod Security restricted: runAsNonRoot, runAsUser")] = 10001
    read_only_root: Annotated[
        bool, Enforcement("Docker: HostConfig.ReadonlyRootfs", "securityContext.readOnlyRootFilesystem")
    ] = True
    dropped_capabilities: Annotated[
        tuple[str, ...], Enforcement("Docker: HostConfig.CapDrop", "Pod Security restricted: capabilities.drop")
    ] = ("ALL",)
    privilege_escalation_allowed: Annotated[
        bool, Enforcement("Docker: no-new-privileges", "Pod Security restricted: allowPrivilegeEscalation")
    ] = False
    workspaces_mounted: Annotated[
        bool,
        Enforcement("sandboxd: the volume of the job's own tenant, one sandbox at a time", "no pod has one"),
    ] = False
    trusted_credentials: Annotated[
        Mapping[str, Any] | None,
        Enforcement("sandboxd: `file`, read-only, and jobs of no tenant but `tenant`", "no pod has one"),
    ] = None
    host_mounts_allowed: Annotated[
        bool,
        Enforcement("sandboxd: its templates have no mounts but those three", "Pod Security restricted: volume types"),
    ] = False
    single_use: Annotated[
        bool,
        Enforcement("sandboxd: removed after its job", "the worker deletes the pod, the Deployment replaces it"),
    ] = True
    output_kept_by_host: Annotated[
        bool, Enforcement("Docker: log driver none", "the kubelet's containerLogMaxSize: bounded, not off")
    ] = False

    def template(self) -> dict[str, pulumi.Input[Any]]:
        """The entry of sandboxd's FLEET_SANDBOX_TEMPLATES: only what varies; the posture is sandboxd's own."""
        return {
            "image": self.image,
            "runtime": self.runtime,
            "memory_bytes": _bytes(self.memory_mebibytes),
            "cpus": self.cpus,
            "pids": whole_number(self.processes),
            "scratch_bytes": _bytes(self.scratch_mebibytes),
            "warm": whole_number(self.warm),
            "maximum": whole_number(self.maximum),
            "start_timeout_seconds": whole_number(self.start_timeout_seconds),
            **({} if self.cpu_seconds is None else {"cpu_seconds": self.cpu_seconds}),
            **({"egress": True} if self.egress_socket_mounted else {}),
            **({"workspaces": True} if self.workspaces_mounted else {}),
            **({} if self.trusted_credentials is None else {"credentials": dict(self.trusted_credentials)}),
        }

    @classmethod
    def enforcement(cls) -> Mapping[str, Enforcement]:
        """For each field by its name, who enforces it."""
        return {name: hint.__metadata__[0] for name, hint in cls.__annotations__.items()}


def whole_number(value: pulumi.Input[int]) -> pulumi.Input[int]:
    """The number as an int: one that has been through the engine comes back as a float, and prints as `4.0`."""
    return applied(value, int)


def _bytes(mebibytes: pulumi.Input[int]) -> pulumi.Input[int]:
    def convert(number: int) -> int:
        return int(number) * MEBIBYTE

    return applied(mebibytes, convert)
