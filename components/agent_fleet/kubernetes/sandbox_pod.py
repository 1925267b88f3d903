"""The pod that a stranger's code runs in."""

import pulumi
import pulumi_kubernetes as k8s

from agent_fleet.inputs import applied
from agent_fleet.kubernetes.object_labels import UNTRUSTED_NODE
from agent_fleet.kubernetes.pod import memory_quantity
from agent_fleet.kubernetes.pod_volumes import scratch
from agent_fleet.kubernetes.sandbox_pool_args import DEFAULT_GRACE_SECONDS, SandboxPoolArgs

SANDBOX_USER = 10001
JOB_DIRECTORY = "/job"
_SHARED_MEMORY_MEBIBYTES = 16
_DISK = "128Mi"
"""For what the kubelet keeps of the output. Nothing else of a sandbox is on disk."""


def sandbox_pod(args: SandboxPoolArgs, *, restart_policy: str | None = None) -> k8s.core.v1.PodSpecArgs:
    """The spec of a sandbox pod, whoever makes it; a Deployment allows no other restart policy than its own."""
    untrusted = args.get("untrusted_nodes", False)
    toleration = k8s.core.v1.TolerationArgs(key=UNTRUSTED_NODE, operator="Equal", value="true", effect="NoSchedule")
    return k8s.core.v1.PodSpecArgs(
        service_account_name=args["pool"],
        automount_service_account_token=False,
        restart_policy=restart_policy,
        enable_service_links=False,
        hostname="sandbox",
        # Without a name server of its own the pod would be given the cluster's.
        dns_policy="None",
        dns_config=k8s.core.v1.PodDNSConfigArgs(nameservers=["127.0.0.1"]),
        runtime_class_name=args.get("runtime_class"),
        node_selector={UNTRUSTED_NODE: "true"} if untrusted else None,
        tolerations=[toleration] if untrusted else None,
        termination_grace_period_seconds=args.get("grace_seconds", DEFAULT_GRACE_SECONDS),
        security_context=k8s.core.v1.PodSecurityContextArgs(
            run_as_non_root=True,
            run_as_user=SANDBOX_USER,
            run_as_group=SANDBOX_USER,
            fs_group=SANDBOX_USER,
            seccomp_profile=k8s.core.v1.SeccompProfileArgs(type="RuntimeDefault"),
        ),
        containers=[_container(args)],
        volumes=[
            k8s.core.v1.VolumeArgs(name=volume, empty_dir=scratch(size))
            for volume, _, size in _directories(args["scratch_mebibytes"])
        ],
    )


def _container(args: SandboxPoolArgs) -> k8s.core.v1.ContainerArgs:
    reserved = args["reserved_cpus"] if "reserved_cpus" in args else applied(args["cpus"], lambda most: most / 4)
    # Memory is requested as limited: a node that promised more than it has kills jobs, where CPUs only make them slow.
    amounts: dict[str, pulumi.Input[str]] = {
        "memory": memory_quantity(args["memory_mebibytes"]),
        "ephemeral-storage": _DISK,
    }
    limits = {**amounts, "cpu": applied(args["cpus"], _millicpus)}
    requests = {**amounts, "cpu": applied(reserved, _millicpus)}
    return k8s.core.v1.ContainerArgs(
        name="sandbox",
        image=args["image"],
        image_pull_policy=args.get("pull_policy", "IfNotPresent"),
        # The job comes by it, from the worker that attaches. Its end, the death of that worker too, ends the sandbox.
        stdin=True,
        stdin_once=True,
        resources=k8s.core.v1.ResourceRequirementsArgs(limits=limits, requests=requests),
        security_context=k8s.core.v1.SecurityContextArgs(
            privileged=False,
            allow_privilege_escalation=False,
            read_only_root_filesystem=True,
            capabilities=k8s.core.v1.CapabilitiesArgs(drop=["ALL"]),
            run_as_non_root=True,
            run_as_user=SANDBOX_USER,
            run_as_group=SANDBOX_USER,
        ),
        volume_mounts=[
            k8s.core.v1.VolumeMountArgs(name=volume, mount_path=path)
            for volume, path, _ in _directories(args["scratch_mebibytes"])
        ],
    )


def _millicpus(cpus: float) -> str:
    return f"{max(round(cpus * 1000), 10)}m"


def _directories(scratch_mebibytes: int) -> list[tuple[str, str, int]]:
    """Where a job may write, and how many mebibytes: the same on a Docker host (sandboxd/docker_posture.py)."""
    return [
        ("job", JOB_DIRECTORY, scratch_mebibytes),
        ("tmp", "/tmp", max(scratch_mebibytes // 4, 1)),  # noqa: S108 - the sandbox's
        ("shared-memory", "/dev/shm", _SHARED_MEMORY_MEBIBYTES),  # noqa: S108
    ]
