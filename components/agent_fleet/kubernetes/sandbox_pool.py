"""Sandboxes as pods: a Deployment of them waits, a worker claims one, uses it once and deletes it."""

from typing import NotRequired, TypedDict

import pulumi
import pulumi_kubernetes as k8s

from agent_fleet.kubernetes.object_labels import UNTRUSTED_NODE, metadata, object_labels, selector_labels
from agent_fleet.kubernetes.ordering import once_there
from agent_fleet.kubernetes.pod import memory_quantity
from agent_fleet.kubernetes.pod_volumes import scratch
from agent_fleet.kubernetes.rollout import rollout_timeouts


class SandboxPoolArgs(TypedDict):
    """What the sandboxes are, and who may claim them."""

    fleet: str
    """The fleet's name."""
    team: str
    """The team that it belongs to."""
    pool: str
    """The pool's name, which is its agent type."""
    namespace: pulumi.Input[str]
    """A namespace of purpose `sandboxes`."""
    image: pulumi.Input[str]
    """The sandbox image, by digest."""
    replicas: pulumi.Input[int]
    """Sandboxes at once, waiting and claimed together."""
    memory_mebibytes: pulumi.Input[int]
    """Memory of one sandbox, its scratch space included."""
    cpus: pulumi.Input[float]
    """The most CPUs that one sandbox gets."""
    reserved_cpus: NotRequired[pulumi.Input[float]]
    """What of them it is sure to get, whatever the others do. Default: a quarter, as most sandboxes wait."""
    scratch_mebibytes: int
    """Size of the working directory, which is in memory. A plain number: what /tmp gets follows from it."""
    runtime_class: NotRequired[pulumi.Input[str]]
    """A RuntimeClass of the cluster, for example one of gVisor. Default: the nodes' own runtime."""
    untrusted_nodes: NotRequired[bool]
    """Whether the pods only run on nodes labelled and tainted `agent-fleet.io/untrusted=true`. Default: no."""
    pull_policy: NotRequired[str]
    """Default `IfNotPresent`: the image is named by its digest."""
    grace_seconds: NotRequired[int]
    """How long a job may go on in a sandbox that is told to stop, as by a new image: the longest job's time, or it is
    tried again. A sandbox without a job leaves at once. Default 30."""
    worker_namespace: pulumi.Input[str]
    """The namespace of the pool's workers."""
    worker_service_account: pulumi.Input[str]
    """The workers' service account: the only one that may claim and delete the pods."""


SANDBOX_USER = 10001
JOB_DIRECTORY = "/job"
DEFAULT_GRACE_SECONDS = 30
_SHARED_MEMORY_MEBIBYTES = 16
_DISK = "128Mi"
"""For what the kubelet keeps of the output. Nothing else of a sandbox is on disk."""


class SandboxPool(pulumi.ComponentResource):
    """Pods that run strangers' code once, and the role that one pool's workers have over them.

    An update replaces the pods, claimed ones included: those end their job first, if the grace is long enough.
    """

    selector: pulumi.Output[str]
    """The label selector that finds the pods."""
    namespace: pulumi.Output[str]
    """Their namespace, once the worker may use it."""

    def __init__(self, name: str, args: SandboxPoolArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Declare the pods, their budget and the workers' role; see `SandboxPoolArgs`."""
        super().__init__("agent-fleet:index:SandboxPool", name, {}, opts)
        pool, namespace = args["pool"], args["namespace"]
        labels = object_labels(args["fleet"], "sandbox", team=args["team"], pool=pool)
        selected = selector_labels(args["fleet"], "sandbox", pool)
        options = pulumi.ResourceOptions(parent=self)
        binding = _workers_role(name, args, labels, options)
        account = k8s.core.v1.ServiceAccount(
            name, metadata=metadata(pool, namespace, labels), automount_service_account_token=False, opts=options
        )
        k8s.policy.v1.PodDisruptionBudget(
            name,
            metadata=metadata(pool, namespace, labels),
            spec=k8s.policy.v1.PodDisruptionBudgetSpecArgs(
                max_unavailable="25%",
                selector=k8s.meta.v1.LabelSelectorArgs(match_labels=selected),
                unhealthy_pod_eviction_policy="AlwaysAllow",
            ),
            opts=options,
        )
        k8s.apps.v1.Deployment(
            name,
            metadata=metadata(pool, namespace, labels),
            spec=k8s.apps.v1.DeploymentSpecArgs(
                replicas=args["replicas"],
                revision_history_limit=2,
                selector=k8s.meta.v1.LabelSelectorArgs(match_labels=selected),
                # A quota that the pods fill leaves no room for a surge, so one of them may go first.
                strategy=k8s.apps.v1.DeploymentStrategyArgs(
                    type="RollingUpdate",
                    rolling_update=k8s.apps.v1.RollingUpdateDeploymentArgs(max_unavailable=1, max_surge="25%"),
                ),
                template=_pod(args, labels),
            ),
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=[account],
                custom_timeouts=rollout_timeouts(args.get("grace_seconds", DEFAULT_GRACE_SECONDS)),
            ),
        )
        self.selector = once_there(selector_text(args["fleet"], pool), [binding])
        self.namespace = once_there(namespace, [binding])
        self.register_outputs({"selector": self.selector, "namespace": self.namespace})


