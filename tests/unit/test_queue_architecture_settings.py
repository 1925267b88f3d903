"""Settings of queue that cannot stand together: refused before anything is declared, each with its fix."""

from collections.abc import Mapping
from datetime import date
from typing import Any

import pytest
from agent_fleet.aws.instance_families import FAMILIES, architecture_of, family_problem, memory_mebibytes
from agent_fleet.aws.instance_role import ecr_repository
from queue_fleet import changed, images
from stack_settings import read

from settings.problems import SettingsError
from settings.relations import notices


@pytest.mark.parametrize(
    ("given", "key", "fix"),
    [
        (
            {"queue": {"on_demand": {"minimum": 0, "maximum": 3}}},
            "queue.on_demand.minimum",
            "set fleet.queue.spot_without_floor_allowed to true",
        ),
        ({"queue": {"on_demand": None}}, "queue.on_demand", "set fleet.queue.spot_without_floor_allowed to true"),
        ({"queue": {"on_demand": None, "spot": None}}, "queue.on_demand", "give one of the two"),
        (
            {"aws": {"job_queue": {"visibility_timeout_seconds": 600}}},
            "aws.job_queue.visibility_timeout_seconds",
            "allowed from 3600",
        ),
        (
            {"queue": {"on_demand": {"instance_type": "m99i.large"}}},
            "queue.on_demand.instance_type",
            "m99i is no family of instance types",
        ),
        (
            {"queue": {"spot": {"instance_types": ["m7i.large", "m7g.large"]}}},
            "queue.spot.instance_types[1]",
            "whose processors are arm64, and the images are for amd64",
        ),
        (
            {"queue": {"image_architecture": "arm64", "api": {"instance_type": "t3.medium"}}},
            "queue.api.instance_type",
            "give a type of that architecture",
        ),
        (
            {"workers": {"concurrency": 4}, "sandbox": {"memory_mebibytes": 2048}},
            "queue.on_demand.instance_type",
            "give a larger type",
        ),
        ({"limits": {"max_concurrent_agents": 100}}, "limits.max_concurrent_agents", "25 hosts together"),
        ({"queue": {"api": {"minimum": 5, "maximum": 4}}}, "queue.api.minimum", "allowed up to that"),
        ({"sandbox": {"maximum": 3, "warm": 1}}, "sandbox.maximum", "allowed from 4"),
        ({"images": {"digests": None}}, "images.digests", "set fleet.queue.registry.only to true"),
        ({"images": {"registry": "registry.example.org"}}, "images.registry", "leave one of the two out"),
        ({"queue": {"redis": {}}}, "queue.redis", "set that to redis, or remove it"),
        ({"queue": {"registry": {"replica_regions": ["eu-west-1"]}}}, "queue.registry.replica_regions", "leave it out"),
        ({"entrance": {"kind": "public_address"}}, "entrance.kind", "allowed is load_balancer"),
        ({"entrance": {"certificate_arn": None}}, "entrance.certificate_arn", "give the ARN of a certificate"),
        ({"aws": {"zones": ["eu-west-1a", "eu-west-2a"]}}, "aws.zones[1]", "not in fleet.aws.region"),
        ({"aws": {"nat": "none"}, "sandbox": {"egress": {"domains": ["example.org"]}}}, "aws.nat", "one and per_zone"),
        ({"teams": {"alpha": {}}}, "teams", "architecture: cluster"),
        ({"host": {"data_gibibytes": 20}}, "host", "with `target: ec2`"),
        ({"workers": {"count": 2}}, "workers.count", "architecture: vm"),
        ({"api": {"port": 80}}, "api.port", "use fleet.entrance instead"),
        ({"agents": {"node": {}}}, "agents", "run every job in fleet.images.digests.sandbox"),
        ({"target": "eks"}, "target", "allowed for queue: ec2"),
    ],
)
def test_what_cannot_stand_together_is_refused_with_the_fix(given: Mapping[str, Any], key: str, fix: str) -> None:
    """AWS would say so after minutes, or a job be lost before anybody does."""
    with pytest.raises(SettingsError) as refused:
        read(changed(**given))
    (line,) = [each for each in refused.value.problems if each.startswith(f"fleet.{key}: ")]
    assert fix in line


