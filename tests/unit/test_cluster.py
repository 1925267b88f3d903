"""How the parts of the cluster architecture depend on each other and on the settings."""

import json
from typing import Any

import pytest
from cluster_stacks import declare, eks, existing, named, pools, urns
from recording import Recording

FLEET = "agent-fleet-test"
NAMESPACE = "kubernetes:core/v1:Namespace"
TEAMS = {
    "alpha": pools("implementation", "testing"),
    "beta": {**pools("testing", "security"), "default_pool": "security"},
}
MESH = {"istio": "exists", "gateway_api": "exists"}


@pytest.fixture(scope="module", params=["existing", "eks"])
def fleet(request: pytest.FixtureRequest, preview: bool) -> Recording:
    """Two teams on each kind of cluster, with routing."""
    stack = existing if request.param == "existing" else eks
    return declare(stack(teams=TEAMS, platform=MESH), preview=preview)


def teams_namespaces(found: Recording) -> set[str]:
    """The names of the namespaces that the fleet has."""
    return {each.inputs["metadata"]["name"] for each in found.of_type(NAMESPACE)}


def in_namespace(found: Recording, kind: str, namespace: str) -> list[dict[str, Any]]:
    """The specs of the objects of a kind in a namespace."""
    return [
        dict(each.inputs["spec"])
        for each in found.resources
        if each.type.endswith(f":{kind}")
        and each.type.startswith("kubernetes:")
        and each.inputs["metadata"].get("namespace") == namespace
    ]


def test_every_team_has_a_namespace_for_its_pools_and_one_for_its_sandboxes(fleet: Recording) -> None:
    """Strangers' code would share a namespace with the programs that hold secrets."""
    assert teams_namespaces(fleet) == {
        FLEET,
        *(f"{FLEET}-{team}{end}" for team in TEAMS for end in ("", "-sandboxes")),
    }


def test_every_namespace_has_a_quota_limits_and_a_denial_of_all_traffic(fleet: Recording) -> None:
    """One namespace without them takes the cluster from all others."""
    for namespace in teams_namespaces(fleet):
        assert len(in_namespace(fleet, "ResourceQuota", namespace)) == 1
        assert len(in_namespace(fleet, "LimitRange", namespace)) == 1
        denials = [
            each
            for each in in_namespace(fleet, "NetworkPolicy", namespace)
            if set(each["policyTypes"]) == {"Ingress", "Egress"} and "ingress" not in each and "egress" not in each
        ]
        assert len(denials) == 1


def test_nothing_is_in_a_namespace_that_the_fleet_does_not_guard(fleet: Recording) -> None:
    """An object elsewhere has no quota and survives the fleet."""
    guarded = {*teams_namespaces(fleet), "kube-system"}
    for each in fleet.resources:
        if each.type.startswith("kubernetes:") and "namespace" in each.inputs.get("metadata", {}):
            assert each.inputs["metadata"]["namespace"] in guarded


def test_every_pod_of_a_pool_has_its_own_service_account(fleet: Recording) -> None:
    """Pools would share rights over each other's sandboxes."""
    for team, given in TEAMS.items():
        for agent_type in given["pools"]:
            pod = named(fleet, "Deployment", f"{FLEET}-{team}", agent_type).inputs["spec"]["template"]["spec"]
            assert pod["serviceAccountName"] == agent_type
            assert pod["automountServiceAccountToken"] is False


def test_each_pools_service_account_is_bound_to_its_own_role_over_its_own_sandboxes(fleet: Recording) -> None:
    """A worker could claim, or delete, the sandboxes of another pool."""
    for team, given in TEAMS.items():
        space = f"{FLEET}-{team}-sandboxes"
        bindings = [
            each.inputs
            for each in fleet.of_type("kubernetes:rbac.authorization.k8s.io/v1:RoleBinding")
            if each.inputs["metadata"]["namespace"] == space
        ]
        subjects = [(subject["namespace"], subject["name"]) for each in bindings for subject in each["subjects"]]
        assert sorted(subjects) == sorted((f"{FLEET}-{team}", agent_type) for agent_type in given["pools"])
        assert len({each["roleRef"]["name"] for each in bindings}) == len(bindings)