def selector_text(fleet: str, pool: str) -> str:
    """The selector of a pool's sandbox pods, as Kubernetes' API takes it."""
    return ",".join(f"{key}={value}" for key, value in selector_labels(fleet, "sandbox", pool).items())


def _workers_role(
    name: str, args: SandboxPoolArgs, labels: dict[str, str], options: pulumi.ResourceOptions
) -> k8s.rbac.v1.RoleBinding:
    """All that the workers may do in the cluster: find, claim, use and delete pods of the sandboxes' namespace."""
    role_name = f"{args['pool']}-worker"
    role = k8s.rbac.v1.Role(
        f"{name}-worker",
        metadata=metadata(role_name, args["namespace"], labels),
        rules=[
            k8s.rbac.v1.PolicyRuleArgs(
                api_groups=[""], resources=["pods"], verbs=["get", "list", "watch", "patch", "delete"]
            ),
            k8s.rbac.v1.PolicyRuleArgs(api_groups=[""], resources=["pods/attach"], verbs=["create", "get"]),
        ],
        opts=options,
    )
    return k8s.rbac.v1.RoleBinding(
        f"{name}-worker",
        metadata=metadata(role_name, args["namespace"], labels),
        role_ref=k8s.rbac.v1.RoleRefArgs(api_group="rbac.authorization.k8s.io", kind="Role", name=role_name),
        subjects=[
            k8s.rbac.v1.SubjectArgs(
                kind="ServiceAccount", name=args["worker_service_account"], namespace=args["worker_namespace"]
            )
        ],
        opts=pulumi.ResourceOptions(parent=options.parent, depends_on=[role]),
    )


def _pod(args: SandboxPoolArgs, labels: dict[str, str]) -> k8s.core.v1.PodTemplateSpecArgs:
    untrusted = args.get("untrusted_nodes", False)
    toleration = k8s.core.v1.TolerationArgs(key=UNTRUSTED_NODE, operator="Equal", value="true", effect="NoSchedule")
    return k8s.core.v1.PodTemplateSpecArgs(
        metadata=k8s.meta.v1.ObjectMetaArgs(labels=labels),
        spec=k8s.core.v1.PodSpecArgs(
            service_account_name=args["pool"],
            automount_service_account_token=False,
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
        ),
    )


def _container(args: SandboxPoolArgs) -> k8s.core.v1.ContainerArgs:
    cpus = pulumi.Output.from_input(args["cpus"])
    reserved = pulumi.Output.from_input(args.get("reserved_cpus", cpus.apply(lambda most: most / 4)))
    # Memory is requested as limited: a node that promised more than it has kills jobs, where CPUs only make them slow.
    amounts: dict[str, pulumi.Input[str]] = {
        "memory": memory_quantity(args["memory_mebibytes"]),
        "ephemeral-storage": _DISK,
    }
    limits, requests = {**amounts, "cpu": cpus.apply(_millicpus)}, {**amounts, "cpu": reserved.apply(_millicpus)}
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
