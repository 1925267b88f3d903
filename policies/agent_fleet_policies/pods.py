"""Kubernetes workloads of every kind, by the pods that they make."""

from collections.abc import Iterator
from dataclasses import dataclass

from agent_fleet_policies.resource import Resource, kind
from agent_fleet_policies.value import Value

POD = "kubernetes:core/v1:Pod"
DEPLOYMENT = "kubernetes:apps/v1:Deployment"
STATEFUL_SET = "kubernetes:apps/v1:StatefulSet"
DAEMON_SET = "kubernetes:apps/v1:DaemonSet"
REPLICA_SET = "kubernetes:apps/v1:ReplicaSet"
REPLICATION_CONTROLLER = "kubernetes:core/v1:ReplicationController"
JOB = "kubernetes:batch/v1:Job"
CRON_JOB = "kubernetes:batch/v1:CronJob"
LASTING = (DEPLOYMENT, STATEFUL_SET, DAEMON_SET, REPLICA_SET, REPLICATION_CONTROLLER)
WORKLOADS = (POD, *LASTING, JOB, CRON_JOB)
_TEMPLATES = {
    **{kind(each): "spec.template" for each in (*LASTING, JOB)},
    kind(CRON_JOB): "spec.jobTemplate.spec.template",
}
_LASTING = frozenset(kind(each) for each in LASTING)


@dataclass(frozen=True)
class PodTemplate:
    """The pods that a workload makes."""

    spec: Value
    labels: Value
    annotations: Value
    lasting: bool
    """Whether they run until somebody stops them."""

    def containers(self) -> Iterator[Value]:
        """All of them: those that run first and those for debugging too."""
        for name in ("initContainers", "containers", "ephemeralContainers"):
            yield from self.spec[name].items()


def pods_of(workload: Resource) -> PodTemplate:
    """The pods of a workload of any kind."""
    which = kind(workload.type)
    template = workload[_TEMPLATES[which]] if which in _TEMPLATES else workload.properties
    metadata = template["metadata"]
    return PodTemplate(template["spec"], metadata["labels"], metadata["annotations"], which in _LASTING)


def env_values(container: Value) -> Iterator[tuple[Value, Value]]:
    """The variables whose value stands in the workload itself: name and value."""
    for each in container["env"].items():
        yield each["name"], each["value"]