def test_on_eks_each_pool_has_a_role_in_aws_before_its_first_pod(preview: bool) -> None:
    """Pods that start before their association run without credentials for ever, or with another pool's."""
    found = declare(eks(teams=TEAMS), preview=preview)
    associations = found.of_type("aws:eks/podIdentityAssociation:PodIdentityAssociation")
    wanted = {(f"{FLEET}-{team}", agent_type) for team, given in TEAMS.items() for agent_type in given["pools"]}
    assert wanted <= {(each.inputs["namespace"], each.inputs["serviceAccount"]) for each in associations}
    roles = [each for each in associations if (each.inputs["namespace"], each.inputs["serviceAccount"]) in wanted]
    if not preview:
        assert len({each.inputs["roleArn"] for each in roles}) == len(wanted)
    order = [(each.type, each.name) for each in found.resources]
    for team, given in TEAMS.items():
        for agent_type in given["pools"]:
            association = (associations[0].type, f"{team}-{agent_type}")
            assert order.index(association) < order.index(("kubernetes:apps/v1:Deployment", f"{team}-{agent_type}"))


def test_routing_names_only_pools_that_exist(fleet: Recording) -> None:
    """A request would wait for a pool that nobody runs."""
    services = {
        (each.inputs["metadata"]["namespace"], each.inputs["metadata"]["name"])
        for each in fleet.of_type("kubernetes:core/v1:Service")
    }
    routed: set[tuple[str, str]] = set()
    for each in fleet.of_type("kubernetes:networking.istio.io/v1:VirtualService"):
        for route in each.inputs["spec"]["http"]:
            for target in route["route"]:
                name, namespace = target["destination"]["host"].split(".")[:2]
                routed.add((namespace, name))
    assert routed
    assert routed <= services
    pools_routed = {pair for pair in routed if pair[0] != FLEET}
    assert pools_routed == {(f"{FLEET}-{team}", kind) for team, given in TEAMS.items() for kind in given["pools"]}


def test_the_fleets_api_knows_every_pool_and_one_default_for_each_team(fleet: Recording) -> None:
    """A job would be refused, or run in a pool that its sender did not mean."""
    (config,) = [
        each.inputs["data"]
        for each in fleet.of_type("kubernetes:core/v1:ConfigMap")
        if "api.FLEET_POOLS" in each.inputs["data"]
    ]
    listed = json.loads(config["api.FLEET_POOLS"])
    assert {(each["tenant"], each["agent_type"], each["template"]) for each in listed} == {
        (team, kind, f"{team}-{kind}") for team, given in TEAMS.items() for kind in given["pools"]
    }
    # Named, or the first by name.
    defaults = {each["tenant"]: each["agent_type"] for each in listed if each["default"]}
    assert defaults == {"alpha": "implementation", "beta": "security"}


def test_the_fleets_api_knows_which_pools_start_from_no_pod(preview: bool) -> None:
    """It would never be ready while such a pool has no work, or be ready while another's workers are gone."""
    figures = {"testing": {"autoscaler": "keda", "minimum": 0}, "security": {"autoscaler": "keda"}, "review": {}}
    given = existing(teams={"alpha": {"pools": figures}}, agent_types={"review": {}}, platform={"keda": "exists"})
    found = declare(given, preview=preview)
    (config,) = [
        each.inputs["data"]["api.FLEET_POOLS"]
        for each in found.of_type("kubernetes:core/v1:ConfigMap")
        if "api.FLEET_POOLS" in each.inputs["data"]
    ]
    listed = {each["agent_type"]: each["scales_from_zero"] for each in json.loads(config)}
    assert listed == {"testing": True, "security": False, "review": False}


