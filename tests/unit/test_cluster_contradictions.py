"""Settings of a cluster that contradict each other: one refusal for each, in a second, with the way to put it right."""

from typing import Any

import pytest
from cluster_stacks import DIGESTS, eks, existing, pools
from stack_settings import read

from settings.problems import SettingsError

POOL = "teams.alpha.pools.testing"
WEB = {"host": "fleet.test", "client_namespaces": ["ingress"]}
SMALL_SANDBOX_QUOTA = {
    "requests_cpus": 13,
    "limits_cpus": 13,
    "requests_memory_mebibytes": 6_400,
    "limits_memory_mebibytes": 6_399,
}


def one_pool(**given: Any) -> dict[str, Any]:
    """A team with one pool that has these settings."""
    return {"alpha": pools("testing", **given)}


REFUSED: list[tuple[str, dict[str, Any], str, str]] = [
    ("no team", existing(teams=None), "teams", "at least one team"),
    ("no pool", existing(teams={"alpha": {"pools": None}}), "teams.alpha.pools", "not given"),
    ("bounds the wrong way round", existing(teams=one_pool(minimum=5, maximum=4, sandboxes=8)), f"{POOL}.minimum", "5"),
    ("no pod without keda", existing(teams=one_pool(minimum=0)), f"{POOL}.minimum", "keda"),
    ("bounds without an autoscaler", existing(teams=one_pool(autoscaler="none")), f"{POOL}.autoscaler", "same number"),
    ("keda without KEDA", existing(teams=one_pool(autoscaler="keda")), f"{POOL}.autoscaler", "fleet.platform.keda"),
    (
        "hpa without metrics",
        existing(platform={"metrics_server": "off"}),
        f"{POOL}.autoscaler",
        "fleet.platform.metrics_server",
    ),
    ("fewer sandboxes than jobs", existing(teams=one_pool(sandboxes=19)), f"{POOL}.sandboxes", "allowed from 20"),
    (
        "a pool of no agent type",
        existing(teams={"alpha": pools("tester")}),
        "teams.alpha.pools.tester",
        "implementation",
    ),
    (
        "requests routed to no pool",
        existing(teams={"alpha": {"default_pool": "security"}}),
        "teams.alpha.default_pool",
        "allowed: testing",
    ),
    (
        "more jobs than the fleet may run",
        existing(teams={"alpha": pools("testing", "security")}, limits={"max_concurrent_agents": 19}),
        "limits.max_concurrent_agents",
        "allowed from 20",
    ),
    (
        "two pools with one template",
        existing(
            agent_types={"b-c": {}, "c": {}},
            teams={"alpha": None, "a": pools("b-c"), "a-b": pools("c")},
        ),
        "teams.a-b.pools.c",
        "a-b-c",
    ),
    (
        "a limit under its request",
        existing(agent_types={"testing": {"requests": {"cpus": 0.6}}}),
        "agent_types.testing.limits.cpus",
        "0.5, under",
    ),
    (
        "memory under its request",
        existing(agent_types={"testing": {"requests": {"memory_mebibytes": 600}}}),
        "agent_types.testing.limits.memory_mebibytes",
        "512, under",
    ),
    (
        "a container under the LimitRange",
        existing(agent_types={"testing": {"requests": {"cpus": 0.15}}}),
        "agent_types.testing.requests.cpus",
        "allowed from 0.2",
    ),
    (
        "a container over the LimitRange",
        existing(agent_types={"testing": {"limits": {"memory_mebibytes": 4_098}}}),
        "agent_types.testing.limits.memory_mebibytes",
        "allowed up to 4096",
    ),
    (
        "a pod that one large job kills",
        existing(agent_types={"testing": {"limits": {"memory_mebibytes": 383}}}),
        "agent_types.testing.limits.memory_mebibytes",
        "given 383; each of a pod's two containers gets half of it, and a job with 16 MiB of files, which anybody may "
        "send, takes up to 192 in the API and 144 in the worker: allowed from 384",
    ),
    (
        "more jobs than the worker's memory holds",
        existing(teams=one_pool(concurrency=3, sandboxes=40)),
        f"{POOL}.concurrency",
        "given 3; the worker has 256 MiB, half of fleet.agent_types.testing.limits.memory_mebibytes, and takes 80 and "
        "64 for each job with 16 MiB of files: allowed up to 2, or raise "
        "fleet.agent_types.testing.limits.memory_mebibytes to 544",
    ),
    (
        "a sandbox over the LimitRange",
        existing(agent_types={"testing": {"sandbox": {"cpus": 3}}}),
        "agent_types.testing.sandbox.cpus",
        "maximum_sandbox_cpus",
    ),
    (
        "scratch space that leaves no memory",
        existing(agent_types={"testing": {"sandbox": {"scratch_mebibytes": 300}}}),
        "agent_types.testing.sandbox.scratch_mebibytes",
        "allowed up to 128",
    ),
    (
        "a quota under its pools",
        existing(teams={"alpha": {"quota": {"requests_cpus": 1}}}),
        "teams.alpha.quota.requests_cpus",
        "allowed from 3.25",
    ),
    (
        "a quota without a place for the workspace",
        existing(teams={"alpha": {"quota": {"persistent_volume_claims": 0}}}),
        "teams.alpha.quota.persistent_volume_claims",
        "allowed from 1",
    ),
    (
        "a sandboxes' quota under its sandboxes",
        existing(
            teams={
                "alpha": {
                    "sandbox_quota": {
                        "limits_memory_mebibytes": 6_399,
                        "requests_memory_mebibytes": 6_400,
                        "limits_cpus": 13,
                        "requests_cpus": 13,
                    }
                }
            }
        ),
        "teams.alpha.sandbox_quota.limits_memory_mebibytes",
        "allowed from 6400",
    ),
    (
        "a job longer than a pod may take to stop",
        existing(limits={"task_timeout_seconds": 7_141}),
        "limits.task_timeout_seconds",
        "allowed up to 7140",
    ),
    (
        "a job longer than the queue hides its message",
        eks(doorbell={"kind": "sqs"}, aws={"job_queue": {"visibility_timeout_seconds": 3_599}}),
        "aws.job_queue.visibility_timeout_seconds",
        "allowed from 3600",
    ),
    (
        "no host to be reached at",
        existing(exposure={"kind": "ingress", "tls_secret": "tls", "client_namespaces": ["ingress"]}),
        "exposure.host",
        "needs it",
    ),
    (
        "an ingress that nobody may reach",
        existing(exposure={"kind": "ingress", "host": "fleet.test", "tls_secret": "tls"}),
        "exposure.client_namespaces",
        "let in",
    ),
    (
        "an ingress without a certificate",
        existing(exposure={"kind": "ingress", **WEB}),
        "exposure.tls_secret",
        "neither",
    ),
    (
        "an ingress with two certificates",
        existing(exposure={"kind": "ingress", **WEB, "tls_secret": "a", "cluster_issuer": "b"}),
        "exposure.tls_secret",
        "both",
    ),
    (
        "a gateway without its CRDs",
        existing(
            exposure={
                "kind": "gateway",
                **WEB,
                "gateway_name": "web",
                "gateway_namespace": "gateways",
            }
        ),
        "exposure.kind",
        "fleet.platform.gateway_api",
    ),
    ("a port that nothing opens", existing(exposure={"node_port": 30_080}), "exposure.node_port", "node_port"),
    ("a node's port without a number", existing(exposure={"kind": "node_port"}), "exposure.node_port", "needs it"),
    ("Istio without the Gateway API", existing(platform={"istio": "exists"}), "platform.istio", "gateway_api"),
    ("images from nowhere", existing(images={"digests": None}), "images.registry", "pull from nowhere"),
    ("images from two places", existing(images={"imported": DIGESTS}), "images.imported", "one source"),
    ("a registry that nothing is pushed to", existing(images={"registry": "a.test"}), "images.registry", "nothing is"),
    ("imported images on new nodes", eks(images={"digests": None, "imported": DIGESTS}), "images.imported", "eks"),
    ("RDS outside of AWS", existing(database={"kind": "rds"}), "database.kind", "in_cluster"),
    ("RDS with a StorageClass", eks(database={"kind": "rds", "storage_class": "a"}), "database.storage_class", "RDS"),
    ("no version", eks(cluster=None), "cluster.version", "1.35"),
    ("an unknown version", eks(cluster={"version": "1.99"}), "cluster.version", "no Kubernetes version"),
    ("a version out of support", eks(cluster={"version": "1.33"}), "cluster.version", "take one of"),
    ("a zone elsewhere", eks(aws={"zones": ["eu-west-1a", "eu-west-2b"]}), "aws.zones[1]", "eu-west-1"),
    ("a small VPC", eks(aws={"cidr": "10.0.0.0/24"}), "aws.cidr", "/16"),
    ("a public VPC", eks(aws={"cidr": "8.8.0.0/16"}), "aws.cidr", "private"),
    (
        "a VPC too small for its pools",
        eks(
            aws={"cidr": "10.0.0.0/22"},
            teams={name: pools("testing", maximum=100, sandboxes=200) for name in ("alpha", "beta", "gamma")},
        ),
        "aws.cidr",
        "addresses",
    ),
    ("Services within the VPC", eks(aws={"cidr": "172.20.0.0/16"}), "aws.service_cidr", "overlaps"),
    ("small Service addresses", eks(aws={"service_cidr": "172.20.0.0/25"}), "aws.service_cidr", "/24"),
    ("a VPN within the VPC", eks(aws={"api_client_cidrs": ["10.20.5.0/24"]}), "aws.api_client_cidrs[0]", "overlaps"),
    ("the whole internet", eks(aws={"public_endpoint_cidrs": ["0.0.0.0/0"]}), "aws.public_endpoint_cidrs[0]", "whole"),
    ("nobody to enter", eks(aws={"administrators": []}), "aws.administrators", "nobody"),
    (
        "a group the wrong way round",
        eks(aws={"system_nodes": {"instance_types": ["m7i.large"], "minimum": 3, "desired": 2, "maximum": 4}}),
        "aws.system_nodes.desired",
        "minimum up to desired",
    ),
    (
        "no node for sandboxes",
        eks(aws={"untrusted_on_demand": None, "untrusted_spot": None}),
        "aws.untrusted_on_demand",
        "no node",
    ),
    ("charts without a way out", eks(aws={"nat": "none"}, platform={"keda": "install"}), "aws.nat", "keda"),
]


@pytest.mark.parametrize(("given", "key", "words"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_settings_that_contradict_each_other_are_refused_at_once(given: dict[str, Any], key: str, words: str) -> None:
    """A cloud would say so after twenty minutes, or a pod would stay pending for ever."""
    with pytest.raises(SettingsError) as error:
        read(given)
    (problem,) = error.value.problems
    assert problem.startswith(f"fleet.{key}: ")
    assert words in problem
