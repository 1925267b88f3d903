"""One agent type of one team: pods with the API pinned to it and a worker, and the sandboxes that they use."""

import pulumi
import pulumi_kubernetes as k8s

from agent_fleet.kubernetes.agent_pool_args import DEFAULT_LONGEST_JOB_SECONDS, AgentPoolArgs
from agent_fleet.kubernetes.object_labels import metadata, object_labels, selector_labels
from agent_fleet.kubernetes.ordering import once_there
from agent_fleet.kubernetes.pool_workloads import (
    DEFAULT_SANDBOX_CPUS,
    DEFAULT_SANDBOX_MEMORY_MEBIBYTES,
    DEFAULT_SANDBOX_SCRATCH_MEBIBYTES,
    held_sandboxes,
    pool_workloads,
)
from agent_fleet.kubernetes.rollout import Placement, roll_out
from agent_fleet.kubernetes.sandbox_pool import SandboxPool
from agent_fleet.kubernetes.sandbox_pool_args import SandboxPoolArgs

SANDBOX_MARGIN_SECONDS = 10
"""From a job's time limit until its sandbox is killed: to stop it and to read its result."""


class AgentPool(pulumi.ComponentResource):
    """A pool that serves its agent type: Deployment, Service, budget, configuration, service account, sandboxes.

    Deleting it drains it first: every job that runs has its time to end before anything that it uses goes.
    """

    service_name: pulumi.Output[str]
    """The Service in the pool's namespace: port 80 leads to the API pinned to the agent type."""
    deployment_name: pulumi.Output[str]
    """What an autoscaler scales."""
    service_account_name: pulumi.Output[str]
    """The pods' service account, for example for EKS Pod Identity."""

    def __init__(self, name: str, args: AgentPoolArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Declare the pool; see `AgentPoolArgs`."""
        super().__init__("agent-fleet:index:AgentPool", name, {}, opts)
        pool, namespace = args["agent_type"], args["namespace"]
        labels = object_labels(args["fleet"], "pool", team=args["team"], pool=pool)
        selected = selector_labels(args["fleet"], "pool", pool)
        sandboxes = self._sandboxes(name, args)
        rollout = roll_out(
            pool_workloads(args),
            Placement(
                resource_name=name,
                name=pool,
                namespace=namespace,
                labels=labels,
                selector=selected,
                parent=self,
            ),
            replicas=args.get("replicas"),
            autoscaled=args.get("autoscaled", "replicas" not in args),
            pull_policy=args.get("image_pull_policy", "IfNotPresent"),
            after=[sandboxes],
        )
        service = k8s.core.v1.Service(
            name,
            # A pool that is scaled to none has no pod to wait for.
            metadata=metadata(pool, namespace, labels, {"pulumi.com/skipAwait": "true"}),
            spec=k8s.core.v1.ServiceSpecArgs(
                type="ClusterIP",
                selector=selected,
                ports=[
                    k8s.core.v1.ServicePortArgs(
                        name="http", port=80, target_port="http", protocol="TCP", app_protocol="http"
                    )
                ],
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.service_name = once_there(pool, [service])
        self.deployment_name = once_there(pool, [rollout.deployment])
        self.service_account_name = once_there(pool, [rollout.account])
        self.register_outputs(
            {
                "service_name": self.service_name,
                "deployment_name": self.deployment_name,
                "service_account_name": self.service_account_name,
            }
        )

    def _sandboxes(self, name: str, args: AgentPoolArgs) -> SandboxPool:
        sandbox, worker = args["sandbox"], args.get("worker", {})
        given: SandboxPoolArgs = {
            "fleet": args["fleet"],
            "team": args["team"],
            "pool": args["agent_type"],
            "namespace": args["sandbox_namespace"],
            "image": sandbox["image"],
            "replicas": args.get("sandbox_replicas", held_sandboxes(worker)),
            "memory_mebibytes": sandbox.get("memory_mebibytes", DEFAULT_SANDBOX_MEMORY_MEBIBYTES),
            "cpus": sandbox.get("cpus", DEFAULT_SANDBOX_CPUS),
            "scratch_mebibytes": sandbox.get("scratch_mebibytes", DEFAULT_SANDBOX_SCRATCH_MEBIBYTES),
            "untrusted_nodes": sandbox.get("untrusted_nodes", False),
            "grace_seconds": worker.get("longest_job_seconds", DEFAULT_LONGEST_JOB_SECONDS) + SANDBOX_MARGIN_SECONDS,
            "pull_policy": args.get("image_pull_policy", "IfNotPresent"),
            "worker_namespace": args["namespace"],
            "worker_service_account": args["agent_type"],
            "agent_sandbox": args.get("agent_sandbox", False),
        }
        if "reserved_cpus" in sandbox:
            given["reserved_cpus"] = sandbox["reserved_cpus"]
        if "runtime_class" in sandbox:
            given["runtime_class"] = sandbox["runtime_class"]
        return SandboxPool(f"{name}-sandboxes", given, opts=pulumi.ResourceOptions(parent=self))
