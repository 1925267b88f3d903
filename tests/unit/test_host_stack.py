"""vm on EC2 as it is declared: what may be reached, what outlives the instance, and what a changed setting touches."""

import base64
import gzip
import json
from collections.abc import Callable, Mapping
from copy import deepcopy
from functools import cache
from typing import Any

import pulumi
import pytest
from queue_fleet import images
from recording import FLEET, UNKNOWN, Declared, Recording, record
from stack_settings import read
from test_program import stack_settings

from architectures import vm_ec2

TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"
INSTANCE = "aws:ec2/instance:Instance"
VOLUME = "aws:ebs/volume:Volume"
INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
PUBLIC: Mapping[str, Any] = {
    "entrance": {"kind": "public_address", "client_cidrs": ["192.0.2.0/24"]},
    "aws": {"nat": "none"},
}


def merged(given: Any, changes: Mapping[str, Any]) -> Any:
    """The settings with some of them changed, section by section."""
    found = deepcopy(given)
    for key, value in changes.items():
        inner = isinstance(value, Mapping) and isinstance(found.get(key), dict) and key != "entrance"
        found[key] = merged(found[key], value) if inner else value
    return found


@cache
def _declared(changes: str, preview: bool) -> Recording:
    settings = read(merged(stack_settings("dev"), json.loads(changes)))
    return record(lambda: pulumi.Output.all(**vm_ec2.deploy(FLEET, settings).outputs), preview=preview)


def declared(preview: bool, **changes: Any) -> Recording:
    """The shipped stack `dev` with these settings changed."""
    return _declared(json.dumps(changes, sort_keys=True), preview)


