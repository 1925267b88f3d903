"""The mesh's traffic under enforced NetworkPolicies: every hop of a request is let out and in, and no other."""

from typing import Any

import pytest
from cluster_stacks import declare, eks, existing, pools
from network_policies import Network, Pod
from recording import FLEET, Recording

HBONE, XDS, API, METRICS, WORKER_METRICS, POSTGRES = 15008, 15012, 8080, 9090, 9091, 5432
TEAMS = {"alpha": pools("implementation", "testing"), "beta": pools("security")}
MESH = {"istio": "exists", "gateway_api": "exists"}
CLIENTS, MONITORING = "ingress", "monitoring"


def pod(role: str, team: str = "") -> Pod:
    """A pod of a role, in the fleet's own namespace or in a team's."""
    namespace = f"{FLEET}-{team}" if team else FLEET
    return Pod(namespace, {"agent-fleet.fleet": FLEET, "agent-fleet.role": role, "agent-fleet.pool": "testing"})


def waypoint(team: str) -> Pod:
    """As Istio makes it: none of the fleet's labels are on it."""
    labels = {"gateway.networking.k8s.io/gateway-name": "waypoint", "istio.io/dataplane-mode": "none"}
    return Pod(f"{FLEET}-{team}", labels)


ISTIOD = Pod("istio-system", {"app": "istiod", "istio": "pilot"})
CLIENT, WATCHER = Pod(CLIENTS), Pod(MONITORING)
SANDBOX = Pod(f"{FLEET}-alpha-sandboxes", {"agent-fleet.fleet": FLEET, "agent-fleet.role": "sandbox"})


def declared(preview: bool, *, mesh: bool, target: str = "existing", **exposure: Any) -> Recording:
    """Two teams with clients and monitoring in namespaces of their own."""
    given: dict[str, Any] = {
        "teams": TEAMS,
        "exposure": {"client_namespaces": [CLIENTS], **exposure},
        "cluster": {"monitoring_namespaces": [MONITORING]},
        "platform": MESH if mesh else {},
    }
    return declare((existing if target == "existing" else eks)(**given), preview=preview)


@pytest.fixture(scope="module", params=["existing", "eks"])
def meshed(request: pytest.FixtureRequest, preview: bool) -> Recording:
    """The fleet in an ambient mesh."""
    return declared(preview, mesh=True, target=request.param)


@pytest.mark.parametrize("team", TEAMS)
def test_every_hop_of_a_routed_request_is_let_out_and_in(meshed: Recording, team: str) -> None:
    """The waypoint would never be ready, or a request end in it, on every cluster that enforces policies."""
    network = Network.of(meshed)
    hops = {
        "configuration": (waypoint(team), ISTIOD, XDS),
        "client to waypoint": (CLIENT, waypoint(team), HBONE),
        "waypoint to pool": (waypoint(team), pod("pool", team), HBONE),
        "waypoint to the fleet's API": (waypoint(team), pod("api"), HBONE),
        "client to the fleet's API": (CLIENT, pod("api"), HBONE),
        "API to database": (pod("api"), pod("database"), HBONE),
        "pool to database": (pod("pool", team), pod("database"), HBONE),
        "metrics of a pool": (WATCHER, pod("pool", team), HBONE),
        "metrics of the API": (WATCHER, pod("api"), HBONE),
    }
    # RDS is outside of the cluster, and of the mesh.
    inside = any(each.name.endswith("-database") and "StatefulSet" in each.type for each in meshed.resources)
    for name, (source, target, port) in hops.items():
        if "database" in name and not inside:
            continue
        assert network.lets_out(source, target, port), f"{name}: not let out"
        assert network.lets_in(source, target, port), f"{name}: not let in"


