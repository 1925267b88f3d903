"""Namespaces of a fleet: their standard, their limits, and exactly the traffic that each purpose needs."""

import ipaddress
from typing import Any

import pytest
from agent_fleet import TenantNamespace
from hypothesis import given, settings
from hypothesis import strategies as st
from kubernetes_fleet import mebibytes, millicpus, of_kind
from recording import FLEET, Recording, record

PURPOSES = ("pools", "sandboxes", "system")
METADATA = (ipaddress.ip_address("169.254.169.254"), ipaddress.ip_address("fd00:ec2::254"))


def namespace(purpose: str, *, preview: bool = False, **given: Any) -> Recording:
    """One namespace of that purpose."""
    args: Any = {"fleet": FLEET, "name": "one", "team": "alpha", "purpose": purpose, **given}
    return record(lambda: TenantNamespace("one", args).namespace, preview=preview)


def policies(recording: Recording) -> dict[str, Any]:
    """The specs of the NetworkPolicies by their names."""
    return {each.inputs["metadata"]["name"]: each.inputs["spec"] for each in of_kind(recording, "NetworkPolicy")}


def allowed_blocks(recording: Recording) -> list[tuple[Any, list[Any]]]:
    """The address blocks that pods may connect to, and what is taken out of each."""
    found = [
        peer["ipBlock"]
        for spec in policies(recording).values()
        for rule in spec.get("egress", [])
        for peer in rule.get("to", [])
        if "ipBlock" in peer
    ]
    return [
        (ipaddress.ip_network(block["cidr"]), [ipaddress.ip_network(each) for each in block.get("except", [])])
        for block in found
    ]


def metadata_reached(recording: Recording) -> bool:
    """Whether any rule lets a pod connect to a machine's own metadata."""
    return any(
        address.version == block.version and address in block and not any(address in each for each in excepted)
        for address in METADATA
        for block, excepted in allowed_blocks(recording)
    )


@pytest.mark.parametrize("purpose", PURPOSES)
class TestEveryNamespace:
    """What holds whatever a namespace is for."""

    def test_enforces_the_restricted_standard_at_a_version_and_warns_of_it(self, purpose: str, preview: bool) -> None:
        """A privileged pod would be admitted, or an upgrade of the cluster change what is refused."""
        (found,) = of_kind(namespace(purpose, preview=preview), "Namespace")
        labels = found.inputs["metadata"]["labels"]
        for mode in ("enforce", "audit", "warn"):
            assert labels[f"pod-security.kubernetes.io/{mode}"] == "restricted"
            assert labels[f"pod-security.kubernetes.io/{mode}-version"].startswith("v1.")

    def test_denies_all_traffic_both_ways_to_all_pods(self, purpose: str) -> None:
        """A policy that selects some pods, or says nothing of one way, leaves the rest open."""
        denial = policies(namespace(purpose))["deny-all"]
        assert denial == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}

    def test_has_a_quota_and_limits_that_fit_each_other(self, purpose: str) -> None:
        """A container of the default size would be refused, or one take more than all may."""
        found = namespace(purpose)
        (quota,) = of_kind(found, "ResourceQuota")
        (limits,) = of_kind(found, "LimitRange")
        hard, (item,) = quota.inputs["spec"]["hard"], limits.inputs["spec"]["limits"]
        for resource, amount in (("cpu", millicpus), ("memory", mebibytes)):
            order = [item["min"], item["defaultRequest"], item["default"], item["max"]]
            assert [amount(each[resource]) for each in order] == sorted(amount(each[resource]) for each in order)
            assert amount(hard[f"requests.{resource}"]) <= amount(hard[f"limits.{resource}"])
            assert amount(item["max"][resource]) <= amount(hard[f"limits.{resource}"])
        assert hard["services.loadbalancers"] == "0"

    def test_gives_its_name_out_in_a_preview_as_well(self, purpose: str, preview: bool) -> None:
        """Everything in it would be unknown in a preview, which could then say nothing."""
        assert namespace(purpose, preview=preview).result == "one"


def test_a_pools_namespace_has_the_documents_figures() -> None:
    """H8: default 500m/512Mi, request 250m/256Mi, max 2/2Gi, min 100m/128Mi; 4/8Gi, 8/16Gi, 10 claims, 5 services."""
    found = namespace("pools")
    (quota,) = of_kind(found, "ResourceQuota")
    (limits,) = of_kind(found, "LimitRange")
    assert (
        quota.inputs["spec"]["hard"].items()
        >= {
            "requests.cpu": "4",
            "requests.memory": "8Gi",
            "limits.cpu": "8",
            "limits.memory": "16Gi",
            "persistentvolumeclaims": "10",
            "services": "5",
        }.items()
    )
    (item,) = limits.inputs["spec"]["limits"]
    assert item["default"].items() >= {"cpu": "500m", "memory": "512Mi"}.items()
    assert item["defaultRequest"].items() >= {"cpu": "250m", "memory": "256Mi"}.items()
    assert (item["max"], item["min"]) == ({"cpu": "2", "memory": "2Gi"}, {"cpu": "100m", "memory": "128Mi"})


