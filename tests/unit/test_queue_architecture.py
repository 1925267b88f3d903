"""How the parts of the queue architecture depend on each other and on the settings."""

import json
from typing import Any

import pulumi
import pytest
import yaml
from aws_fleet import needs
from queue_fleet import API, ECR, GROUP, ON_DEMAND, PROJECT, SPOT, TEMPLATE, WORKERS, deployed, files, images, policy
from recording import FLEET, UNKNOWN, record
from stack_settings import read

from architectures import vm_ec2

DATABASE = "aws:rds/instance:Instance"
QUEUE = "aws:sqs/queue:Queue"
INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
EGRESS = "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule"
SECRET = "aws:secretsmanager/secretVersion:SecretVersion"


def test_it_exports_what_a_user_needs(preview: bool) -> None:
    """A first job could not be sent."""
    result: Any = deployed(preview).result
    if preview:
        assert result is UNKNOWN
        return
    assert {"url", "api_key", "queue_url", "load_balancer", "api_group", "on_demand_workers", "spot_workers"} == set(
        result
    )
    assert result["url"] == "https://staging.fleet.example.com"


def test_no_api_host_has_a_docker_socket_to_give(preview: bool) -> None:
    """Who takes the API over would take its host over, and all that runs there."""
    if preview:
        return
    units = {path: text for path, text in files(deployed(preview).one(TEMPLATE, API)).items() if "/systemd/" in path}
    assert not any("docker.sock" in text for text in units.values())
    assert not any("sandboxd" in text for text in units.values())
    assert any(path.endswith(f"{FLEET}-api.service") for path in units)


def test_sandboxd_alone_has_the_docker_socket_of_a_worker_host(preview: bool) -> None:
    """A worker that was taken over would start what it wants."""
    if preview:
        return
    for group in (ON_DEMAND, SPOT):
        units = files(deployed(preview).one(TEMPLATE, group))
        with_socket = {path.rpartition("/")[2] for path, text in units.items() if "source=/var/run/docker.sock" in text}
        assert with_socket == {f"{FLEET}-sandboxd.service"}


def test_no_secret_is_in_user_data(preview: bool) -> None:
    """Whoever may describe an instance could read the database's password."""
    found = deployed(preview)
    for each in found.of_type(TEMPLATE):
        assert "userData" not in each.secret_inputs
        if not preview:
            text = json.dumps(files(each))
            assert "postgresql://" not in text
            assert "FLEET_BOOTSTRAP_KEYS" not in text
    for name in (API, WORKERS):
        assert "secretString" in found.one(SECRET, name).secret_inputs


def test_hosts_fetch_the_secrets_of_their_own_group(preview: bool) -> None:
    """Hosts that run strangers' code would read the API's keys."""
    if preview:
        return
    found = deployed(preview)
    api, workers = (json.loads(found.one(SECRET, name).inputs["secretString"]) for name in (API, WORKERS))
    assert set(api[f"{FLEET}-api"]) == {"FLEET_DATABASE_URL", "FLEET_BOOTSTRAP_KEYS"}
    assert workers == {f"{FLEET}-worker": {"FLEET_DATABASE_URL": api[f"{FLEET}-api"]["FLEET_DATABASE_URL"]}}
    for name in (API, WORKERS):
        (own,) = [each for each in policy(found, name) if each["Sid"] == "ReadOwnSecrets"]
        assert own["Action"] == "secretsmanager:GetSecretValue"
        (arn,) = own["Resource"]
        assert f":secret:{name}-" in arn