def test_the_mesh_opens_nothing_between_those_that_have_nothing_to_say_to_each_other(meshed: Recording) -> None:
    """Port 15008 stands for every port: one allowance too wide opens all of a pod."""
    network = Network.of(meshed)
    stranger = Pod("elsewhere", {"gateway.networking.k8s.io/gateway-name": "waypoint"})
    refused = [
        (waypoint("alpha"), pod("pool", "beta"), HBONE),
        (waypoint("alpha"), SANDBOX, HBONE),
        (waypoint("alpha"), ISTIOD, HBONE),
        (waypoint("alpha"), Pod("istio-system", {"app": "other"}), XDS),
        (pod("pool", "alpha"), ISTIOD, XDS),
        (pod("pool", "alpha"), pod("api"), HBONE),
        (pod("pool", "alpha"), pod("pool", "alpha"), HBONE),
        (pod("pool", "alpha"), pod("pool", "beta"), HBONE),
        (pod("pool", "alpha"), waypoint("beta"), HBONE),
        (SANDBOX, waypoint("alpha"), HBONE),
        (SANDBOX, pod("pool", "alpha"), HBONE),
        (stranger, pod("pool", "alpha"), HBONE),
        (stranger, pod("api"), HBONE),
        (stranger, waypoint("alpha"), HBONE),
    ]
    assert not [each for each in refused if network.connects(*each)]


def test_an_api_on_the_nodes_ports_is_in_the_mesh_as_well(preview: bool) -> None:
    """What is open to all would be shut to the mesh, the teams' waypoints among it."""
    found = declared(preview, mesh=True, kind="node_port", node_port=30080)
    network = Network.of(found)
    assert network.connects(waypoint("beta"), pod("api"), HBONE)
    assert network.connects(CLIENT, pod("api"), HBONE)


def test_without_the_mesh_nothing_of_it_is_opened(preview: bool) -> None:
    """Whoever uses no Istio would have its doors."""
    found = declared(preview, mesh=False)
    network = Network.of(found)
    for each in network.policies:
        text = str(each)
        assert not [word for word in ("15008", "15012", "gateway-name", "istio") if word in text], each["metadata"]
    assert network.connects(CLIENT, pod("api"), API)
    assert network.connects(CLIENT, pod("pool", "alpha"), API)
    assert network.connects(WATCHER, pod("pool", "alpha"), WORKER_METRICS)
    assert network.connects(pod("pool", "alpha"), pod("database"), POSTGRES)
    assert not network.connects(pod("pool", "alpha"), pod("pool", "beta"), API)


@pytest.mark.parametrize("team", TEAMS)
def test_monitoring_may_read_the_metrics_and_call_nobody(meshed: Recording, team: str) -> None:
    """The mesh's own list of callers would refuse it, or let it submit jobs."""
    policies = {
        each.inputs["metadata"]["name"]: each.inputs["spec"]["rules"]
        for each in meshed.of_type("kubernetes:security.istio.io/v1:AuthorizationPolicy")
        if each.inputs["metadata"]["namespace"] == f"{FLEET}-{team}"
    }
    watching = {"from": [{"source": {"namespaces": [MONITORING]}}], "to": [{"operation": {"ports": ["9090", "9091"]}}]}
    callers, metrics = policies["callers"]
    assert metrics == watching
    assert MONITORING not in callers["from"][0]["source"]["namespaces"]
    assert policies["waypoint-callers"] == [callers]


def test_a_teams_quota_holds_its_services_and_those_of_the_routing(meshed: Recording) -> None:
    """The waypoint's Service would be refused after everything else was made."""
    for team, given in TEAMS.items():
        here = [
            each for each in meshed.resources if each.inputs.get("metadata", {}).get("namespace") == f"{FLEET}-{team}"
        ]
        services = [each for each in here if each.type == "kubernetes:core/v1:Service"]
        (quota,) = [each for each in here if each.type == "kubernetes:core/v1:ResourceQuota"]
        assert len(services) == len(given["pools"]) + 1
        # The one more is the waypoint's, which Istio makes.
        assert int(quota.inputs["spec"]["hard"]["services"]) >= len(services) + 1
