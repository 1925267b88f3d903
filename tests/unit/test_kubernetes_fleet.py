"""What the cluster's components declare together, as relations between the objects."""

import pulumi
import pytest
from kubernetes_fleet import (
    AGENT_TYPES,
    TEAMS,
    configuration,
    containers,
    declare_fleet,
    mebibytes,
    millicpus,
    named,
    of_kind,
    place,
    pods,
)
from recording import FLEET, UNKNOWN, Recording, record

WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet")


@pytest.fixture(scope="module")
def fleet(preview: bool) -> Recording:
    """Two teams, two pools each, declared once for each mode."""
    return record(declare_fleet, preview=preview)


def test_every_object_has_a_name_and_the_labels_by_which_a_fleet_is_found(fleet: Recording) -> None:
    """What has no label survives a clean-up, and a generated name can be written down nowhere."""
    objects = [each for each in fleet.resources if each.type.startswith("kubernetes:")]
    assert len(objects) > 50
    for each in objects:
        labels = each.inputs["metadata"]["labels"]
        assert labels["agent-fleet.fleet"] == labels["app.kubernetes.io/instance"] == FLEET
        assert labels["agent-fleet.role"] == labels["app.kubernetes.io/component"]
        assert each.inputs["metadata"]["name"] is not UNKNOWN
        assert each.parent.rsplit("::", 1)[0].endswith(tuple("agent-fleet:index:" + c for c in COMPONENTS))


COMPONENTS = (
    "TenantNamespace",
    "ClusterDatabase",
    "ClusterRedis",
    "FleetApi",
    "AgentPool",
    "AgentPool$agent-fleet:index:SandboxPool",
    "ImagePrepull",
    "WorkspaceClaim",
)


def test_no_two_objects_are_one(fleet: Recording) -> None:
    """The second would take over the first, and deleting either would delete both."""
    found = [(each.type, *place(each)) for each in fleet.resources if each.type.startswith("kubernetes:")]
    assert len(found) == len(set(found))


def test_a_selector_finds_exactly_the_pods_of_its_own_template(fleet: Recording) -> None:
    """A Deployment would adopt another's pods, or a Service send a team's requests to another team."""
    templates = {place(each): each.inputs["spec"]["template"]["metadata"]["labels"] for each, _ in pods(fleet)}
    for each, _ in pods(fleet):
        selector = each.inputs["spec"]["selector"]["matchLabels"]
        namespace = place(each)[0]
        found = [at for at, labels in templates.items() if at[0] == namespace and selector.items() <= labels.items()]
        assert found == [place(each)]
    for kind in ("Service", "PodDisruptionBudget"):
        for each in of_kind(fleet, kind):
            spec = each.inputs["spec"]
            selector = spec["selector"]["matchLabels"] if kind == "PodDisruptionBudget" else spec["selector"]
            found = [
                at for at, labels in templates.items() if at[0] == place(each)[0] and selector.items() <= labels.items()
            ]
            assert len(found) == 1


def test_every_deployment_and_stateful_set_has_a_budget(fleet: Recording) -> None:
    """Emptying a node would take all pods of a pool at once."""
    budgets = {place(each) for each in of_kind(fleet, "PodDisruptionBudget")}
    assert budgets == {place(each) for kind in ("Deployment", "StatefulSet") for each in of_kind(fleet, kind)}


def test_a_new_password_restarts_database_and_redis(fleet: Recording, preview: bool) -> None:
    """They set it when they start: until then nobody who has the new one would get in."""
    servers = of_kind(fleet, "StatefulSet")
    assert {place(each)[1] for each in servers} == {"database", "redis"}
    for each in servers:
        annotations = each.inputs["spec"]["template"]["metadata"].get("annotations", {})
        assert preview or "agent-fleet.configuration-hash" in annotations


