"""The settings of `architecture: cluster`, whatever the cluster is: agent types, teams and what the cluster gives.

Figures with an H are those of the documents that docs/design.md names. What belongs to AWS is in `settings.aws_model`.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, cast

from pydantic import AfterValidator, BeforeValidator, Field

from settings.budget_model import Budget
from settings.scope import EKS_ONLY, EXISTING_ONLY
from settings.values import (
    NOT_A_TRUTH_VALUE,
    HostName,
    ImageByDigest,
    KubernetesName,
    Name,
    Number,
    Section,
    Text,
    WholeNumber,
    by_name,
    distinct,
    text,
)

NodePort = Annotated[int, Field(ge=30_000, le=32_767), NOT_A_TRUTH_VALUE]
KubernetesVersion = Annotated[str, text(r"^1\.[0-9]{2}$", 'a version of Kubernetes in quotes, such as "1.35"')]


class Cluster(Section):
    """The Kubernetes cluster that the fleet runs on."""

    kubeconfig: Text | None = Field(default=None, json_schema_extra=EXISTING_ONLY)
    """Path of the kubeconfig file of a cluster that exists. Left out: what the variable KUBECONFIG names, or
    ~/.kube/config. Its contents never stand in settings."""
    context: Text | None = Field(default=None, json_schema_extra=EXISTING_ONLY)
    """The context in that file. Left out: its current one. Name it, so that nobody deploys to another by accident."""
    version: KubernetesVersion | None = Field(default=None, json_schema_extra=EKS_ONLY)
    """Kubernetes version of the cluster that is made, such as `"1.35"`, in quotes. Required on eks; one out of support
    is refused."""
    runtime_class: KubernetesName | None = Field(default=None, json_schema_extra=EXISTING_ONLY)
    """RuntimeClass of the sandbox pods, for example `gvisor`. Left out: the cluster's default runtime. On eks it is
    gVisor where `fleet.aws.gvisor` is given."""
    untrusted_nodes_present: bool = Field(default=False, json_schema_extra=EXISTING_ONLY)
    """Whether the cluster has nodes with the label and the taint `agent-fleet.io/untrusted=true`. If so, sandboxes run
    there and nowhere else. On eks they always do."""
    network_canary: Literal["enforce", "report"] = "enforce"
    """Before a pool takes jobs, a sandbox must fail to reach the metadata address, the API server and the database.
    `enforce`: a pool where it reaches one takes no job. `report`: it is only logged and counted, for clusters that
    enforce no NetworkPolicy."""
    monitoring_namespaces: Annotated[tuple[KubernetesName, ...], AfterValidator(distinct)] = ()
    """Namespaces whose pods may read the metrics of the API, the workers and the sandboxes' pools."""
    longest_grace_seconds: WholeNumber = Field(default=7_200, ge=60, le=90_000)
    """The longest that a pod may take to stop on this cluster, a node's replacement included. No job may be allowed to
    run longer, or it would be killed rather than drained."""


class Requests(Section):
    """What a pod is promised."""

    cpus: Number = Field(default=0.25, ge=0.01, le=256)
    """CPUs."""
    memory_mebibytes: WholeNumber = Field(default=256, ge=16, le=1_048_576)
    """Memory."""


class PodLimits(Section):
    """The most that a pod may use."""

    cpus: Number = Field(default=0.5, ge=0.01, le=256)
    """CPUs."""
    memory_mebibytes: WholeNumber = Field(default=512, ge=16, le=1_048_576)
    """Memory. At least 384: half is the API's, and one request with 16 MiB of files takes up to 192 there."""


class AgentSandbox(Section):
    """The sandboxes of this type: what strangers' code gets."""

    memory_mebibytes: WholeNumber = Field(default=512, ge=64, le=1_048_576)
    """Memory of one sandbox, its scratch space included. There is no swap."""
    cpus: Number = Field(default=0.5, ge=0.1, le=256)
    """CPUs of one sandbox."""
    scratch_mebibytes: WholeNumber = Field(default=256, ge=1, le=1_048_576)
    """Size of the working directory. It is in memory and counts towards `memory_mebibytes`."""
    image: ImageByDigest | None = None
    """The image that these sandboxes run, with this type's tools. Left out: the fleet's sandbox image."""


