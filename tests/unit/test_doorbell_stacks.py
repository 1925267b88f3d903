"""What a stack declares for its doorbell, and which doorbells it may have."""

import base64
import json
from typing import Any

import pytest
from cluster_stacks import DIGESTS, declare, eks, existing, named, pools
from fleet_runtime.config import ApiSettings, WorkerSettings
from network_policies import Network, Pod
from recording import FLEET, Deploy, Recording, digest
from stack_settings import read
from test_posture import environment, networks

from settings.problems import SettingsError

CONTAINER = "docker:index/container:Container"
REDIS: Any = {"kind": "redis"}
SQS: Any = {"kind": "sqs"}
TEAMS = {"alpha": pools("testing", "security"), "beta": pools("testing")}
TEMPLATES = ("alpha-security", "alpha-testing", "beta-testing")
REDIS_PORT = 6379


def pod(role: str, namespace: str) -> Pod:
    """A pod of the fleet's, by its role."""
    return Pod(namespace, {"agent-fleet.fleet": FLEET, "agent-fleet.role": role})


@pytest.fixture(scope="module")
def on_host(deploy: Deploy) -> Recording:
    """A fleet on one Docker host whose doorbell is Redis."""
    return deploy(doorbell=REDIS)


@pytest.fixture(scope="module")
def in_cluster(preview: bool) -> Recording:
    """A fleet on a cluster that exists, whose doorbell is Redis."""
    return declare(existing(teams=TEAMS, doorbell=REDIS), preview=preview)


@pytest.fixture(scope="module")
def on_eks(preview: bool) -> Recording:
    """A fleet on EKS whose doorbell is SQS."""
    return declare(eks(teams=TEAMS, doorbell=SQS), preview=preview)


def configuration(found: Recording, namespace: str, name: str) -> dict[str, str]:
    """The plain variables of the pods of a Deployment, as `<role>.<variable>`."""
    return dict(named(found, "ConfigMap", namespace, name).inputs["data"])


def test_nothing_is_declared_for_postgresqls_own_doorbell(fleet: Recording, preview: bool) -> None:
    """Who chose nothing would pay for a server, or queues, that nobody listens to."""
    cluster = declare(eks(teams=TEAMS), preview=preview)
    assert "redis" not in fleet.containers()
    assert "FLEET_DOORBELL" not in environment(fleet.containers()["worker"])
    assert not [each for each in cluster.resources if "redis" in each.name or each.type.startswith("aws:sqs")]
    assert "worker.FLEET_DOORBELL" not in configuration(cluster, f"{FLEET}-alpha", "testing")


def test_redis_on_a_host_is_as_shut_in_as_the_database(on_host: Recording) -> None:
    """A server with a known password-guessing rate must not be in reach of anybody but API and workers."""
    redis, database = on_host.containers()["redis"], on_host.containers()["database"]
    for key in ("readOnly", "capabilities", "securityOpts", "logDriver", "restart"):
        assert redis.inputs[key] == database.inputs[key]
    assert networks(redis) == {"backend"}
    assert not redis.inputs.get("ports")
    assert not redis.inputs.get("volumes")
    assert redis.inputs["user"] == "998:998"
    assert redis.inputs["memorySwap"] == redis.inputs["memory"]
    assert redis.delete_before_replace
    assert "envs" in redis.secret_inputs