def test_each_role_has_its_own_queue_images_and_group_and_nothing_else(preview: bool) -> None:
    """One host that was taken over would be all of them."""
    if preview:
        return
    found = deployed(preview, images=images("a"))
    api, workers = ({each["Sid"]: each for each in policy(found, name)} for name in (API, WORKERS))
    assert api["UseOwnQueue"]["Action"] == ["sqs:SendMessage"]
    assert workers["UseOwnQueue"]["Action"] == ["sqs:DeleteMessage", "sqs:ReceiveMessage", "sqs:SendMessage"]
    assert workers["UseOwnQueue"]["Resource"].endswith(f":{FLEET}-jobs")
    own = f"arn:aws:ecr:eu-west-1:{ECR[:12]}:repository/fleet/"
    assert api["PullOwnImages"]["Resource"] == [f"{own}runtime"]
    assert workers["PullOwnImages"]["Resource"] == [f"{own}runtime", f"{own}sandbox"]
    assert "FinishDraining" not in api
    assert all(each.endswith((f"/{ON_DEMAND}", f"/{SPOT}")) for each in workers["FinishDraining"]["Resource"])
    # What AWS lets nobody narrow down.
    everywhere = {"BeEnteredThroughSessionManager", "LogIn", "PutOwnMetrics"}
    for role, besides in ((api, {"PutBacklog"}), (workers, set[str]())):
        assert {sid for sid, each in role.items() if each["Resource"] == "*"} == everywhere | besides


def test_the_api_comes_before_the_workers_and_after_the_database(preview: bool) -> None:
    """Workers would look for tables that nobody has made."""
    found = deployed(preview)
    before = needs(found, found.one(GROUP, SPOT))
    assert found.one(GROUP, API).urn in before
    assert found.one(DATABASE, FLEET).urn in needs(found, found.one(GROUP, API))


def test_only_the_load_balancer_reaches_the_api_and_nobody_a_worker(preview: bool) -> None:
    """Strangers' code, or another host, would be a way in."""
    rules = deployed(preview).of_type(INGRESS)
    into_workers = [each for each in rules if each.dependencies and f"{WORKERS}" == each.name]
    assert not into_workers
    assert {each.name for each in rules} == {
        f"{FLEET}-clients-0.0.0.0/0",
        f"{FLEET}-endpoints",
        f"{FLEET}-from-load-balancer",
        f"{FLEET}-0",
        f"{FLEET}-1",
    }
    assert {each.inputs["fromPort"] for each in rules} == {443, 5432, 8080}


def test_hosts_without_a_way_out_speak_to_endpoints_alone(preview: bool) -> None:
    """What broke out of a sandbox would call home."""
    rules = deployed(preview, aws={"nat": "none"}, images=images("a")).of_type(EGRESS)
    assert not [each.name for each in rules if each.inputs.get("cidrIpv4")]
    assert {each.name for each in rules if each.name.startswith(WORKERS)} == {
        f"{WORKERS}-{way}" for way in ("s3", "endpoints", "database")
    }


def test_ports_of_a_collector_and_of_jobs_are_open_where_they_are_needed(preview: bool) -> None:
    """Spans would go nowhere, or the API's hosts have a way that only jobs need."""
    rules = deployed(
        preview, telemetry={"otlp_endpoint": "http://10.1.2.3:4318"}, sandbox={"egress": {"domains": ["example.org"]}}
    ).of_type(EGRESS)
    names = {each.name for each in rules}
    assert {f"{API}-port-4318", f"{WORKERS}-port-4318", f"{WORKERS}-port-80"} <= names
    assert f"{API}-port-80" not in names


def test_redis_is_encrypted_has_a_password_and_takes_sqs_place(preview: bool) -> None:
    """Rings would be readable, or anybody's in the VPC."""
    found = deployed(preview, doorbell={"kind": "redis"}, queue={"redis": {"replicas": 2}})
    assert not found.of_type(QUEUE)
    (group,) = found.of_type("aws:elasticache/replicationGroup:ReplicationGroup")
    assert group.inputs["atRestEncryptionEnabled"] is True
    assert group.inputs["transitEncryptionEnabled"] is True
    assert group.inputs["transitEncryptionMode"] == "required"
    assert "authToken" in group.secret_inputs
    assert group.inputs["numCacheClusters"] == 3
    assert group.inputs["automaticFailoverEnabled"] is True
    if not preview:
        secret = json.loads(found.one(SECRET, WORKERS).inputs["secretString"])
        assert secret[f"{FLEET}-worker"]["FLEET_REDIS_URL"].startswith("rediss://:PasswordPassword")