def test_no_budget_holds_a_node_for_pods_that_are_not_ready(fleet: Recording) -> None:
    """A pool that a canary keeps from running would keep its nodes from being replaced."""
    for each in of_kind(fleet, "PodDisruptionBudget"):
        assert each.inputs["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


def test_nothing_starts_in_a_namespace_before_its_denial_quota_and_limits(fleet: Recording, preview: bool) -> None:
    """A pod that starts first is open to the network, and outside of every limit, until they come."""
    guards = {
        namespace: {
            each.name
            for kind in ("NetworkPolicy", "ResourceQuota", "LimitRange", "Namespace")
            for each in of_kind(fleet, kind)
            if each.parent.endswith(f"::{namespace}")
        }
        for namespace, _ in {(each.inputs["metadata"]["name"], 0) for each in of_kind(fleet, "Namespace")}
    }
    assert len(guards) == 1 + 2 * len(TEAMS)
    for each in fleet.resources:
        if not each.type.startswith("kubernetes:") or "TenantNamespace" in each.parent:
            continue
        namespace = place(each)[0]
        assert guards[namespace] >= {f"{namespace}-deny-all", f"{namespace}-quota", f"{namespace}-limits"}
        assert guards[namespace] <= set(each.dependencies), f"{each.type} {each.name}"


def test_a_pool_is_drained_before_anything_goes_that_it_uses(fleet: Recording) -> None:
    """The jobs that run would lose their sandboxes, their database or their right to use either."""
    for team in TEAMS:
        for pool in AGENT_TYPES:
            deployment = named(fleet, "Deployment", f"{FLEET}-{team}", pool)
            prefix = f"{FLEET}-{team}-{pool}"
            assert {prefix, f"{prefix}-sandboxes", f"{prefix}-sandboxes-worker", f"{FLEET}-{team}-workspace"} <= set(
                deployment.dependencies
            )
            secret = named(fleet, "Secret", f"{FLEET}-{team}", pool)
            assert f"{FLEET}-database" in secret.dependencies


def test_the_grace_covers_the_longest_job_and_pulumi_waits_for_it(fleet: Recording) -> None:
    """A job would be killed by the kubelet, or a deletion be given up on while it goes on."""
    for each in of_kind(fleet, "Deployment"):
        if each.inputs["metadata"]["labels"]["agent-fleet.role"] != "pool":
            continue
        grace = each.inputs["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
        drain = int(configuration(fleet, each, "worker")["FLEET_DRAIN_SECONDS"])
        longest = float(configuration(fleet, each, "api").get("FLEET_MAX_TIMEOUT_SECONDS", drain))
        assert longest <= drain < grace < int(each.timeouts["delete"].removesuffix("s"))
        assert grace < int(each.timeouts["update"].removesuffix("s"))


def test_an_autoscaled_pool_leaves_its_replicas_out(fleet: Recording) -> None:
    """Every deployment would undo what the autoscaler has done."""
    for team in TEAMS:
        assert named(fleet, "Deployment", f"{FLEET}-{team}", "implementation").inputs["spec"]["replicas"] == 5
        assert "replicas" not in named(fleet, "Deployment", f"{FLEET}-{team}", "testing").inputs["spec"]


def test_an_update_takes_no_pod_away_before_another_is_ready(fleet: Recording) -> None:
    """Requests would fail while the fleet is updated."""
    served = [each for each in of_kind(fleet, "Deployment") if "Sandbox" not in each.parent]
    assert len(served) == 1 + len(TEAMS) * len(AGENT_TYPES)
    for each in served:
        assert each.inputs["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
        api = containers(each.inputs["spec"]["template"]["spec"])["api"]
        assert api["lifecycle"]["preStop"]["sleep"]["seconds"] == 5
        role = each.inputs["metadata"]["labels"]["agent-fleet.role"]
        assert api["readinessProbe"]["httpGet"]["path"] == ("/ready" if role == "pool" else "/accepting")
        assert api["livenessProbe"]["httpGet"]["path"] == api["startupProbe"]["httpGet"]["path"] == "/health"


def test_the_fleets_api_serves_while_no_worker_is_there(fleet: Recording) -> None:
    """Pools that are scaled to none would never be scaled up: nobody could queue a job."""
    api = containers(named(fleet, "Deployment", FLEET, "api").inputs["spec"]["template"]["spec"])["api"]
    assert api["readinessProbe"]["httpGet"]["path"] == "/accepting"


def test_every_container_requests_no_more_than_its_limit_of_everything(fleet: Recording) -> None:
    """The API server refuses it; and without a request a node is filled until it fails."""
    for _, spec in pods(fleet):
        for container in containers(spec).values():
            limits, requests = container["resources"]["limits"], container["resources"]["requests"]
            assert set(limits) == set(requests) == {"cpu", "memory", "ephemeral-storage"}
            assert millicpus(requests["cpu"]) <= millicpus(limits["cpu"])
            for resource in ("memory", "ephemeral-storage"):
                assert mebibytes(requests[resource]) <= mebibytes(limits[resource])


def test_a_pools_pod_takes_what_the_documents_say_and_each_half_passes_the_limits(fleet: Recording) -> None:
    """H3's figures are a pod's, H8's minimum is a container's: both must hold at once."""
    spec = named(fleet, "Deployment", f"{FLEET}-alpha", "testing").inputs["spec"]["template"]["spec"]
    totals = {
        kind: (
            sum(millicpus(each["resources"][kind]["cpu"]) for each in spec["containers"]),
            sum(mebibytes(each["resources"][kind]["memory"]) for each in spec["containers"]),
        )
        for kind in ("requests", "limits")
    }
    assert totals == {"requests": (250, 256), "limits": (500, 512)}
    (limits,) = named(fleet, "LimitRange", f"{FLEET}-alpha", "limits").inputs["spec"]["limits"]
    for container in spec["containers"]:
        assert millicpus(container["resources"]["requests"]["cpu"]) >= millicpus(limits["min"]["cpu"])
        assert mebibytes(container["resources"]["requests"]["memory"]) >= mebibytes(limits["min"]["memory"])


def test_a_changed_configuration_replaces_the_pods(preview: bool) -> None:
    """Pods would go on with the configuration that they were started with."""
    if preview:
        return

    def annotation(log_level: str) -> str:
        from kubernetes_fleet import declare_pool

        found = record(
            lambda: declare_pool("alpha", "testing", "postgresql://u:p@h:5432/d", log_level=log_level).urn,
            preview=False,
        )
        template = named(found, "Deployment", f"{FLEET}-alpha", "testing").inputs["spec"]["template"]
        return template["metadata"]["annotations"]["agent-fleet.configuration-hash"]

    assert annotation("info") == annotation("info") != annotation("debug")


def test_the_images_that_are_held_are_those_that_pods_run(fleet: Recording) -> None:
    """A pod would still wait for its image, on nodes that hold others."""
    (daemon_set,) = of_kind(fleet, "DaemonSet")
    spec = daemon_set.inputs["spec"]["template"]["spec"]
    held = {each["image"] for each in spec["initContainers"]}
    used = {
        container["image"]
        for owner, pod in pods(fleet)
        if owner.inputs["metadata"]["labels"]["agent-fleet.role"] in ("pool", "sandbox", "api")
        for container in containers(pod).values()
    }
    assert held == used
    assert spec["tolerations"][0]["key"] == "agent-fleet.io/untrusted"


def test_outputs_wait_for_what_they_name(preview: bool) -> None:
    """An autoscaler or a route would be declared before there is a Deployment or a Service."""
    from kubernetes_fleet import declare_pool

    def program() -> pulumi.Output[str]:
        pool = declare_pool("alpha", "testing", "postgresql://u:p@h:5432/d")
        return pulumi.Output.concat(pool.service_name, " ", pool.deployment_name, " ", pool.service_account_name)

    assert record(program, preview=preview).result == "testing testing testing"