def test_a_workers_grace_covers_the_longest_job_and_stays_within_what_the_cluster_allows(preview: bool) -> None:
    """Jobs would be killed at every update, or the cluster would cut the drain short."""
    for longest, grace in ((60, 120), (3_600, 7_200), (86_400, 90_000)):
        given = existing(limits={"task_timeout_seconds": longest}, cluster={"longest_grace_seconds": grace})
        pod = named(declare(given, preview=preview), "Deployment", f"{FLEET}-alpha", "testing")
        assert longest + 55 < pod.inputs["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] <= grace


def test_the_number_of_pods_is_the_autoscalers_once_it_is_there(preview: bool) -> None:
    """The next update would take back what it did, or a pool that is given one would fall to one pod and drain."""
    chosen = {"hpa": {}, "keda": {"minimum": 0}, "none": {"minimum": 3, "maximum": 3}}
    for autoscaler, figures in chosen.items():
        teams = {"alpha": pools("testing", autoscaler=autoscaler, **figures)}
        found = declare(existing(teams=teams, platform={"keda": "exists"}), preview=preview)
        deployment, fixed = named(found, "Deployment", f"{FLEET}-alpha", "testing"), autoscaler == "none"
        assert deployment.inputs["spec"]["replicas"] == {"hpa": 2, "keda": 1, "none": 3}[autoscaler]
        assert deployment.ignored_changes == (() if fixed else ("spec.replicas",))
        assert ("pulumi.com/patchForce" in deployment.inputs["metadata"].get("annotations", {})) is fixed
        assert bool(found.of_type("kubernetes:autoscaling/v2:HorizontalPodAutoscaler")) == (autoscaler == "hpa")
        assert bool(found.of_type("kubernetes:keda.sh/v1alpha1:ScaledObject")) == (autoscaler == "keda")


def test_sandboxes_run_on_untrusted_nodes_with_gvisor_where_there_are_some(preview: bool) -> None:
    """Strangers' code would run beside the programs that hold secrets."""
    release = dict.fromkeys(("runsc_uri", "shim_uri"), "https://files.test/a")
    gvisor = {**release, "runsc_sha256": "a" * 64, "shim_sha256": "b" * 64}
    for given, nodes, runtime in (
        (existing(), False, None),
        (existing(cluster={"untrusted_nodes_present": True, "runtime_class": "kata"}), True, "kata"),
        (eks(), True, None),
        (eks(aws={"gvisor": gvisor}), True, "gvisor"),
    ):
        found = declare(given, preview=preview)
        (sandboxes,) = in_namespace(found, "Deployment", f"{FLEET}-alpha-sandboxes")
        pod = sandboxes["template"]["spec"]
        assert ("agent-fleet.io/untrusted" in pod.get("nodeSelector", {})) is nodes
        assert pod.get("runtimeClassName") == runtime
        classes = [each.inputs["metadata"]["name"] for each in found.of_type("kubernetes:node.k8s.io/v1:RuntimeClass")]
        assert classes == (["gvisor"] if runtime == "gvisor" else [])


def test_imported_images_are_never_pulled(preview: bool) -> None:
    """The nodes would ask a registry that has never heard of them."""
    images = {"digests": None, "imported": {name: f"{name}:1" for name in ("runtime", "sandbox", "postgres")}}
    found = declare(existing(images=images), preview=preview)
    for each in found.resources:
        template = each.inputs.get("spec", {}).get("template") if each.type.startswith("kubernetes:apps") else None
        for container in (template or {}).get("spec", {}).get("containers", []):
            assert container["imagePullPolicy"] == "Never"


def test_built_images_are_pushed_where_the_nodes_pull_them(preview: bool) -> None:
    """Pods would wait for an image that is only on the machine that built it."""
    found = declare(existing(images={"digests": None, "registry": "127.0.0.1:5001"}), preview=preview)
    for each in found.of_type("docker-build:index:Image"):
        assert each.inputs["push"] is True
        assert each.inputs["buildOnPreview"] is False
        assert each.inputs["tags"] == [f"127.0.0.1:5001/agent-fleet/{each.name}:{FLEET}"]


def test_the_logical_names_that_must_never_change_are_these(fleet: Recording) -> None:
    """A renamed resource is deleted and made anew: the database and every workspace would be lost with it."""
    kept = {(each.type, each.name) for each in fleet.resources}
    wanted = {
        ("pulumi:providers:kubernetes", "cluster"),
        ("agent-fleet:index:ClusterDatabase", f"{FLEET}-database"),
        ("kubernetes:apps/v1:StatefulSet", f"{FLEET}-database"),
        ("agent-fleet:index:FleetApi", f"{FLEET}-api"),
        *(("kubernetes:core/v1:Namespace", name) for name in teams_namespaces(fleet)),
        *(("kubernetes:core/v1:PersistentVolumeClaim", f"{FLEET}-{team}-workspace") for team in TEAMS),
        *(("agent-fleet:index:AgentPool", f"{team}-{kind}") for team in TEAMS for kind in TEAMS[team]["pools"]),
    }
    assert wanted <= kept


def test_no_two_resources_have_one_name(fleet: Recording) -> None:
    """The engine refuses the whole program then."""
    assert len(urns(fleet)) == len(fleet.resources)


def test_a_new_kubeconfig_of_the_same_cluster_replaces_nothing(fleet: Recording) -> None:
    """The provider would be replaced, and with it everything in the cluster."""
    assert "clusterIdentifier" in fleet.one("pulumi:providers:kubernetes", "cluster").inputs


def test_nobody_finds_a_key_or_a_connection_in_the_outputs_in_the_clear(fleet: Recording) -> None:
    """`pulumi stack output` would print what opens the fleet."""
    assert fleet.result_is_secret