def test_spot_alone_may_be_asked_for() -> None:
    """Who wants nothing but the price would have to pay for a floor."""
    found = read(changed(queue={"on_demand": None, "spot_without_floor_allowed": True}))
    assert found.queue.on_demand is None


def test_sqs_is_the_doorbell_unless_another_is_named() -> None:
    """The architecture would be called queue and have none."""
    given = {name: value for name, value in changed().items() if name != "doorbell"}
    assert read(given).doorbell.kind == "sqs"
    assert read({**given, "doorbell": {}}).doorbell.kind == "sqs"
    assert read({**given, "doorbell": {"kind": "postgres"}}).doorbell.kind == "postgres"


def test_what_is_risky_but_allowed_is_said_in_the_preview() -> None:
    """A fleet would go quiet with one lost host, or one lost market."""
    given = changed(queue={"api": {"minimum": 1, "maximum": 2}, "spot": {"instance_types": ["m7i.large"]}})
    said = " ".join(notices(read(given), date(2026, 11, 21)))
    assert "fleet.queue.api.minimum is 1" in said
    assert "fleet.queue.spot.instance_types has 1" in said


def test_a_second_region_is_the_same_stack_with_other_settings() -> None:
    """A queue in each region would need another program."""
    there = {"region": "eu-central-1", "zones": ["eu-central-1a", "eu-central-1b"], "cidr": "10.41.0.0/16"}
    certificate = "arn:aws:acm:eu-central-1:123456789012:certificate/00000000-0000-0000-0000-000000000000"
    found = read(changed(aws=there, entrance={"certificate_arn": certificate}, images=images("a")), stack="staging-de")
    assert found.aws.region == "eu-central-1"


@pytest.mark.parametrize(
    ("instance_type", "architecture", "mebibytes"),
    [
        ("m7i.large", "amd64", 8_192),
        ("m7i-flex.xlarge", "amd64", 16_384),
        ("c6gn.2xlarge", "arm64", 16_384),
        ("r8g.medium", "arm64", 8_192),
        ("t3.medium", "amd64", 4_096),
        ("t4g.small", "arm64", 2_048),
        ("m7i.metal-24xl", "amd64", None),
    ],
)
def test_instance_types_are_known_by_family_and_size(
    instance_type: str, architecture: str, mebibytes: int | None
) -> None:
    """Hosts would start that cannot run the images, or kill the jobs that they were given."""
    assert family_problem(instance_type) is None
    assert architecture_of(instance_type) == architecture
    assert memory_mebibytes(instance_type) == mebibytes


def test_a_family_of_graviton_is_arm64_and_no_other_is() -> None:
    """One line in the wrong row of the table starts hosts that run nothing."""
    for family, architecture in FAMILIES.items():
        generation = family.partition("-")[0].lstrip("cmrt").lstrip("0123456789")
        assert (architecture == "arm64") == generation.startswith("g"), family


@pytest.mark.parametrize(
    ("image", "arn"),
    [
        (
            "123456789012.dkr.ecr.eu-west-1.amazonaws.com/fleet/runtime@sha256:aa",
            "arn:aws:ecr:eu-west-1:123456789012:repository/fleet/runtime",
        ),
        (
            "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn/runtime@sha256:aa",
            "arn:aws-cn:ecr:cn-north-1:123456789012:repository/runtime",
        ),
        (
            "123456789012.dkr.ecr.us-gov-west-1.amazonaws.com/runtime@sha256:aa",
            "arn:aws-us-gov:ecr:us-gov-west-1:123456789012:repository/runtime",
        ),
        ("registry.example.com/123456789012.dkr.ecr.eu-west-1.amazonaws.com/x@sha256:aa", None),
        ("ghcr.io/fleet/runtime@sha256:aa", None),
    ],
)
def test_a_right_to_pull_is_for_the_repository_that_the_image_is_in(image: str, arn: str | None) -> None:
    """A host could not pull its image, or pull everybody's."""
    assert ecr_repository(image) == arn