def user_data(host: Declared) -> str:
    """What the instance is told."""
    data = base64.b64decode(host.inputs["userDataBase64"])
    return (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode()


@pytest.fixture
def host(preview: bool) -> Declared:
    """The instance of the shipped stack."""
    return declared(preview).one(INSTANCE, FLEET)


def test_the_instance_gives_its_role_to_nobody_but_its_own_programs(host: Declared) -> None:
    """A sandbox that reaches the metadata has the instance's rights."""
    found = host.inputs["metadataOptions"]
    assert (found["httpTokens"], found["httpPutResponseHopLimit"]) == ("required", 1)


def test_the_instance_has_no_key_and_no_port_for_one(host: Declared, preview: bool) -> None:
    """A key that leaks opens the host; Session Manager asks IAM."""
    assert "keyName" not in host.inputs
    ports = {each.inputs["fromPort"] for each in declared(preview).of_type(INGRESS)}
    assert ports == {443, 8080}


@pytest.mark.parametrize("kind", ["load_balancer", "public_address"])
def test_every_disk_is_encrypted(preview: bool, kind: str) -> None:
    """A disk that is thrown away would be readable."""
    found = declared(preview) if kind == "load_balancer" else declared(preview, **PUBLIC)
    (root,) = found.one(TEMPLATE, FLEET).inputs["blockDeviceMappings"]
    assert (root["deviceName"], root["ebs"]["encrypted"], root["ebs"]["volumeSize"]) == ("/dev/xvda", "true", 40)
    assert [each.inputs["encrypted"] for each in found.of_type(VOLUME)] == [True]


def test_an_instance_names_its_root_disk_only_beside_an_image_of_its_own(preview: bool) -> None:
    """The provider would look for the moving name of a template's image, and AWS refuses it: no host would start."""
    assert "rootBlockDevice" not in declared(preview).one(INSTANCE, FLEET).inputs
    named = declared(preview, host={"machine_image": "ami-0123456789abcdef0"})
    assert named.one(INSTANCE, FLEET).inputs["rootBlockDevice"]["encrypted"] is True


def test_only_the_load_balancer_reaches_the_host_and_only_over_tls_is_it_reached(preview: bool) -> None:
    """The API would answer over plain HTTP."""
    found = declared(preview)
    (listener,) = found.of_type("aws:lb/listener:Listener")
    assert (listener.inputs["port"], listener.inputs["protocol"]) == (443, "HTTPS")
    assert "TLS13" in listener.inputs["sslPolicy"]
    open_to_networks = {each.name for each in found.of_type(INGRESS) if "cidrIpv4" in each.inputs}
    assert open_to_networks == {f"{FLEET}-clients-0.0.0.0/0", f"{FLEET}-endpoints"}
    assert found.of_type("aws:ec2/eip:Eip")[0].name.startswith(f"{FLEET}-nat-")


def test_a_public_address_is_for_the_networks_that_are_named_and_costs_no_balancer_and_no_nat(preview: bool) -> None:
    """A way in for everybody, or an hourly price that nobody asked for."""
    found = declared(preview, **PUBLIC)
    clients = [each for each in found.of_type(INGRESS) if each.name.startswith(f"{FLEET}-clients-")]
    assert [(each.inputs["cidrIpv4"], each.inputs["fromPort"]) for each in clients] == [("192.0.2.0/24", 8080)]
    assert found.of_type("aws:lb/loadBalancer:LoadBalancer") == []
    assert found.of_type("aws:ec2/natGateway:NatGateway") == []
    assert [each.name for each in found.of_type("aws:ec2/eip:Eip")] == [f"{FLEET}-host"]
    if not preview:
        assert found.result["url"].startswith("http://")
        assert found.result["url"].endswith(":8080")


def test_a_host_without_a_way_out_reaches_what_it_calls_through_endpoints(preview: bool) -> None:
    """It would start without its secrets and its images, and nobody could enter it."""
    found = declared(preview, aws={"nat": "none"}, images=images("a"))
    services = {
        each.inputs["serviceName"].split(".", 3)[3] for each in found.of_type("aws:ec2/vpcEndpoint:VpcEndpoint")
    }
    assert services == {"s3", "ecr.api", "ecr.dkr", "logs", "monitoring", "secretsmanager", "ssm", "ssmmessages"}
    # The load balancer's clients come from the internet all the same.
    assert found.of_type("aws:ec2/internetGateway:InternetGateway")


def test_the_data_outlives_the_instance_and_is_copied(preview: bool) -> None:
    """Replacing the instance would lose what was accepted."""
    found = declared(preview)
    volume = found.one(VOLUME, f"{FLEET}-data")
    assert volume.protect is True
    assert volume.inputs["finalSnapshot"] is True
    attachment = found.one("aws:ec2/volumeAttachment:VolumeAttachment", f"{FLEET}-data")
    assert attachment.inputs["stopInstanceBeforeDetaching"] is True
    assert attachment.delete_before_replace
    assert found.one(INSTANCE, FLEET).delete_before_replace
    (policy,) = found.of_type("aws:dlm/lifecyclePolicy:LifecyclePolicy")
    (schedule,) = policy.inputs["policyDetails"]["schedules"]
    assert (schedule["createRule"]["interval"], schedule["retainRule"]["count"]) == (6, 28)
    ((tag, value),) = policy.inputs["policyDetails"]["targetTags"].items()
    assert volume.inputs["tags"][tag] == value
    assert declared(preview, aws={"deletion_protection": False}).one(VOLUME, f"{FLEET}-data").protect is False


def test_no_secret_is_in_the_user_data(preview: bool, host: Declared) -> None:
    """Whoever may describe the instance reads its user data."""
    if preview:
        assert host.inputs["userDataBase64"] is UNKNOWN
        return
    told = user_data(host)
    assert "Password" * 4 not in told
    key: str = declared(preview).result["api_key"]
    assert key.rsplit("_", 1)[1] not in told
    version = declared(preview).one("aws:secretsmanager/secretVersion:SecretVersion", FLEET)
    assert "secretString" in version.secret_inputs
    assert "Password" * 4 in version.inputs["secretString"]
    assert declared(preview).result_is_secret


def test_the_instance_may_do_what_its_programs_need_and_nothing_else(preview: bool) -> None:
    """A role with more rights than needed is what an intruder gets."""
    if preview:
        return
    policy = json.loads(declared(preview).one("aws:iam/rolePolicy:RolePolicy", FLEET).inputs["policy"])
    wide = {
        action
        for each in policy["Statement"]
        if each["Resource"] == "*" and "Condition" not in each
        for action in ([each["Action"]] if isinstance(each["Action"], str) else each["Action"])
    }
    assert wide == {
        "ecr:GetAuthorizationToken",
        "ssm:UpdateInstanceInformation",
        "ssmmessages:CreateControlChannel",
        "ssmmessages:CreateDataChannel",
        "ssmmessages:OpenControlChannel",
        "ssmmessages:OpenDataChannel",
    }


def test_the_machine_image_is_the_newest_once_or_the_one_that_is_named(preview: bool) -> None:
    """A newer image would replace the host at an update that nobody meant for it."""
    newest = declared(preview).one(TEMPLATE, FLEET)
    assert newest.inputs["imageId"].startswith("resolve:ssm:/aws/service/ami-amazon-linux-latest/al2023-")
    assert newest.inputs["imageId"].endswith("x86_64")
    graviton = declared(preview, host={"instance_type": "m7g.large"})
    assert graviton.one(TEMPLATE, FLEET).inputs["imageId"].endswith("arm64")
    named = declared(preview, host={"machine_image": "ami-0123456789abcdef0"})
    assert named.one(INSTANCE, FLEET).inputs["ami"] == "ami-0123456789abcdef0"
    assert named.of_type(TEMPLATE) == []


def _changed(before: Recording, after: Recording) -> set[tuple[str, str]]:
    """Each input that differs, by its resource's type and its own name."""
    first = {(each.type, each.name): each.inputs for each in before.resources}
    second = {(each.type, each.name): each.inputs for each in after.resources}
    assert set(first) == set(second)
    return {
        (token.rsplit(":", 1)[1], key)
        for (token, name), inputs in first.items()
        for key in inputs.keys() | second[token, name].keys()
        if inputs.get(key) != second[token, name].get(key)
    }


@pytest.mark.parametrize(
    ("changes", "touched"),
    [
        ({"host": {"snapshots": {"kept": 7}}}, {("LifecyclePolicy", "policyDetails")}),
        ({"host": {"data_gibibytes": 60}}, {("Volume", "size")}),
        ({"host": {"instance_type": "m7i.xlarge"}}, {("Instance", "instanceType")}),
        ({"log_level": "debug"}, {("Instance", "userDataBase64")}),
        (
            {"images": {"digests": {"runtime": "registry.example.com/agent-fleet/runtime@sha256:" + "1" * 64}}},
            {("Instance", "userDataBase64")},
        ),
        (
            {"aws": {"log_retention_days": 60}},
            {("LogGroup", "retentionInDays")},
        ),
    ],
    ids=["snapshots", "disk", "type", "level", "image", "logs"],
)
def test_a_changed_setting_touches_only_what_it_must(changes: Mapping[str, Any], touched: set[tuple[str, str]]) -> None:
    """A change of one figure would replace what has nothing to do with it, the data in the end."""
    assert _changed(declared(False), declared(False, **changes)) == touched


def test_a_changed_secret_is_a_new_instance_and_no_new_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """The host would go on with a password that the database no longer has."""
    import recording

    renewed: Callable[[Any], dict[str, Any]] = lambda _: {"result": "Renewed0" * 5, "bcryptHash": "h"}  # noqa: E731
    computed = {**recording._COMPUTED, "random:index/randomPassword:RandomPassword": renewed}  # pyright: ignore[reportPrivateUsage]
    before = declared(False)
    monkeypatch.setattr(recording, "_COMPUTED", computed)
    settings = read(stack_settings("dev"))
    after = record(lambda: pulumi.Output.all(**vm_ec2.deploy(FLEET, settings).outputs), preview=False)
    assert _changed(before, after) == {("SecretVersion", "secretString"), ("Instance", "userDataBase64")}