def test_the_databases_own_doorbell_needs_nothing_more(preview: bool) -> None:
    """A queue would be paid for that nobody uses."""
    found = deployed(preview, doorbell={"kind": "postgres"})
    assert not found.of_type(QUEUE)
    assert not found.of_type("aws:elasticache/replicationGroup:ReplicationGroup")


def test_a_worker_is_told_its_group_and_hook_and_hears_its_hosts_notices(preview: bool) -> None:
    """A spot host would go with its jobs, and a hook wait until its time is over."""
    if preview:
        return
    found = deployed(preview, queue={"rebalance": "ignore"})
    for group in (ON_DEMAND, SPOT):
        told = files(found.one(TEMPLATE, group))[f"/etc/agent-fleet/{FLEET}-worker.env"].splitlines()
        drain, launch = found.one(GROUP, group).inputs["initialLifecycleHooks"]
        assert {
            "FLEET_HOST_NOTICES=imds",
            "FLEET_REBALANCE=ignore",
            f"FLEET_LIFECYCLE_GROUP={found.one(GROUP, group).inputs['name']}",
            f"FLEET_LIFECYCLE_HOOK={drain['name']}",
            f"FLEET_LAUNCH_HOOK={launch['name']}",
        } <= set(told)


def test_the_api_sends_the_metric_that_the_workers_follow(preview: bool) -> None:
    """The hosts would follow a number that nobody writes."""
    if preview:
        return
    found = deployed(preview)
    told = dict(
        each.split("=", 1) for each in files(found.one(TEMPLATE, API))[f"/etc/agent-fleet/{FLEET}-api.env"].splitlines()
    )
    followed = found.one("aws:cloudwatch/metricAlarm:MetricAlarm", f"{SPOT}-wake").inputs["metricQueries"][0]["metric"]
    assert followed["namespace"] == told["FLEET_BACKLOG_NAMESPACE"]
    assert followed["dimensions"] == {"Fleet": told["FLEET_NAME"]}
    (put,) = [each for each in policy(found, API) if each["Sid"] == "PutBacklog"]
    assert put["Condition"] == {"StringEquals": {"cloudwatch:namespace": told["FLEET_BACKLOG_NAMESPACE"]}}


def test_a_new_image_changes_the_hosts_templates_and_nothing_that_keeps_anything(preview: bool) -> None:
    """An update would take the queue or the database with it."""
    if preview:
        return
    before, after = (
        {(each.type, each.name): each.inputs for each in deployed(preview, images=images(seed)).resources}
        for seed in ("a", "b")
    )
    assert before.keys() == after.keys()
    changed = {key for key in before if before[key] != after[key]}
    assert changed == {(TEMPLATE, name) for name in (API, ON_DEMAND, SPOT)}


def test_another_number_of_hosts_changes_their_group_alone(preview: bool) -> None:
    """More hosts would replace those that are there."""
    if preview:
        return
    limits = {"max_concurrent_agents": 500}
    before, after = (
        {(each.type, each.name): each.inputs for each in deployed(preview, limits=limits, queue=given).resources}
        for given in ({}, {"spot": {"instance_types": ["m7i.large", "m6i.large"], "maximum": 80}})
    )
    assert {key for key in before if before[key] != after[key]} == {(GROUP, SPOT)}


