"""The rules of a team's routing: which request goes to which pool, and how much a pool is sent (H5)."""

from collections.abc import Sequence
from typing import Any

from agent_fleet.kubernetes.agent_routing_args import ConnectionLimitsArgs, DelayArgs, RouteArgs

AGENT_TYPE_HEADER = "agent-type"
SERVICE_PORT = 80
CONNECT_SECONDS = 5
"""How long a connection to a pod may take: one in another zone takes some milliseconds."""
FAILURES = 3
EJECTION_SECONDS = 30
MAXIMUM_EJECTED_PERCENT = 50
"""A fault that all pods share (the database is away) must not leave a pool with none."""


def request_routes(
    routes: Sequence[RouteArgs], namespace: str, default_service: str, delay: DelayArgs | None
) -> list[dict[str, Any]]:
    """The `http` rules of a VirtualService: one for each agent type, and last the fleet's API for all the rest.

    A request is sent again only if it was not sent at all: a job that is submitted twice runs twice.
    """
    rules = [
        {
            "name": route["agent_type"],
            "match": [{"headers": {AGENT_TYPE_HEADER: {"exact": route["agent_type"]}}}],
            **_to(
                default_service
                if route.get("scales_to_zero", False)
                else f"{route['service']}.{namespace}.svc.cluster.local",
                delay,
            ),
        }
        for route in sorted(routes, key=lambda each: each["agent_type"])
    ]
    return [*rules, {"name": "default", **_to(default_service, delay)}]


def pool_policy(limits: ConnectionLimitsArgs, *, sidecars: bool) -> dict[str, Any]:
    """The `trafficPolicy` of one pool: the least busy pod first, bounded, and pods that fail left out for a while."""
    policy: dict[str, Any] = {
        "loadBalancer": {"simple": "LEAST_REQUEST"},
        "connectionPool": {
            "tcp": {
                "maxConnections": _positive("connections", limits.get("connections", 100)),
                "connectTimeout": f"{CONNECT_SECONDS}s",
            },
            "http": {
                "http1MaxPendingRequests": _positive("pending_requests", limits.get("pending_requests", 50)),
                "maxRequestsPerConnection": _positive(
                    "requests_per_connection", limits.get("requests_per_connection", 10)
                ),
            },
        },
        "outlierDetection": {
            "consecutive5xxErrors": FAILURES,
            "interval": f"{EJECTION_SECONDS}s",
            "baseEjectionTime": f"{EJECTION_SECONDS}s",
            "maxEjectionPercent": MAXIMUM_EJECTED_PERCENT,
        },
    }
    if sidecars:
        policy["tls"] = {"mode": "ISTIO_MUTUAL"}
    return policy


def _to(host: str, delay: DelayArgs | None) -> dict[str, Any]:
    rule: dict[str, Any] = {
        "route": [{"destination": {"host": host, "port": {"number": SERVICE_PORT}}}],
        "retries": {"attempts": 2, "retryOn": "connect-failure,refused-stream"},
    }
    if delay is not None:
        percent, seconds = delay.get("percent", 0.1), delay.get("seconds", 5)
        if not 0 < percent <= 100:
            raise ValueError(f"delay.percent is {percent}; it is above 0 and at most 100. Leave delay out for none.")
        rule["fault"] = {
            "delay": {"percentage": {"value": percent}, "fixedDelay": f"{_positive('delay.seconds', seconds)}s"}
        }
    return rule


def _positive(field: str, value: int) -> int:
    if value < 1:
        raise ValueError(f"{field} is {value}; it is at least 1.")
    return value