def test_what_is_given_takes_the_place_of_one_figure_only() -> None:
    """Raising one figure would silently drop the others."""
    (quota,) = of_kind(namespace("pools", quota={"limits_cpu": "20", "pods": 7}), "ResourceQuota")
    hard = quota.inputs["spec"]["hard"]
    assert (hard["limits.cpu"], hard["pods"], hard["requests.cpu"]) == ("20", "7", "4")


def test_strangers_code_is_let_nothing_in_and_nothing_out() -> None:
    """Not even a name server: names are a way out as well."""
    assert set(policies(namespace("sandboxes"))) == {"deny-all"}


@pytest.mark.parametrize(
    "opening",
    [
        {"ingress_from_namespaces": ["x"]},
        {"egress": [{"cidr": "0.0.0.0/0", "ports": [443]}]},
        {"pod_identity_enabled": True},
        {"database_namespace": "x"},
    ],
)
def test_a_sandboxes_namespace_cannot_be_opened(opening: dict[str, Any]) -> None:
    """One argument in the wrong place would let strangers' code out."""
    with pytest.raises(ValueError, match=f"for sandboxes and was given {next(iter(opening))}"):
        namespace("sandboxes", **opening)


def test_pools_reach_name_servers_the_database_and_the_api_server_only() -> None:
    """A worker that strangers' code took over would reach the rest of the cluster."""
    found = policies(namespace("pools", database_namespace="system"))
    assert set(found) == {"deny-all", "allow-dns", "allow-database", "allow-api-server"}
    (rule,) = found["allow-database"]["egress"]
    assert [port["port"] for port in rule["ports"]] == [5432]
    (peer,) = rule["to"]
    assert peer["podSelector"]["matchLabels"] == {"agent-fleet.fleet": FLEET, "agent-fleet.role": "database"}


def test_pools_are_reached_at_their_api_from_the_namespaces_listed() -> None:
    """An ingress controller would be shut out, or everybody let in."""
    found = policies(namespace("pools", ingress_from_namespaces=["mesh", FLEET], metrics_from_namespaces=["watch"]))
    for name, namespaces, ports in (
        ("allow-api", ["mesh", FLEET], [8080]),
        ("allow-metrics", ["watch"], [9090, 9091]),
    ):
        (rule,) = found[name]["ingress"]
        (peer,) = rule["from"]
        (expression,) = peer["namespaceSelector"]["matchExpressions"]
        assert expression == {"key": "kubernetes.io/metadata.name", "operator": "In", "values": namespaces}
        assert [port["port"] for port in rule["ports"]] == ports


def test_a_mesh_gets_its_port_where_traffic_is_let_in_and_nowhere_else() -> None:
    """In ambient mode all traffic of the mesh comes on one port: without it nothing arrives."""
    given: dict[str, Any] = {
        "ingress_from_namespaces": ["mesh"],
        "database_namespace": "system",
        "ambient_mesh_enabled": True,
    }
    found = policies(namespace("pools", **given))
    with_port = {
        name
        for name, spec in found.items()
        for rule in [*spec.get("ingress", []), *spec.get("egress", [])]
        if 15008 in [port["port"] for port in rule.get("ports", [])]
    }
    assert with_port == {"allow-api", "allow-database"}


def test_pod_identity_opens_its_agent_and_not_the_metadata_service() -> None:
    """A pod would be given its node's credentials instead of its own."""
    found = namespace("pools", pod_identity_enabled=True)
    assert ipaddress.ip_network("169.254.170.23/32") in [block for block, _ in allowed_blocks(found)]
    assert not metadata_reached(found)


@pytest.mark.parametrize("cidr", ["169.254.169.254/32", "169.254.0.0/16", "169.254.170.0/24", "fd00:ec2::254/128"])
def test_the_metadata_service_cannot_be_asked_for(cidr: str) -> None:
    """Its answer is the node's credentials."""
    with pytest.raises(ValueError, match="credentials"):
        namespace("pools", egress=[{"cidr": cidr, "ports": [80]}])


def test_an_unknown_purpose_is_refused_with_those_that_there_are() -> None:
    """A misspelt purpose would give a namespace for strangers' code the allowances of pools."""
    with pytest.raises(ValueError, match="'sandbox'; allowed are pools, sandboxes and system"):
        namespace("sandbox")


def blocks(version: int) -> st.SearchStrategy[str]:
    """Any block of addresses."""
    bits, network = (32, ipaddress.IPv4Network) if version == 4 else (128, ipaddress.IPv6Network)

    def block(first: int, length: int) -> str:
        return str(network((first >> (bits - length) << (bits - length), length)))

    return st.builds(block, st.integers(0, 2**bits - 1), st.integers(0, bits))


@settings(max_examples=50, deadline=None)
@given(cidr=blocks(4) | blocks(6) | st.sampled_from(["0.0.0.0/0", "::/0", "169.254.0.0/15", "fd00::/8"]))
def test_no_egress_whatever_its_addresses_reaches_the_metadata_service(cidr: str) -> None:
    """A wide block would hold the metadata address without naming it."""
    try:
        found = namespace("pools", egress=[{"cidr": cidr, "ports": [443]}], api_server_cidrs=[cidr])
    except ValueError:
        return
    assert not metadata_reached(found)
    for block, excepted in allowed_blocks(found):
        # The API server refuses an exception that is not part of its block.
        assert all(each.version == block.version and each.subnet_of(block) and each != block for each in excepted)
