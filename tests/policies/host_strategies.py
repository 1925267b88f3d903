"""Settings of hosts on EC2 made at random, from those of the shipped stacks: vm on one host, and queue."""

from typing import Any

import yaml
from cluster_stacks import merged
from hypothesis import strategies as st
from shipped_stacks import CONFIG, PROJECT

_PRIVATE, _WORLD = ["10.0.0.0/8"], ["0.0.0.0/0"]
_BALANCED = {
    "kind": "load_balancer",
    "certificate_arn": "arn:aws:acm:eu-west-1:123456789012:certificate/00000000-0000-0000-0000-000000000000",
}
_IMAGE = "ami-0123456789abcdef0"


def _shipped(stack: str) -> dict[str, Any]:
    return yaml.safe_load((PROJECT / f"Pulumi.{stack}.yaml").read_text(encoding="utf-8"))["config"][CONFIG]


@st.composite
def _balancer(draw: st.DrawFn) -> dict[str, Any]:
    internal = draw(st.booleans())
    return {
        **_BALANCED,
        "internal": internal,
        # Only what is declared public by not being internal may let the whole internet in.
        "client_cidrs": _PRIVATE if internal else draw(st.sampled_from([_PRIVATE, _WORLD])),
        **draw(st.sampled_from([{}, {"host": "fleet.example.com"}])),
    }


@st.composite
def _account(draw: st.DrawFn) -> dict[str, Any]:
    return {
        "nat": draw(st.sampled_from(["one", "per_zone"])),
        "deletion_protection": draw(st.booleans()),
        "log_retention_days": draw(st.sampled_from([7, 14, 30, 60, 90, 180, 365])),
        "zones": draw(st.sampled_from([["eu-west-1a", "eu-west-1b"], ["eu-west-1a", "eu-west-1b", "eu-west-1c"]])),
    }


@st.composite
def accepted_host(draw: st.DrawFn) -> dict[str, Any]:
    """Settings of vm on EC2 that keep every rule."""
    public, account = draw(st.booleans()), draw(_account())
    own_image = draw(st.booleans())
    given: dict[str, Any] = {
        "aws": {**account, "nat": "none"} if public else account,
        "workers": {"count": draw(st.integers(1, 2)), "concurrency": draw(st.integers(1, 4))},
        "host": {
            "instance_type": draw(st.sampled_from(["m7i.large", "m7i.xlarge", "m7g.xlarge"])),
            "root_gibibytes": draw(st.integers(20, 200)),
            "data_gibibytes": draw(st.integers(10, 500)),
            "snapshots": {"interval_hours": draw(st.sampled_from([1, 6, 24])), "kept": draw(st.integers(1, 100))},
            **({"machine_image": _IMAGE} if own_image else {}),
        },
    }
    found = merged(_shipped("dev"), given)
    found["entrance"] = {"kind": "public_address", "client_cidrs": ["192.0.2.0/24"]} if public else draw(_balancer())
    return found


@st.composite
def accepted_queue(draw: st.DrawFn) -> dict[str, Any]:
    """Settings of the queue architecture that keep every rule."""
    doorbell = draw(st.sampled_from(["postgres", "sqs", "redis"]))
    least = draw(st.integers(1, 3))
    spot = draw(st.sampled_from([None, {"minimum": 0, "maximum": draw(st.integers(1, 40))}]))
    given: dict[str, Any] = {
        "limits": {"max_concurrent_agents": 1_000},
        "doorbell": {"kind": doorbell},
        "aws": {**draw(_account()), "database": {"multi_zone": draw(st.booleans())}},
        "queue": {
            "disk_gibibytes": draw(st.integers(20, 200)),
            "api": {"minimum": draw(st.integers(1, 2)), "maximum": draw(st.integers(2, 6))},
            "on_demand": {"minimum": least, "maximum": draw(st.integers(least, 10))},
            "spot": spot,
            "rebalance": draw(st.sampled_from(["drain", "ignore"])),
        },
    }
    if doorbell == "redis" and draw(st.booleans()):
        given["queue"]["redis"] = {"replicas": draw(st.integers(0, 2))}
    if draw(st.booleans()):
        given["queue"]["registry"] = {"replica_regions": draw(st.sampled_from([[], ["eu-central-1"]]))}
    found = merged(_shipped("staging"), given)
    found["entrance"] = draw(_balancer())
    return found
