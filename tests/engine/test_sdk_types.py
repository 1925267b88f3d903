"""Inputs are judged by the installed SDKs' own types, without importing the SDKs."""

import subprocess
import sys
from typing import Any

import pytest

from engine.standins import sdk_types, type_check
from engine.standins.values import UNKNOWN, Secret


def reasons(token: str, inputs: dict[str, Any]) -> dict[str, str]:
    """What is wrong with `inputs`, by property path."""
    resource = sdk_types.resource_type(token)
    assert resource is not None
    return {item.path: item.reason for item in type_check.check(inputs, resource)}


@pytest.mark.parametrize(
    ("token", "given", "secret"),
    [
        ("docker:index/container:Container", "dnsSearches", frozenset[str]()),
        ("docker-build:index:Image", "ignoreSecretsInDiffCalculation", frozenset({"secrets"})),
        ("random:index/randomPassword:RandomPassword", "minLower", frozenset({"result", "bcryptHash"})),
        ("aws:ecr/repository:Repository", "imageTagMutability", frozenset[str]()),
        ("aws:lambda/function:Function", "packageType", frozenset[str]()),
        ("aws:s3/bucket:Bucket", "accelerationStatus", frozenset[str]()),
        ("kubernetes:apps/v1:Deployment", "apiVersion", frozenset[str]()),
    ],
)
def test_types_of_every_sdk_are_read(token: str, given: str, secret: frozenset[str]) -> None:
    """Prevents a reader that an SDK's way of writing its modules defeats."""
    resource = sdk_types.resource_type(token)
    assert resource is not None
    assert given in resource.inputs
    assert given in resource.outputs
    assert resource.secret_outputs == secret


def test_a_misspelt_nested_property_names_its_neighbour() -> None:
    """Prevents a typing mistake two levels down from being ignored."""
    container = {"image": "x", "healthcheck": {"retry": 3}}
    assert reasons("docker:index/container:Container", container) == {
        "healthcheck.retry": "there is no such property; did you mean 'retries'?"
    }
    deployment = {"spec": {"selector": {}, "template": {"spec": {"containers": [{"name": "a", "imagee": "b"}]}}}}
    assert reasons("kubernetes:apps/v1:Deployment", deployment) == {
        "spec.template.spec.containers[0].imagee": "there is no such property; did you mean 'image'?"
    }


def test_a_python_name_in_a_dictionary_is_explained() -> None:
    """Prevents `volume_name` passing where the engine knows `volumeName` only."""
    given = {"image": "x", "volumes": [{"volume_name": "v", "containerPath": "/v"}]}
    assert reasons("docker:index/container:Container", given) == {
        "volumes[0].volume_name": "there is no such property; did you mean 'volumeName' (volume_name in Python)?"
    }


def test_enums_unions_and_wrong_kinds_are_judged() -> None:
    """Prevents a wrong value that the provider would refuse in the middle of an update."""
    image = {"push": False, "network": "hots", "exports": [{"docker": {"names": "one"}}]}
    assert reasons("docker-build:index:Image", image) == {
        "network": "must be one of default, host, none, not the string 'hots'.",
        "exports[0].docker.names": "must be a list, each item a string, not the string 'one'.",
    }
    assert reasons("aws:iam/role:Role", {"assumeRolePolicy": "{}"}) == {}
    assert list(reasons("aws:iam/role:Role", {"assumeRolePolicy": 3})) == ["assumeRolePolicy"]


def test_unknown_and_secret_values_pass_without_being_shown() -> None:
    """Prevents a preview that fails on what it cannot know, and a secret in a message."""
    assert reasons("docker:index/container:Container", {"image": UNKNOWN, "envs": Secret(["A=b"])}) == {}
    wrong = reasons("docker:index/container:Container", {"image": "x", "ports": Secret([{"internal": "4711"}])})
    assert wrong == {"ports[0].internal": "must be an integer, not the string."}


def test_an_unknown_type_is_named_with_its_neighbours() -> None:
    """Prevents a bare refusal of a token with a typing mistake."""
    assert sdk_types.resource_type("aws:ecr/repo:Repo") is None
    assert "Did you mean aws:ecr/repository:Repository?" in sdk_types.unknown_type_message("aws:ecr/repo:Repo")


def test_the_plugins_import_no_sdk() -> None:
    """Prevents a second lost in every preview to imports that a plugin does not need."""
    script = (
        "import sys\n"
        "from engine.standins import aws, docker, docker_build, random, server\n"
        "from engine.standins.sdk_types import resource_type\n"
        "assert resource_type('aws:ec2/vpc:Vpc')\n"
        "loaded = [name for name in sys.modules if name.startswith(('pulumi_', 'pulumi.resource', 'requests'))]\n"
        "assert not loaded, loaded\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=30)
