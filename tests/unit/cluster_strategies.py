"""Settings of clusters made at random: those that must be accepted."""

from typing import Any

from agent_fleet.container_memory import API_LEAST_MEBIBYTES, doorbell_memory, jobs_that_fit
from cluster_stacks import eks, existing
from hypothesis import strategies as st

AGENT_TYPES = ("implementation", "testing", "security", "documentation")
NAMES = st.from_regex(r"[a-z]([a-z0-9-]{0,10}[a-z0-9])?", fullmatch=True)


@st.composite
def _pool(draw: st.DrawFn, kind: dict[str, Any], doorbell: str) -> dict[str, Any]:
    autoscaler = draw(st.sampled_from(["hpa", "keda", "none"]))
    memory = kind.get("limits", {}).get("memory_mebibytes", 512)
    maximum, warm = draw(st.integers(1, 40)), draw(st.integers(0, 3))
    concurrency = draw(st.integers(1, min(8, jobs_that_fit(memory // 2 - doorbell_memory(doorbell)))))
    least = 0 if autoscaler == "keda" else 1
    return {
        "autoscaler": autoscaler,
        "minimum": maximum if autoscaler == "none" else draw(st.integers(least, maximum)),
        "maximum": maximum,
        "concurrency": concurrency,
        "warm": warm,
        "sandboxes": maximum * (concurrency + warm) + draw(st.integers(0, 20)),
        "cpu_percent": draw(st.integers(10, 100)),
    }


@st.composite
def _agent_type(draw: st.DrawFn, doorbell: str) -> dict[str, Any]:
    cpus, memory = draw(st.integers(200, 2_000)), draw(st.integers(256, 2_048))
    sandbox, least = draw(st.integers(64, 2_048)), 2 * (API_LEAST_MEBIBYTES + doorbell_memory(doorbell))
    return {
        "requests": {"cpus": cpus / 1_000, "memory_mebibytes": memory},
        "limits": {
            "cpus": draw(st.integers(cpus, 4_000)) / 1_000,
            "memory_mebibytes": draw(st.integers(max(least, memory), 4_096)),
        },
        "sandbox": {
            "memory_mebibytes": sandbox,
            "cpus": draw(st.integers(100, 2_000)) / 1_000,
            "scratch_mebibytes": draw(st.integers(1, sandbox // 2)),
        },
    }


@st.composite
def _team(draw: st.DrawFn, kinds: dict[str, Any], doorbell: str) -> dict[str, Any]:
    names = draw(st.lists(st.sampled_from(AGENT_TYPES), min_size=1, max_size=4, unique=True))
    team: dict[str, Any] = {"pools": {name: draw(_pool(kinds.get(name, {}), doorbell)) for name in names}}
    if draw(st.booleans()):
        team["default_pool"] = draw(st.sampled_from(names))
    return team


@st.composite
def _exposure(draw: st.DrawFn) -> dict[str, Any]:
    web = {"host": "fleet.test", "client_namespaces": ["ingress"]}
    return draw(
        st.sampled_from(
            [
                {"kind": "cluster_ip"},
                {"kind": "node_port", "node_port": 30_080},
                {"kind": "ingress", "tls_secret": "tls", **web},
                {"kind": "ingress", "cluster_issuer": "ca", "ingress_class": "nginx", **web},
                {
                    "kind": "gateway",
                    "gateway_name": "web",
                    "gateway_namespace": "gateways",
                    **web,
                },
            ]
        )
    )


@st.composite
def accepted_cluster(draw: st.DrawFn, target: str | None = None) -> dict[str, Any]:
    """Settings of a cluster that keep every rule; without a target, of `eks` or `existing`."""
    longest = draw(st.integers(1, 86_400))
    on_eks = draw(st.booleans()) if target is None else target == "eks"
    doorbell = draw(st.sampled_from(["postgres", "redis", "sqs"] if on_eks else ["postgres", "redis"]))
    # No name within another, so that no two pools have one template and no namespace is another's.
    teams = draw(st.lists(NAMES, min_size=1, max_size=2, unique_by=lambda name: name[0]))
    kinds = {name: draw(_agent_type(doorbell)) for name in draw(st.sets(st.sampled_from(AGENT_TYPES)))}
    given: dict[str, Any] = {
        "teams": {"alpha": None, **{name: draw(_team(kinds, doorbell)) for name in teams}},
        "agent_types": kinds,
        "doorbell": {"kind": doorbell},
        "limits": {"max_concurrent_agents": 100_000, "task_timeout_seconds": longest},
        "api": {"default_timeout_seconds": min(60, longest), "replicas": draw(st.integers(1, 100))},
        "cluster": {
            "longest_grace_seconds": min(90_000, longest + draw(st.integers(60, 3_600))),
            "network_canary": draw(st.sampled_from(["enforce", "report"])),
        },
        "workspace": {"enabled": draw(st.booleans())},
        "database": {"memory_mebibytes": draw(st.integers(192, 20_000))},
        "exposure": draw(_exposure()),
        "platform": {
            "istio": draw(st.sampled_from(["install", "exists", "off"])),
            "keda": draw(st.sampled_from(["install", "exists"])),
            "gateway_api": "exists",
        },
    }
    if not on_eks:
        return existing(**given)
    given["database"]["kind"] = draw(st.sampled_from(["in_cluster", "rds"]))
    given["platform"]["karpenter"] = draw(st.sampled_from(["install", "exists", "off"]))
    given["aws"] = {
        "nat": draw(st.sampled_from(["one", "per_zone"])),
        "job_queue": {"visibility_timeout_seconds": longest} if doorbell == "sqs" and 30 <= longest <= 43_200 else None,
        "deletion_protection": draw(st.booleans()),
    }
    given["cluster"]["version"] = draw(st.sampled_from(["1.34", "1.35", "1.36"]))
    return eks(**given)
