"""Who in a cluster may do what: accounts and their roles, keys, passwords, and the way to the database."""

import pytest
from kubernetes_fleet import AGENT_TYPES, TEAMS, containers, declare_fleet, named, of_kind, place, pods, text
from recording import FLEET, Recording, record


@pytest.fixture(scope="module")
def fleet(preview: bool) -> Recording:
    """Two teams, two pools each, declared once for each mode."""
    return record(declare_fleet, preview=preview)


def test_a_pools_service_account_may_act_in_its_own_sandboxes_namespace_only(fleet: Recording) -> None:
    """A worker of one team could read or delete another team's jobs."""
    bindings = of_kind(fleet, "RoleBinding")
    assert len(bindings) == len(TEAMS) * len(AGENT_TYPES)
    for binding in bindings:
        (subject,) = binding.inputs["subjects"]
        assert binding.inputs["metadata"]["namespace"] == f"{subject['namespace']}-sandboxes"
        assert binding.inputs["metadata"]["labels"]["agent-fleet.pool"] == subject["name"]
        role = named(fleet, "Role", binding.inputs["metadata"]["namespace"], binding.inputs["roleRef"]["name"])
        allowed = {
            (resource, verb)
            for rule in role.inputs["rules"]
            for resource in rule["resources"]
            for verb in rule["verbs"]
        }
        assert allowed == {
            *(("pods", verb) for verb in ("get", "list", "watch", "patch", "delete")),
            ("pods/attach", "create"),
            ("pods/attach", "get"),
        }
    assert not of_kind(fleet, "ClusterRoleBinding") + of_kind(fleet, "ClusterRole")


def test_only_a_pools_worker_holds_a_token_and_it_lasts_an_hour(fleet: Recording) -> None:
    """Whoever takes over an API, a database or a sandbox would act on the cluster."""
    for each in of_kind(fleet, "ServiceAccount"):
        assert each.inputs["automountServiceAccountToken"] is False
    for owner, spec in pods(fleet):
        assert spec["automountServiceAccountToken"] is False
        tokens = {
            volume["name"]: source["serviceAccountToken"]
            for volume in spec.get("volumes", [])
            for source in volume.get("projected", {}).get("sources", [])
            if "serviceAccountToken" in source
        }
        holders = {
            name
            for name, container in containers(spec).items()
            for mount in container.get("volumeMounts", [])
            if mount["name"] in tokens
        }
        is_pool = owner.inputs["metadata"]["labels"]["agent-fleet.role"] == "pool"
        assert holders == ({"worker"} if is_pool else set())
        assert all(token["expirationSeconds"] == 3600 for token in tokens.values())


def test_every_pod_has_an_account_that_is_declared_beside_it(fleet: Recording) -> None:
    """The namespace's default account is shared by whatever else is put there."""
    accounts = {place(each) for each in of_kind(fleet, "ServiceAccount")}
    for owner, spec in pods(fleet):
        assert (place(owner)[0], spec["serviceAccountName"]) in accounts


def test_no_secret_is_in_a_plain_variable_or_a_config_map(fleet: Recording, preview: bool) -> None:
    """Whoever may read Deployments or ConfigMaps would have the database."""
    for each in fleet.resources:
        if not each.type.startswith("kubernetes:"):
            continue
        if each.inputs["kind"] == "Secret":
            assert each.secret_paths == {"data"}
        else:
            assert not each.secret_paths
            assert "Password" not in text(each.inputs)


def test_each_team_has_a_key_of_which_the_api_knows_the_hash_only(fleet: Recording, preview: bool) -> None:
    """One team's key would open another team's jobs, or be read from the API's environment."""
    assert fleet.result_is_secret is True
    if preview:
        return
    keys: dict[str, str] = fleet.result["api_keys"]
    assert set(keys) == set(TEAMS)
    for each in fleet.resources:
        for key in keys.values():
            assert key not in text(each.inputs)
    names = {each.name for each in fleet.of_type("random:index/randomBytes:RandomBytes")}
    assert names == {f"{FLEET}-api-{team}-api-key{part}" for team in TEAMS for part in ("", "-id")}


def test_only_the_fleets_api_lists_keys(fleet: Recording, preview: bool) -> None:
    """An API that lists none of another's keys would revoke them."""
    if preview:
        return
    holders = {place(each) for each in of_kind(fleet, "Secret") if "FLEET_BOOTSTRAP_KEYS" in each.inputs["data"]}
    assert holders == {(FLEET, "api")}


def test_the_database_is_reached_from_the_namespaces_listed_only(fleet: Recording) -> None:
    """Any pod of the cluster could try passwords."""
    policy = named(fleet, "NetworkPolicy", FLEET, "allow-clients-of-database").inputs["spec"]
    (rule,) = policy["ingress"]
    (peer,) = rule["from"]
    (expression,) = peer["namespaceSelector"]["matchExpressions"]
    assert expression["values"] == [FLEET, *(f"{FLEET}-{team}" for team in TEAMS)]
    assert [port["port"] for port in rule["ports"]] == [5432]
    assert policy["podSelector"]["matchLabels"]["agent-fleet.role"] == "database"
