"""Sandboxes as pods: a number of them waits, a worker claims one, uses it once and deletes it."""

import pulumi
import pulumi_kubernetes as k8s

from agent_fleet.kubernetes.object_labels import metadata, object_labels, selector_labels
from agent_fleet.kubernetes.ordering import once_there
from agent_fleet.kubernetes.rollout import rollout_timeouts
from agent_fleet.kubernetes.sandbox_pod import sandbox_pod
from agent_fleet.kubernetes.sandbox_pool_args import DEFAULT_GRACE_SECONDS, SandboxPoolArgs
from agent_fleet.kubernetes.sandbox_warm_pool import declare_warm_pool, undisturbed


class SandboxPool(pulumi.ComponentResource):
    """Pods that run strangers' code once, and the role that one pool's workers have over them.

    The pods are a Deployment's: an update replaces them, claimed ones included, which end their job first if the grace
    is long enough. With `agent_sandbox` they are a SandboxWarmPool's, and an update replaces those that wait.
    """

    selector: pulumi.Output[str]
    """The label selector that finds the pods, and the claims on them."""
    namespace: pulumi.Output[str]
    """Their namespace, once the worker may use it."""

    def __init__(self, name: str, args: SandboxPoolArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Declare the pods, their budget and the workers' role; see `SandboxPoolArgs`."""
        super().__init__("agent-fleet:index:SandboxPool", name, {}, opts)
        pool, namespace, by_claim = args["pool"], args["namespace"], args.get("agent_sandbox", False)
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
                min_available=pulumi.Output.from_input(args["replicas"]).apply(undisturbed) if by_claim else None,
                max_unavailable=None if by_claim else "25%",
                selector=k8s.meta.v1.LabelSelectorArgs(match_labels=selected),
                unhealthy_pod_eviction_policy="AlwaysAllow",
            ),
            opts=options,
        )
        after_account = pulumi.ResourceOptions(parent=self, depends_on=[account])
        if by_claim:
            declare_warm_pool(name, args, labels, after_account)
        else:
            _deployment(name, args, labels, selected, after_account)
        self.selector = once_there(selector_text(args["fleet"], pool), [binding])
        self.namespace = once_there(namespace, [binding])
        self.register_outputs({"selector": self.selector, "namespace": self.namespace})


def selector_text(fleet: str, pool: str) -> str:
    """The selector of a pool's sandbox pods, as Kubernetes' API takes it."""
    return ",".join(f"{key}={value}" for key, value in selector_labels(fleet, "sandbox", pool).items())


def _deployment(
    name: str,
    args: SandboxPoolArgs,
    labels: dict[str, str],
    selected: dict[str, str],
    options: pulumi.ResourceOptions,
) -> None:
    k8s.apps.v1.Deployment(
        name,
        metadata=metadata(args["pool"], args["namespace"], labels),
        spec=k8s.apps.v1.DeploymentSpecArgs(
            replicas=args["replicas"],
            revision_history_limit=2,
            selector=k8s.meta.v1.LabelSelectorArgs(match_labels=selected),
            # A quota that the pods fill leaves no room for a surge, so one of them may go first.
            strategy=k8s.apps.v1.DeploymentStrategyArgs(
                type="RollingUpdate",
                rolling_update=k8s.apps.v1.RollingUpdateDeploymentArgs(max_unavailable=1, max_surge="25%"),
            ),
            template=k8s.core.v1.PodTemplateSpecArgs(
                metadata=k8s.meta.v1.ObjectMetaArgs(labels=labels), spec=sandbox_pod(args)
            ),
        ),
        opts=pulumi.ResourceOptions.merge(
            options,
            pulumi.ResourceOptions(custom_timeouts=rollout_timeouts(args.get("grace_seconds", DEFAULT_GRACE_SECONDS))),
        ),
    )


def _workers_role(
    name: str, args: SandboxPoolArgs, labels: dict[str, str], options: pulumi.ResourceOptions
) -> k8s.rbac.v1.RoleBinding:
    """All that the workers may do in the cluster: find, claim, use and delete sandboxes of their namespace."""
    by_claim = args.get("agent_sandbox", False)
    # Two names: where a pool passes from the one to the other, workers that end their jobs keep their rights meanwhile.
    part = "claims" if by_claim else "worker"
    role_name = f"{args['pool']}-{part}"
    role = k8s.rbac.v1.Role(
        f"{name}-{part}",
        metadata=metadata(role_name, args["namespace"], labels),
        rules=[
            *(_CLAIMS_RULES if by_claim else _PODS_RULES),
            k8s.rbac.v1.PolicyRuleArgs(api_groups=[""], resources=["pods/attach"], verbs=["create", "get"]),
        ],
        opts=options,
    )
    return k8s.rbac.v1.RoleBinding(
        f"{name}-{part}",
        metadata=metadata(role_name, args["namespace"], labels),
        role_ref=k8s.rbac.v1.RoleRefArgs(api_group="rbac.authorization.k8s.io", kind="Role", name=role_name),
        subjects=[
            k8s.rbac.v1.SubjectArgs(
                kind="ServiceAccount", name=args["worker_service_account"], namespace=args["worker_namespace"]
            )
        ],
        opts=pulumi.ResourceOptions(parent=options.parent, depends_on=[role]),
    )


_PODS_RULES = (
    k8s.rbac.v1.PolicyRuleArgs(api_groups=[""], resources=["pods"], verbs=["get", "list", "watch", "patch", "delete"]),
)
_CLAIMS_RULES = (
    k8s.rbac.v1.PolicyRuleArgs(
        api_groups=["extensions.agents.x-k8s.io"],
        resources=["sandboxclaims"],
        verbs=["create", "get", "list", "watch", "delete"],
    ),
    k8s.rbac.v1.PolicyRuleArgs(api_groups=["agents.x-k8s.io"], resources=["sandboxes"], verbs=["get"]),
    k8s.rbac.v1.PolicyRuleArgs(api_groups=[""], resources=["pods"], verbs=["get", "list", "watch"]),
)
"""With agent-sandbox no pod is changed or deleted by a worker: that is its controller's to do."""