def test_api_and_workers_on_a_host_ring_redis_and_sandboxd_knows_nothing_of_it(
    on_host: Recording, preview: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that listens where nobody rings starts each job a poll later."""
    assert "FLEET_REDIS_URL" not in environment(on_host.containers()["sandboxd"])
    for role, program in (("api", ApiSettings), ("worker", WorkerSettings)):
        container = on_host.containers()[role]
        assert environment(container)["FLEET_DOORBELL"] == "redis"
        assert "envs" in container.secret_inputs
        if not preview:
            password = environment(on_host.containers()["redis"])["REDIS_PASSWORD"]
            assert environment(container)["FLEET_REDIS_URL"] == f"redis://fleet:{password}@{FLEET}-redis:{REDIS_PORT}"
            with monkeypatch.context() as patched:
                for name, value in environment(container).items():
                    patched.setenv(name, value)
                assert program().doorbell == "redis"  # pyright: ignore[reportCallIssue] - from the environment


def test_a_new_redis_container_replaces_no_other(on_host: Recording) -> None:
    """A doorbell is to be replaced without a stop of anything that rings it."""
    for role in ("api", "worker", "database", "sandboxd"):
        assert f"{FLEET}-redis" not in on_host.containers()[role].dependencies


def test_redis_is_built_or_pulled_only_where_it_is_the_doorbell(on_host: Recording, deploy: Deploy) -> None:
    """Every stack would build, store and scan an image that most never start."""
    assert "redis" in {each.name for each in on_host.of_type("docker-build:index:Image")}
    digests = {name: f"registry.example/fleet/{name}@{digest(name)}" for name in DIGESTS}
    for doorbell, wanted in (({}, set[str]()), (REDIS, {"redis"})):
        found = deploy(images={"digests": digests}, doorbell=doorbell)
        pulled = {each.name for each in found.of_type("docker:index/remoteImage:RemoteImage")}
        assert pulled - {"runtime", "sandbox", "postgres"} == wanted


def test_only_the_fleets_own_programs_reach_redis(in_cluster: Recording) -> None:
    """Strangers' code that could ring would wake every worker of the fleet as often as it likes."""
    network, redis = Network.of(in_cluster), pod("redis", FLEET)
    assert network.connects(pod("api", FLEET), redis, REDIS_PORT)
    for team in TEAMS:
        assert network.connects(pod("pool", f"{FLEET}-{team}"), redis, REDIS_PORT)
        assert not network.lets_out(pod("sandbox", f"{FLEET}-{team}-sandboxes"), redis, REDIS_PORT)
        assert not network.lets_in(pod("sandbox", f"{FLEET}-{team}-sandboxes"), redis, REDIS_PORT)
    assert not network.lets_in(Pod("default"), redis, REDIS_PORT)
    assert not network.lets_out(redis, Pod("default"), 443)


def test_in_a_cluster_redis_is_one_pod_that_keeps_nothing(in_cluster: Recording) -> None:
    """A volume would have to be there before a doorbell can ring, and a second pod would split its listeners."""
    redis = named(in_cluster, "StatefulSet", FLEET, "redis").inputs["spec"]
    assert redis["replicas"] == 1
    assert not redis.get("volumeClaimTemplates")
    assert not [each for each in redis["template"]["spec"]["volumes"] if "emptyDir" not in each]


def test_every_program_of_a_cluster_rings_the_same_redis(in_cluster: Recording, preview: bool) -> None:
    """One that rings elsewhere is not heard."""
    for namespace, name, roles in (
        (FLEET, "api", ["api"]),
        *((f"{FLEET}-{team}", kind, ["api", "worker"]) for team, given in TEAMS.items() for kind in given["pools"]),
    ):
        data = configuration(in_cluster, namespace, name)
        assert {data[f"{role}.FLEET_DOORBELL"] for role in roles} == {"redis"}
        secret = named(in_cluster, "Secret", namespace, name)
        if not preview:
            url = base64.b64decode(secret.inputs["data"]["FLEET_REDIS_URL"]).decode()
            assert url.endswith(f"@redis.{FLEET}.svc:{REDIS_PORT}")


def test_each_pool_has_a_queue_that_its_own_pods_alone_read(on_eks: Recording, preview: bool) -> None:
    """A ring is heard once: a pool that reads another's leaves that one to its polling."""
    queues = {each.inputs["name"] for each in on_eks.of_type("aws:sqs/queue:Queue")}
    assert {name for name in queues if not name.endswith("-dead-letters")} == {f"{FLEET}-{name}" for name in TEMPLATES}
    if preview:
        return
    policies = {
        each.name: json.loads(each.inputs["policy"])["Statement"][0]
        for each in on_eks.of_type("aws:iam/rolePolicy:RolePolicy")
        if each.name in (*TEMPLATES, f"{FLEET}-api")
    }
    assert set(policies) == {*TEMPLATES, f"{FLEET}-api"}
    for template in TEMPLATES:
        (resource,) = policies[template]["Resource"]
        assert resource.endswith(f":{FLEET}-{template}")
    api = policies[f"{FLEET}-api"]
    assert api["Action"] == ["sqs:SendMessage"]
    assert {each.rsplit(":", 1)[1] for each in api["Resource"]} == {f"{FLEET}-{name}" for name in TEMPLATES}


def test_on_eks_the_programs_know_where_their_queue_is_and_may_go_there(on_eks: Recording, preview: bool) -> None:
    """A queue that cannot be reached is a doorbell that never rings, and only the metrics say so."""
    for namespace, name in ((FLEET, "api"), (f"{FLEET}-alpha", "testing")):
        data = configuration(on_eks, namespace, name)
        assert data["api.FLEET_DOORBELL"] == "sqs"
        if not preview:
            assert data["api.FLEET_SQS_QUEUE_URL"].endswith(f"/{FLEET}-{{template}}")
    associations = on_eks.of_type("aws:eks/podIdentityAssociation:PodIdentityAssociation")
    assert (FLEET, "api") in {(each.inputs["namespace"], each.inputs["serviceAccount"]) for each in associations}
    order = [(each.type, each.name) for each in on_eks.resources]
    association = (associations[0].type, f"{FLEET}-api")
    assert order.index(association) < order.index(("kubernetes:apps/v1:Deployment", f"{FLEET}-api"))
    policies = [
        each.inputs["spec"]
        for each in on_eks.of_type("kubernetes:networking.k8s.io/v1:NetworkPolicy")
        if each.inputs["metadata"]["namespace"] == FLEET and "Egress" in each.inputs["spec"]["policyTypes"]
    ]
    peers = [
        (peer["ipBlock"]["cidr"], port["port"])
        for spec in policies
        for rule in spec.get("egress", [])
        for peer in rule.get("to", [])
        if "ipBlock" in peer
        for port in rule["ports"]
    ]
    assert ("10.20.0.0/16", 443) in peers
    assert ("169.254.170.23/32", 80) in peers


@pytest.mark.parametrize(
    ("given", "path", "said"),
    [
        ({"architecture": "vm", "doorbell": SQS}, "fleet.doorbell.kind", "postgres and redis, or the target eks"),
        (existing(doorbell=SQS), "fleet.doorbell.kind", "fleet.target is existing"),
        (eks(aws={"job_queue": {}}), "fleet.aws.job_queue", "set that to sqs, or remove it"),
        (
            existing(
                doorbell=REDIS,
                images={"digests": None, "imported": dict.fromkeys(("runtime", "sandbox", "postgres"), "x:1")},
            ),
            "fleet.images.imported.redis",
            "give Redis's image",
        ),
        (
            eks(doorbell=SQS, agent_types={"a" * 27: {}}, teams={"b" * 27: pools("a" * 27)}),
            f"fleet.teams.{'b' * 27}.pools.{'a' * 27}",
            "SQS takes 80",
        ),
        (
            existing(doorbell=REDIS, agent_types={"testing": {"limits": {"memory_mebibytes": 400}}}),
            "fleet.agent_types.testing.limits.memory_mebibytes",
            "allowed from 416",
        ),
    ],
    ids=["vm-sqs", "existing-sqs", "queue-unused", "redis-not-imported", "queue-name", "memory"],
)
def test_a_doorbell_that_a_stack_cannot_have_is_refused_at_once(given: dict[str, Any], path: str, said: str) -> None:
    """A queue that nobody made, or an image that nobody has, shows as pods that wait for ever."""
    with pytest.raises(SettingsError) as refused:
        read(given)
    (problem,) = refused.value.problems
    assert problem.startswith(f"{path}:")
    assert said in problem
