"""Settings that AWS would refuse half way through an `up`, or that would leave hosts which run nothing."""

from collections.abc import Mapping
from typing import Any

import pytest
from agent_fleet import CacheCluster
from agent_fleet.aws.cache_cluster import CacheClusterArgs
from agent_fleet.aws.subnets import plan_subnets
from queue_fleet import changed, images
from recording import record
from stack_settings import read
from test_host_stack import merged
from test_program import stack_settings

from settings.problems import SettingsError
from settings.stack_name import LONGEST_ON_AWS

PUBLIC = {"entrance": {"kind": "public_address"}, "aws": {"nat": "none"}}
ELSEWHERE = f"registry.example.com/agent-fleet/runtime@sha256:{'1' * 64}"


def problems(given: Mapping[str, Any], stack: str = "test") -> list[str]:
    """Why these settings are refused; nothing where they are not."""
    try:
        read(given, stack=stack)
    except SettingsError as error:
        return list(error.problems)
    return []


@pytest.mark.parametrize(
    ("given", "key", "said"),
    [
        ({"queue": {"on_demand": {"minimum": 0}, "spot": None}}, "queue.on_demand.minimum", "from a minimum of 1"),
        (
            {"queue": {"on_demand": {"minimum": 0, "maximum": 0}, "spot": None}},
            "queue.on_demand.minimum",
            "nobody would run a job",
        ),
        ({"queue": {"on_demand": {"instance_type": "m7i.lareg"}}}, "queue.on_demand.instance_type", "large, xlarge"),
        ({"queue": {"spot": {"instance_types": ["m7i.medium"]}}}, "queue.spot.instance_types[0]", "no size of m7i"),
        ({"queue": {"api": {"instance_type": "t3.nano"}}}, "queue.api.instance_type", "give a larger type"),
        ({"aws": {"cidr": "127.0.0.0/16"}}, "aws.cidr", "10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16"),
        ({"aws": {"cidr": "169.254.0.0/16"}}, "aws.cidr", "is not private"),
        ({"aws": {"nat": "none"}}, "images.digests.runtime", "no registry but ECR in eu-west-1"),
        ({"aws": {"database": {"engine_version": "14"}}}, "aws.database.engine_version", "from 15 on"),
    ],
)
def test_queue_hosts_that_could_not_be_or_would_do_nothing_are_refused(
    given: Mapping[str, Any], key: str, said: str
) -> None:
    """Found by AWS after twenty minutes, by a traceback, or by nobody: jobs would wait for ever."""
    found = [each for each in problems(changed(**given)) if each.startswith(f"fleet.{key}: ")]
    assert len(found) == 1
    assert said in found[0]


def test_without_a_way_out_images_come_from_the_regions_own_registry() -> None:
    """Endpoints lead to one region's ECR: a host of images elsewhere would pull for ever."""
    assert not problems(changed(aws={"nat": "none"}, images=images("a")))
    other_region = {
        "digests": {name: each.replace("eu-west-1", "us-east-1") for name, each in images("a")["digests"].items()}
    }
    assert any("us-east-1" in each for each in problems(changed(aws={"nat": "none"}, images=other_region)))
    dev = stack_settings("dev")
    assert any(
        each.startswith("fleet.images.digests.postgres") for each in problems(merged(dev, {"aws": PUBLIC["aws"]}))
    )


@pytest.mark.parametrize("half", ["0.0.0.0/1", "128.0.0.0/2", "0.0.0.0/7"])
def test_plain_http_is_not_open_to_halves_of_the_internet(half: str) -> None:
    """Two halves are the whole: API keys would cross it in plain HTTP all the same."""
    entrance = {"kind": "public_address", "client_cidrs": [half], "certificate_arn": None, "host": None}
    dev = merged(stack_settings("dev"), {"aws": {"nat": "none"}})
    assert any("part of the internet" in each for each in problems({**dev, "entrance": entrance}))
    assert not problems({**dev, "entrance": {"kind": "public_address", "client_cidrs": ["192.0.2.0/24"]}})


@pytest.mark.parametrize("stack", ["dev", "staging", "prod"])
@pytest.mark.parametrize("name", ["my_stack", "MyStack", "my.stack", "a--b", "a-"])
def test_a_stack_on_aws_has_a_name_that_aws_takes(stack: str, name: str) -> None:
    """RDS would refuse it after a quarter of an hour, or write it small and differ at every run."""
    assert any("small letters, digits, and single hyphens" in each for each in problems(stack_settings(stack), name))


@pytest.mark.parametrize("stack", ["dev", "staging", "prod"])
def test_a_stack_on_aws_leaves_room_for_the_names_of_roles(stack: str) -> None:
    """IAM takes 64 characters, and the engine would say so after the network was made."""
    given = stack_settings(stack)
    longest = LONGEST_ON_AWS[given["architecture"]]
    assert not problems(given, "a" * longest)
    assert any(f"up to {longest}" in each for each in problems(given, "a" * (longest + 1)))


def test_names_of_stacks_elsewhere_are_not_judged_by_awss_rules() -> None:
    """A fleet on this machine's Docker could not be made under a name that it has had so far."""
    assert not problems(stack_settings("local"), "My_stack")


def test_a_third_zone_leaves_the_subnets_of_two_where_they_are() -> None:
    """Every subnet would be replaced by one whose addresses the old one still has, which AWS refuses."""
    two, three = plan_subnets("10.40.0.0/16", 2), plan_subnets("10.40.0.0/16", 3)
    assert three.private[:2] == two.private
    assert three.public[:2] == two.public
    four, six = plan_subnets("10.40.0.0/16", 4), plan_subnets("10.40.0.0/16", 6)
    assert (six.private[:4], six.public[:4]) == (four.private, four.public)


def test_caches_of_stacks_with_long_names_are_two(preview: bool) -> None:
    """The second stack would be refused a name that the first one has, as both were cut to the same."""
    names: set[str] = set()
    for stack in ("a" * 30 + "-eu", "a" * 30 + "-us", "short"):
        args: CacheClusterArgs = {
            "fleet": stack,
            "vpc_id": "vpc-1",
            "subnet_ids": ["subnet-1"],
            "client_security_group_ids": [],
            "node_type": "cache.t4g.small",
            "replicas": 0,
        }
        name = f"agent-fleet-{stack}-doorbell"
        found = record(lambda name=name, args=args: CacheCluster(name, args).url, preview=preview)
        (made,) = found.of_type("aws:elasticache/replicationGroup:ReplicationGroup")
        names.add(made.inputs["replicationGroupId"])
    assert len(names) == 3
    assert "agent-fleet-short-doorbell" in names
    assert all(len(each) <= 40 and not each.endswith("-") for each in names)
