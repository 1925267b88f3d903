"""The ways in to the fleet's API in a cluster."""

from typing import Any

import pytest
from agent_fleet import FleetApi
from fleet_runtime.config import ApiSettings
from kubernetes_fleet import POOLS, configuration, named, of_kind
from recording import FLEET, Recording, record

WAYS: dict[str, Any] = {
    "cluster_ip": {},
    "node_port": {"node_port": 30123},
    "ingress": {"host": "fleet.example", "issuer": "letsencrypt", "client_namespaces": ["ingress"]},
    "gateway": {
        "host": "fleet.example",
        "client_namespaces": ["gateway"],
        "gateway": {"name": "public", "namespace": "gateway"},
    },
}


def api(exposure: str, *, preview: bool = False, **given: Any) -> Recording:
    """The API with that way in."""
    args: Any = {**POOLS, "database_url": "postgresql://u:p@h:5432/d", "exposure": exposure, **given}
    return record(lambda: FleetApi("api", args).url, preview=preview)


@pytest.mark.parametrize(
    ("exposure", "url"),
    [
        ("cluster_ip", f"http://api.{FLEET}.svc"),
        ("node_port", "http://127.0.0.1:30123"),
        ("ingress", "https://fleet.example"),
        ("gateway", "https://fleet.example"),
    ],
)
def test_the_url_is_that_of_the_way_in(exposure: str, url: str, preview: bool) -> None:
    """The stack's output would lead nowhere."""
    assert api(exposure, preview=preview, **WAYS[exposure]).result == url


@pytest.mark.parametrize("exposure", WAYS)
def test_only_a_port_of_the_nodes_is_open_to_all(exposure: str) -> None:
    """The API would be reached past the ingress, or not at all."""
    found = api(exposure, **WAYS[exposure])
    assert named(found, "Service", FLEET, "api").inputs["spec"]["type"] == (
        "NodePort" if exposure == "node_port" else "ClusterIP"
    )
    sources = {
        each.inputs["metadata"]["name"]: each.inputs["spec"]["ingress"][0].get("from")
        for each in of_kind(found, "NetworkPolicy")
    }
    assert set(sources) == (set() if exposure == "cluster_ip" else {"allow-clients-of-api"})
    assert (None in sources.values()) == (exposure == "node_port")


def test_an_ingress_without_tls_is_refused_unless_it_is_asked_for_by_name() -> None:
    """Keys and code would cross the network readable."""
    given: dict[str, Any] = {"host": "fleet.example", "client_namespaces": ["ingress"]}
    with pytest.raises(ValueError, match="neither tls_secret nor issuer"):
        api("ingress", **given)
    plain = api("ingress", **given, plain_http_ingress_allowed=True)
    assert plain.result == "http://fleet.example"
    (ingress,) = of_kind(plain, "Ingress")
    assert "tls" not in ingress.inputs["spec"]


@pytest.mark.parametrize("given", [{"tls_secret": "mine"}, {"issuer": "letsencrypt"}])
def test_an_ingress_serves_its_host_with_tls(given: dict[str, Any]) -> None:
    """A certificate for another host, or for none, would be served."""
    (ingress,) = of_kind(api("ingress", host="fleet.example", client_namespaces=["ingress"], **given), "Ingress")
    (tls,) = ingress.inputs["spec"]["tls"]
    assert tls == {"hosts": ["fleet.example"], "secretName": given.get("tls_secret", "api-tls")}
    annotations = ingress.inputs["metadata"].get("annotations", {})
    assert annotations.get("cert-manager.io/cluster-issuer") == given.get("issuer")


def test_a_gateways_route_leads_to_the_service() -> None:
    """Requests would end at the Gateway."""
    (route,) = of_kind(api("gateway", **WAYS["gateway"]), "HTTPRoute")
    assert route.inputs["apiVersion"] == "gateway.networking.k8s.io/v1"
    assert route.inputs["spec"]["parentRefs"][0].items() >= {"name": "public", "namespace": "gateway"}.items()
    assert route.inputs["spec"]["rules"][0]["backendRefs"] == [{"kind": "Service", "name": "api", "port": 80}]


@pytest.mark.parametrize(
    ("exposure", "given", "complaint"),
    [
        ("loadbalancer", {}, "'loadbalancer'; allowed are cluster_ip, node_port, ingress, gateway"),
        ("ingress", {"issuer": "x"}, "'ingress' without host, client_namespaces"),
        ("gateway", {"host": "x", "client_namespaces": ["g"]}, "'gateway' without gateway"),
        ("cluster_ip", {"teams": ["alpha"]}, "pools name the teams beta, which would have no key"),
    ],
)
def test_a_way_in_that_cannot_work_is_refused_by_name(exposure: str, given: dict[str, Any], complaint: str) -> None:
    """It would be found out when nobody can reach the API."""
    with pytest.raises(ValueError, match=complaint):
        api(exposure, **given)


def test_the_api_reads_its_pools_from_its_environment() -> None:
    """A field that the program does not know would keep it from starting."""
    found = api("cluster_ip", longest_job_seconds=30)
    environment = configuration(found, named(found, "Deployment", FLEET, "api"), "api")
    with pytest.MonkeyPatch.context() as patched:
        for name, value in {**environment, "FLEET_DATABASE_URL": "postgresql://u:p@h:5432/d"}.items():
            patched.setenv(name, value)
        settings = ApiSettings()  # pyright: ignore[reportCallIssue] - from the environment
    assert [pool.template for pool in settings.pools] == [pool["template"] for pool in POOLS["pools"]]
    assert settings.default_timeout_seconds == settings.max_timeout_seconds == 30


def test_an_api_that_one_large_request_would_kill_is_refused() -> None:
    """Every tenant's requests would fail whenever one of them sends 16 MiB of files."""
    least = {"requests_memory": "128Mi", "limits_memory": "192Mi"}
    found = api("cluster_ip", resources=least)
    assert configuration(found, named(found, "Deployment", FLEET, "api"), "api")["FLEET_LARGE_BODIES"] == "1"
    with pytest.raises(ValueError, match=r"resources\.limits_memory is '191Mi'"):
        api("cluster_ip", resources={**least, "limits_memory": "191Mi"})


def test_two_pods_serve_and_an_autoscaled_api_only_starts_with_its_number() -> None:
    """A single pod's update fails requests; a number undoes what the autoscaler did."""
    assert named(api("cluster_ip"), "Deployment", FLEET, "api").inputs["spec"]["replicas"] == 2
    autoscaled = named(api("cluster_ip", autoscaled=True, replicas=3), "Deployment", FLEET, "api")
    assert (autoscaled.inputs["spec"]["replicas"], autoscaled.ignored_changes) == (3, ("spec.replicas",))