def test_the_first_run_makes_the_repositories_and_nothing_else(preview: bool) -> None:
    """Hosts would start before there is an image for them."""
    found = deployed(preview, queue={"registry": {"only": True, "replica_regions": ["eu-central-1"]}})
    kinds = {each.type.split(":")[1].split("/")[0] for each in found.resources if each.type.startswith("aws:")}
    assert kinds == {"ecr", "kms"}
    (rule,) = found.of_type("aws:ecr/replicationConfiguration:ReplicationConfiguration")
    (copied,) = rule.inputs["replicationConfiguration"]["rules"]
    assert [each["region"] for each in copied["destinations"]] == ["eu-central-1"]
    assert copied["repositoryFilters"] == [{"filter": f"{FLEET}/", "filterType": "PREFIX_MATCH"}]


def test_built_images_are_pushed_to_the_stacks_own_repositories(preview: bool) -> None:
    """Hosts would pull from where nothing was pushed."""
    found = deployed(
        preview, images={"digests": None, "registry": ECR, "build": {"ca_bundle": "none"}}, queue={"registry": {}}
    )
    built = {each.name: each for each in found.of_type("docker-build:index:Image")}
    assert set(built) == {"runtime", "sandbox"}
    for name, each in built.items():
        assert each.inputs["push"] is True
        if not preview:
            assert each.inputs["tags"] == [f"{ECR}/{FLEET}/{name}:{FLEET}"]
        assert f"{FLEET}-{name}" in found.one("agent-fleet:index:AgentImage", name).dependencies


@pytest.mark.parametrize("purpose", ["api", "workers"])
def test_logs_are_kept_for_a_bounded_time_in_a_group_of_their_own(preview: bool, purpose: str) -> None:
    """Everything would be kept and paid for, for ever."""
    group = deployed(preview).one("aws:cloudwatch/logGroup:LogGroup", f"{FLEET}-{purpose}")
    assert group.inputs["name"] == f"/agent-fleet/{FLEET}-{purpose}"
    assert group.inputs["retentionInDays"] == 30


def test_every_resource_carries_the_tags_and_is_in_a_component(preview: bool) -> None:
    """What has no tag is on no bill, and what is in no component is not moved with it."""
    untaggable = (
        *("aws:ec2/route:", "aws:ec2/routeTableAssociation", "aws:iam/rolePolicy", "aws:sqs/queuePolicy"),
        *("aws:sqs/redriveAllowPolicy", "aws:autoscaling/policy", "aws:secretsmanager/secretVersion"),
    )
    for each in deployed(preview).resources:
        if each.type.startswith("aws:"):
            assert "agent-fleet:index:" in each.parent, each.name
            if not each.type.startswith(untaggable):
                tags = each.inputs["tags"]
                found = tags if isinstance(tags, dict) else {tag["key"]: tag["value"] for tag in tags}
                assert {"project", "stack", "component", "owner"} <= set(found), f"{each.type} {each.name}"


def test_moving_from_one_host_keeps_the_network_the_address_and_the_keys(preview: bool) -> None:
    """Clients would have to be told another address and other keys, and the plan in docs/queue.md be wrong."""
    given = yaml.safe_load((PROJECT / "Pulumi.dev.yaml").read_text())["config"]["agent-fleet:fleet"]
    one_host = record(lambda: pulumi.Output.all(**vm_ec2.deploy(FLEET, read(given)).outputs), preview=preview)
    kept = {each.urn for each in one_host.resources} & {each.urn for each in deployed(preview).resources}
    names = {(urn.split("::")[-2].rpartition("$")[2], urn.split("::")[-1]) for urn in kept}
    assert ("aws:ec2/vpc:Vpc", FLEET) in names
    assert ("aws:lb/loadBalancer:LoadBalancer", FLEET) in names
    assert {name for kind, name in names if kind == "random:index/randomBytes:RandomBytes"} == {
        f"{FLEET}-api-key",
        f"{FLEET}-api-key-id",
    }
    # What holds the jobs is not given up with its host.
    (disk,) = one_host.of_type("aws:ebs/volume:Volume")
    assert disk.protect
    assert disk.urn not in kept