class AgentType(Section):
    """One agent type: what its pods (H3) and its sandboxes (H7) may use. A pod has two containers, the API that serves
    this type and the worker that runs its jobs; each gets half. The agents' own code runs in the sandboxes."""

    requests: Requests = Requests()
    limits: PodLimits = PodLimits()
    sandbox: AgentSandbox = AgentSandbox()


# H7 gives testing half of what implementation has. Its figures are for the agents' code, which runs in the sandboxes;
# the programs of a pool need the same memory whatever they run.
DOCUMENTED_AGENT_TYPES: Mapping[str, Mapping[str, Any]] = {
    "implementation": {},
    "testing": {"sandbox": {"memory_mebibytes": 256, "cpus": 0.25, "scratch_mebibytes": 128}},
    "security": {},
    "documentation": {},
}


def _over(base: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for name, value in given.items():
        inner = merged.get(name)
        nested = isinstance(inner, Mapping) and isinstance(value, Mapping)
        merged[name] = _over(cast(Mapping[str, Any], inner), cast(Mapping[str, Any], value)) if nested else value
    return merged


def _with_documented_types(given: Any) -> Any:
    return _over(DOCUMENTED_AGENT_TYPES, cast(Mapping[str, Any], given)) if isinstance(given, Mapping) else given


class Pool(Section):
    """The workers of one agent type of one team, and the sandboxes of their jobs."""

    minimum: WholeNumber = Field(default=2, ge=0, le=1_000)
    """Pods at the least (H4). 0 needs the autoscaler `keda`."""
    maximum: WholeNumber = Field(default=10, ge=1, le=1_000)
    """Pods at the most (H4)."""
    autoscaler: Literal["hpa", "keda", "none"] = "hpa"
    """`hpa` follows processor and memory (H4); `keda` follows queued plus running jobs and can go to zero; `none` keeps
    `minimum` pods, which must be `maximum` then."""
    cpu_percent: WholeNumber = Field(default=70, ge=10, le=100)
    """Average processor use that `hpa` aims at, in percent of the request (H4)."""
    memory_percent: WholeNumber = Field(default=80, ge=10, le=100)
    """Average memory use that `hpa` aims at, in percent of the request (H4)."""
    concurrency: WholeNumber = Field(default=1, ge=1, le=100)
    """Jobs that one pod runs at once (H7: ten agents are ten pods). The worker's memory, half of the agent type's
    `limits.memory_mebibytes`, must hold them: 80 MiB, and 64 MiB for each."""
    warm: WholeNumber = Field(default=1, ge=0, le=100)
    """Sandboxes that one pod claims ahead of need, each ready within milliseconds."""
    sandboxes: WholeNumber = Field(default=20, ge=1, le=10_000)
    """Sandbox pods, busy and waiting ones together: `maximum` times `concurrency` and `warm` together. Each is used
    once and replaced."""


class Quota(Section):
    """The ResourceQuota of a namespace (H8)."""

    requests_cpus: Number = Field(default=4, ge=0.1, le=1_000_000)
    """CPUs promised to all pods together."""
    requests_memory_mebibytes: WholeNumber = Field(default=8_192, ge=1, le=1_073_741_824)
    """Memory promised to all pods together."""
    limits_cpus: Number = Field(default=8, ge=0.1, le=1_000_000)
    """CPUs that all pods together may use."""
    limits_memory_mebibytes: WholeNumber = Field(default=16_384, ge=1, le=1_073_741_824)
    """Memory that all pods together may use."""
    persistent_volume_claims: WholeNumber = Field(default=10, ge=0, le=10_000)
    """PersistentVolumeClaims."""
    services: WholeNumber = Field(default=5, ge=0, le=10_000)
    """Services."""


class Team(Section):
    """A team: a tenant of the API with a key, and namespaces of its own."""

    pools: Annotated[
        dict[Name, Pool], AfterValidator(by_name), Field(min_length=1, json_schema_extra={"x-name": "agent_type"})
    ]
    """Its pools, each by its agent type, a key of `fleet.agent_types`."""
    default_pool: Name | None = None
    """The pool of requests without the header `agent-type`. Left out: the first one by name."""
    quota: Quota | None = None
    """Of the namespace with its pools. Left out: H8's figures, or what the pools need at their maximum where that is
    more. Given: refused if the pools at their maximum would not fit."""
    budget: Budget | None = None
    """What the team's jobs may use. Left out: not limited, or as an operator sets it by `tenants set`."""
    sandbox_quota: Quota | None = None
    """Of the namespace with its sandboxes. Left out: the same for the sandboxes."""


class ContainerLimits(Section):
    """The LimitRange of each team's namespaces: the least and the most that one container may have (H8)."""

    minimum_cpus: Number = Field(default=0.1, ge=0.01, le=256)
    """CPUs that a container must request at the least."""
    minimum_memory_mebibytes: WholeNumber = Field(default=128, ge=1, le=1_048_576)
    """Memory that a container must request at the least."""
    maximum_cpus: Number = Field(default=2, ge=0.01, le=256)
    """CPUs that a container may use at the most."""
    maximum_memory_mebibytes: WholeNumber = Field(default=2_048, ge=1, le=1_048_576)
    """Memory that a container may use at the most."""
    maximum_sandbox_cpus: Number = Field(default=2, ge=0.1, le=256)
    """CPUs that a sandbox may use at the most."""
    maximum_sandbox_memory_mebibytes: WholeNumber = Field(default=2_048, ge=64, le=1_048_576)
    """Memory that a sandbox may use at the most."""


class Workspace(Section):
    """The workspace that the pools of a team share: one volume claim per team (H6)."""

    enabled: bool = True
    """Whether there is one."""
    storage_gibibytes: WholeNumber = Field(default=100, ge=1, le=65_536)
    """Its size. EFS ignores it."""
    access_mode: Literal["ReadWriteMany", "ReadWriteOnce"] = "ReadWriteMany"
    """`ReadWriteOnce` is for clusters of one node, whose storage class cannot do more."""
    storage_class: KubernetesName | None = None
    """Left out: the EFS file system that eks makes, or the default class of a cluster that exists."""


class Exposure(Section):
    """How the fleet's API is reached."""

    kind: Literal["cluster_ip", "node_port", "ingress", "gateway"] = "cluster_ip"
    """`cluster_ip`: from inside the cluster only. `node_port`: plain HTTP on a port of every node. `ingress` and
    `gateway`: HTTPS by the controller that the cluster has."""
    host: HostName | None = None
    """The DNS name, for `ingress` and `gateway`."""
    tls_secret: KubernetesName | None = None
    """The Secret with the certificate, for `ingress`; or `cluster_issuer`."""
    cluster_issuer: KubernetesName | None = None
    """The ClusterIssuer of cert-manager that makes the certificate, for `ingress`; or `tls_secret`."""
    ingress_class: KubernetesName | None = None
    """The IngressClass, for `ingress`. Left out: the cluster's default."""
    gateway_name: KubernetesName | None = None
    """The Gateway with an HTTPS listener that the API adds a route to, for `gateway`."""
    gateway_namespace: KubernetesName | None = None
    """That Gateway's namespace, for `gateway`."""
    node_port: NodePort | None = None
    """The port, for `node_port`."""
    client_namespaces: Annotated[tuple[KubernetesName, ...], AfterValidator(distinct)] = ()
    """Namespaces whose pods may reach the API: the ingress controller's or the gateway's, and clients of yours in the
    cluster. `node_port` is open to all."""


PlatformPart = Literal["install", "exists", "off"]


class Platform(Section):
    """What else runs on the cluster: `install` adds the pinned Helm chart, `exists` uses what is there, `off` does
    without."""

    istio: PlatformPart = "off"
    """Routing by the header `agent-type`, mutual TLS and outlier ejection (H5), in ambient mode. It needs the CRDs of
    the Gateway API."""
    keda: PlatformPart = "off"
    """For pools with the autoscaler `keda`."""
    metrics_server: Literal["exists", "off"] = "exists"
    """For pools with the autoscaler `hpa`. EKS has it as an add-on."""
    gateway_api: Literal["exists", "off"] = "off"
    """The CRDs of the Gateway API, for the exposure `gateway` and for Istio. No chart brings them."""
    agent_sandbox: Literal["exists", "off"] = "off"
    """agent-sandbox with its extensions, `extensions.agents.x-k8s.io/v1beta1`. `exists`: its SandboxWarmPools keep the
    sandboxes, and workers claim them by SandboxClaims. `off`: Deployments keep them."""
    karpenter: PlatformPart = Field(default="off", json_schema_extra=EKS_ONLY)
    """Nodes as pods need them, instead of groups of fixed bounds."""


AgentTypes = Annotated[
    dict[Name, AgentType],
    BeforeValidator(_with_documented_types),
    AfterValidator(by_name),
    Field(json_schema_extra={"x-name": "agent_type"}),
]
