"""The routing of a team's requests, under mocks: only to pools that exist, encrypted, from known callers."""

import re
from typing import Any

import pytest
from agent_fleet.kubernetes.agent_routing import AgentRouting
from hypothesis import given, settings
from hypothesis import strategies as st
from recording import Recording, record

VIRTUAL_SERVICE = "kubernetes:networking.istio.io/v1:VirtualService"
DESTINATION_RULE = "kubernetes:networking.istio.io/v1:DestinationRule"
PEER_AUTHENTICATION = "kubernetes:security.istio.io/v1:PeerAuthentication"
AUTHORIZATION_POLICY = "kubernetes:security.istio.io/v1:AuthorizationPolicy"
WAYPOINT = "kubernetes:gateway.networking.k8s.io/v1:Gateway"
SERVICE = "kubernetes:core/v1:Service"
DEFAULT = "api.f.svc.cluster.local"
BASE = {
    "fleet": "f",
    "team": "alpha",
    "namespace": "f-alpha",
    "routes": [{"agent_type": "testing", "service": "testing"}, {"agent_type": "security", "service": "security"}],
    "pools": ["testing", "security"],
    "default_service": DEFAULT,
}


def declare(preview: bool, **given: Any) -> Recording:
    """One team's routing."""
    arguments: Any = {**BASE, **given}
    return record(lambda: AgentRouting("alpha", arguments).host, preview=preview)


def spec(found: Recording, token: str) -> dict[str, Any]:
    """The specification of the one object of its kind."""
    (one,) = found.of_type(token)
    return dict(one.inputs["spec"])


def destinations(found: Recording) -> dict[str, str]:
    """Where each rule sends its requests, by the rule's name."""
    return {rule["name"]: rule["route"][0]["destination"]["host"] for rule in spec(found, VIRTUAL_SERVICE)["http"]}


def test_each_agent_type_goes_to_its_pool_and_all_else_to_the_fleets_api(preview: bool) -> None:
    """A request would reach a pool that refuses its type."""
    found = declare(preview)
    assert destinations(found) == {
        "security": "security.f-alpha.svc.cluster.local",
        "testing": "testing.f-alpha.svc.cluster.local",
        "default": DEFAULT,
    }
    *typed, default = spec(found, VIRTUAL_SERVICE)["http"]
    assert "match" not in default
    for rule in typed:
        assert rule["match"] == [{"headers": {"agent-type": {"exact": rule["name"]}}}]


def test_a_pool_that_can_be_empty_is_reached_through_the_fleets_api(preview: bool) -> None:
    """A Service without pods answers 503, the job is never queued, and nothing ever wakes the pool."""
    routes = [{"agent_type": "testing", "service": "testing", "scales_to_zero": True}, BASE["routes"][1]]
    found = destinations(declare(preview, routes=routes))
    assert found["testing"] == DEFAULT
    assert found["security"] == "security.f-alpha.svc.cluster.local"


def test_every_pool_has_the_documents_limits_with_the_fields_that_exist(preview: bool) -> None:
    """`LEAST_CONN` and `circuitBreaker` are refused by Istio."""
    found = declare(preview).of_type(DESTINATION_RULE)
    assert {each.inputs["metadata"]["name"] for each in found} == set(BASE["pools"])
    for each in found:
        policy = each.inputs["spec"]["trafficPolicy"]
        assert policy["loadBalancer"] == {"simple": "LEAST_REQUEST"}
        assert policy["connectionPool"]["tcp"]["maxConnections"] == 100
        assert policy["connectionPool"]["http"] == {"http1MaxPendingRequests": 50, "maxRequestsPerConnection": 10}
        outlier = policy["outlierDetection"]
        assert (outlier["consecutive5xxErrors"], outlier["interval"], outlier["baseEjectionTime"]) == (3, "30s", "30s")
        assert 0 < outlier["maxEjectionPercent"] < 100


def test_no_request_is_delayed_unless_asked_for(preview: bool) -> None:
    """A test's fault would stay in production."""
    assert not any("fault" in rule for rule in spec(declare(preview), VIRTUAL_SERVICE)["http"])


def test_a_delay_that_is_asked_for_has_the_documents_figures(preview: bool) -> None:
    """0.1 is a tenth of a percent; Istio's integer field would round it to none."""
    for rule in spec(declare(preview, delay={}), VIRTUAL_SERVICE)["http"]:
        assert rule["fault"]["delay"] == {"percentage": {"value": 0.1}, "fixedDelay": "5s"}


def test_a_request_that_may_have_been_taken_is_not_sent_again(preview: bool) -> None:
    """A job would run twice."""
    for rule in spec(declare(preview), VIRTUAL_SERVICE)["http"]:
        assert set(rule["retries"]["retryOn"].split(",")) == {"connect-failure", "refused-stream"}


@pytest.mark.parametrize("mode", ["ambient", "istio-cni"])
def test_traffic_is_encrypted_and_its_callers_are_listed(preview: bool, mode: str) -> None:
    """Whatever runs in the cluster could submit jobs."""
    found = declare(preview, mode=mode, caller_namespaces=["istio-ingress"])
    assert spec(found, PEER_AUTHENTICATION) == {"mtls": {"mode": "STRICT"}}
    policies = found.of_type(AUTHORIZATION_POLICY)
    for policy in policies:
        assert policy.inputs["spec"]["action"] == "ALLOW"
        (rule,) = policy.inputs["spec"]["rules"]
        assert rule["from"] == [{"source": {"namespaces": ["f-alpha", "istio-ingress"]}}]


def test_in_the_ambient_mesh_the_waypoint_asks_who_called(preview: bool) -> None:
    """A pod sees the waypoint as its caller, and so everybody would be let in."""
    found = declare(preview)
    waypoint = found.one(WAYPOINT, "alpha-waypoint").inputs
    (entry,) = found.of_type(SERVICE)
    assert waypoint["spec"]["gatewayClassName"] == "istio-waypoint"
    assert entry.inputs["metadata"]["labels"]["istio.io/use-waypoint"] == waypoint["metadata"]["name"]
    targets = [
        target
        for policy in found.of_type(AUTHORIZATION_POLICY)
        for target in policy.inputs["spec"].get("targetRefs", [])
    ]
    assert [target["name"] for target in targets] == [waypoint["metadata"]["name"]]


def test_with_side_cars_there_is_no_waypoint(preview: bool) -> None:
    """It would wait for ever for a controller that is not there."""
    found = declare(preview, mode="istio-cni")
    assert not found.of_type(WAYPOINT)
    for each in found.of_type(DESTINATION_RULE):
        assert each.inputs["spec"]["trafficPolicy"]["tls"] == {"mode": "ISTIO_MUTUAL"}


def test_requests_are_routed_once_all_that_guards_them_is_there(preview: bool) -> None:
    """For a moment everybody could call."""
    found = declare(preview)
    (routes,) = found.of_type(VIRTUAL_SERVICE)
    guards = [each.name for each in found.resources if each.name not in ("alpha", routes.name)]
    assert set(guards) <= set(routes.dependencies)


def test_names_from_outside_stand_beside_the_one_inside(preview: bool) -> None:
    """Naming a gateway takes the routes away from the mesh."""
    found = spec(declare(preview, hosts=["alpha.example"], gateways=["ingress/public"]), VIRTUAL_SERVICE)
    assert found["hosts"] == ["agents.f-alpha.svc.cluster.local", "alpha.example"]
    assert found["gateways"] == ["mesh", "ingress/public"]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (
            {"routes": [{"agent_type": "design", "service": "design"}]},
            "'design' is routed to 'design', which is no pool here; the pools are: security, testing",
        ),
        ({"routes": [BASE["routes"][0], BASE["routes"][0]]}, "'testing' stands twice"),
        ({"routes": [{"agent_type": "Testing!", "service": "testing"}]}, "'Testing!' is no name"),
        ({"mode": "sidecar"}, "mode is 'sidecar'; Istio's mode is one of: ambient, istio-cni"),
        ({"delay": {"percent": 0}}, "delay.percent is 0"),
        ({"connection_limits": {"connections": 0}}, "connections is 0; it is at least 1"),
    ],
)
def test_a_route_that_leads_nowhere_is_refused_with_what_there_is(given: dict[str, Any], says: str) -> None:
    """Istio accepts it, and the first request of that type is answered 503."""
    with pytest.raises(ValueError, match=re.escape(says)):
        declare(True, **given)


_names = st.sampled_from(["testing", "security", "design", "docs", "x"])


@settings(deadline=None, max_examples=40)
@given(
    routes=st.lists(st.tuples(_names, _names, st.booleans()), max_size=5),
    pools=st.sets(_names, max_size=4),
)
def test_whatever_is_accepted_routes_to_pools_that_exist(routes: list[tuple[str, str, bool]], pools: set[str]) -> None:
    """The check and the rules could disagree."""
    given = [{"agent_type": name, "service": service, "scales_to_zero": empty} for name, service, empty in routes]
    possible = all(service in pools for _, service, _ in routes) and len({name for name, _, _ in routes}) == len(routes)
    try:
        found = declare(False, routes=given, pools=sorted(pools))
    except ValueError:
        assert not possible
        return
    assert possible
    existing = {f"{pool}.f-alpha.svc.cluster.local" for pool in pools} | {DEFAULT}
    assert set(destinations(found).values()) <= existing
