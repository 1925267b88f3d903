"""What a plan costs: the arithmetic of each kind of resource, and that nothing is left out in silence."""

import math
from collections.abc import Mapping
from typing import Any

import pytest
from cost_plans import LATER, event, plan
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as some

from engine.cost.estimate import Estimate, estimate
from engine.cost.planned import Plan
from engine.cost.price_table import price_table
from engine.cost.rules import RULES

HOURS = 730
INSTANCE = "aws:ec2/instance:Instance"
GROUP = "aws:autoscaling/group:Group"
TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"
NODES = "aws:eks/nodeGroup:NodeGroup"
DATABASE = "aws:rds/instance:Instance"
SPOT = price_table().assumptions["spot_share_of_on_demand"].value


def part(found: Estimate, start: str) -> tuple[float, float]:
    """The one part that begins so: dollars at rest and at most."""
    (only,) = [each for each in found.parts if each.what.startswith(start)]
    return only.usd_at_rest, only.usd_at_most


def test_a_fixed_host_costs_its_hours_and_its_disk() -> None:
    """Prevents an estimate that forgets what a host stands on."""
    found = estimate(plan((INSTANCE, "host", {"instanceType": "m7i.large", "rootBlockDevice": {"volumeSize": 40}})))
    assert part(found, "m7i.large") == pytest.approx((0.1008 * HOURS, 0.1008 * HOURS))
    assert part(found, "disk of 40 GiB") == pytest.approx((3.2, 3.2))
    assert found.usd_at_rest == pytest.approx(found.usd_at_most)


def test_a_group_is_a_range_from_its_minimum_to_its_maximum() -> None:
    """Prevents a bill of fifty hosts where the preview spoke of none."""
    policy = {
        "launchTemplate": {"overrides": [{"instanceType": "m6a.large"}, {"instanceType": "m7i.large"}]},
        "instancesDistribution": {"onDemandBaseCapacity": 0, "onDemandPercentageAboveBaseCapacity": 0},
    }
    template = {"blockDeviceMappings": [{"ebs": {"volumeSize": 40, "volumeType": "gp3"}}]}
    found = estimate(
        plan(
            (TEMPLATE, "spot-workers", template),
            (GROUP, "spot-workers", {"minSize": 0, "maxSize": 50, "mixedInstancesPolicy": policy}),
        )
    )
    # Of the first type at rest, of the dearest at most.
    assert part(found, "m6a.large or 1 other type, spot") == pytest.approx((0, 0.1008 * SPOT * HOURS * 50))
    assert part(found, "disk of 40 GiB") == pytest.approx((0, 160))
    assert found.jobs is not None
    assert found.jobs.fit_at_rest == 0
    assert found.jobs.beyond_on == "m6a.large, spot"


@pytest.mark.parametrize(
    ("base", "share", "on_demand", "spot"),
    [(2, 0, (2, 2), (1, 8)), (0, 100, (3, 10), None), (0, 50, (2, 5), (1, 5)), (20, 0, (3, 10), None)],
)
def test_a_mixed_group_has_its_share_on_demand(
    base: int, share: int, on_demand: tuple[int, int], spot: tuple[int, int] | None
) -> None:
    """Prevents hosts on demand that are priced as spot hosts; AWS rounds in favour of on demand."""
    policy = {
        "launchTemplate": {"overrides": [{"instanceType": "m7i.large"}]},
        "instancesDistribution": {"onDemandBaseCapacity": base, "onDemandPercentageAboveBaseCapacity": share},
    }
    found = estimate(plan((GROUP, "mixed", {"minSize": 3, "maxSize": 10, "mixedInstancesPolicy": policy})))
    counts = {each.what: (each.count_at_rest, each.count_at_most) for each in found.parts}
    assert counts.get("m7i.large, on demand") == on_demand
    assert counts.get("m7i.large, spot") == spot


def test_nodes_of_eks_stay_as_they_are_made() -> None:
    """Prevents a price at rest of a minimum that nothing ever goes down to."""
    sizes = {"minSize": 0, "desiredSize": 3, "maxSize": 12}
    found = estimate(
        plan((NODES, "system", {"instanceTypes": ["m7i.xlarge"], "capacityType": "ON_DEMAND", "scalingConfig": sizes}))
    )
    assert part(found, "m7i.xlarge") == pytest.approx((0.2016 * HOURS * 3, 0.2016 * HOURS * 12))
    assert any("stay as they are made" in each for each in found.assumptions)


def test_a_standby_doubles_the_database_and_its_disk() -> None:
    """Prevents half a database."""
    given = {"instanceClass": "db.m7g.large", "allocatedStorage": 100, "engine": "postgres"}
    alone = estimate(plan((DATABASE, "jobs", given)))
    doubled = estimate(plan((DATABASE, "jobs", {**given, "multiAz": True})))
    assert doubled.usd_at_rest == pytest.approx(2 * alone.usd_at_rest)
    assert alone.usd_at_rest == pytest.approx(0.168 * HOURS + 11.5)


@pytest.mark.parametrize(
    ("given", "dollars"),
    [
        ({"vpcEndpointType": "Gateway"}, 0),
        ({}, 0),
        ({"vpcEndpointType": "Interface", "subnetIds": [LATER, LATER, LATER]}, 3 * 7.3),
    ],
)
def test_an_endpoint_is_paid_by_zone_and_a_gateway_is_free(given: Mapping[str, Any], dollars: float) -> None:
    """Prevents a third of the bill of a private cluster from being missed."""
    assert estimate(plan(("aws:ec2/vpcEndpoint:VpcEndpoint", "s3", given))).usd_at_rest == pytest.approx(dollars)


def test_another_region_has_its_factor_and_says_so() -> None:
    """Prevents prices of Virginia for a stack in Frankfurt; what costs the same everywhere keeps its price."""
    host, key = (INSTANCE, "host", {"instanceType": "m7i.large"}), ("aws:kms/key:Key", "key", {})
    found = estimate(plan(host, key, region="eu-central-1"))
    assert part(found, "m7i.large") == pytest.approx((0.1008 * 1.2 * HOURS,) * 2)
    assert part(found, "encryption key") == (1.0, 1.0)
    assert "prices in eu-central-1 are 1.2 times those of us-east-1" in found.assumptions
    elsewhere = estimate(plan(host, region="mx-central-1"))
    assert "the price table does not have mx-central-1: prices of us-east-1" in elsewhere.assumptions


@pytest.mark.parametrize(
    ("kind", "given", "why"),
    [
        (INSTANCE, {"instanceType": "x9.huge"}, "the price table has no x9.huge"),
        (INSTANCE, {"instanceType": LATER}, "its type is known only after the update"),
        (GROUP, {"minSize": LATER, "maxSize": 4}, "its size is known only after the update"),
        (NODES, {"scalingConfig": LATER}, "its size is known only after the update"),
        (DATABASE, {"instanceClass": LATER, "allocatedStorage": 20}, "its class or its size is known only"),
        (DATABASE, {"instanceClass": "db.t4g.small", "allocatedStorage": 20, "engine": "mysql"}, "PostgreSQL only"),
        ("aws:ec2/vpcEndpoint:VpcEndpoint", {"vpcEndpointType": LATER}, "its type is known only"),
        ("aws:lambda/function:Function", {}, "the price table does not have this type"),
        ("gcp:compute/instance:Instance", {}, "the price table does not have this type"),
    ],
)
def test_what_has_no_price_is_named_with_the_reason(kind: str, given: Mapping[str, Any], why: str) -> None:
    """Prevents a resource that counts as zero because nobody thought of it."""
    found = estimate(plan((kind, "one", given), (kind, "other", given)))
    (missing,) = found.not_estimated
    assert (missing.type, missing.count) == (kind, 2)
    assert why in missing.why
    assert found.usd_at_rest == 0


def test_a_secret_or_unknown_input_is_no_number() -> None:
    """Prevents an estimate that prints a secret, or adds up the marks that stand for one."""
    secret = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "value": "40"}
    found = estimate(plan(("aws:ebs/volume:Volume", "data", {"size": secret})))
    assert [each.why for each in found.not_estimated] == ["its size is known only after the update"]


def test_a_plan_is_what_there_will_be() -> None:
    """Prevents an estimate that counts what the update deletes, or a replaced host twice."""
    found = plan((INSTANCE, "kept", {"instanceType": "m7i.large"}))
    found.event(event(INSTANCE, "gone", {"instanceType": "m7i.large"}, op="same"))
    found.event(event(INSTANCE, "gone", {"instanceType": "m7i.large"}, op="delete"))
    found.event(event(INSTANCE, "kept", {"instanceType": "m7i.xlarge"}, op="create-replacement"))
    found.event(event(INSTANCE, "kept", {"instanceType": "m7i.large"}, op="delete-replaced"))
    assert [each.what for each in estimate(found).parts] == ["m7i.xlarge, on demand"]


def test_inputs_that_cannot_be_read_do_not_end_an_update() -> None:
    """Prevents an estimate that takes the engine down while it deploys."""
    # Half a character, which JSON can write and the engine's own messages cannot.
    unreadable = {"instanceType": "m7i.large", "name": "\ud800"}
    found = plan((INSTANCE, "host", unreadable), ("aws:kms/key:Key", "key", {}))
    assert [each.type for each in estimate(found).not_estimated] == [INSTANCE]


JUNK = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats(allow_nan=False) | some.text(max_size=8),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@limits(deadline=None, max_examples=150)
@given(some.data())
def test_no_input_of_any_kind_breaks_an_estimate(data: some.DataObject) -> None:
    """Prevents the same for what no provider sends today."""
    kind = data.draw(some.sampled_from(sorted(RULES)))
    names = some.sampled_from(
        [
            "instanceType",
            "minSize",
            "maxSize",
            "mixedInstancesPolicy",
            "scalingConfig",
            "instanceTypes",
            "size",
            "warmPool",
            "tags",
            "allocatedStorage",
            "instanceClass",
            "nodeType",
            "numCacheClusters",
            "subnetIds",
            "launchTemplate",
            "blockDeviceMappings",
        ]
    )
    found = estimate(plan((kind, "one", data.draw(some.dictionaries(names, JUNK, max_size=6)))))
    assert math.isfinite(found.usd_at_most)


def test_jobs_cost_requests_and_logs_until_more_hosts_are_needed() -> None:
    """Prevents a price per thousand jobs that hides the hosts which are paid anyway, or those which come on top."""
    found = estimate(
        plan(
            (TEMPLATE, "workers", {"instanceType": "m7i.large"}),
            (GROUP, "workers", {"minSize": 2, "maxSize": 4, "launchTemplate": {"id": LATER}}),
            ("aws:sqs/queue:Queue", "jobs", {}),
        )
    )
    jobs = found.jobs
    assert jobs is not None
    assert jobs.usd_beyond is not None
    assert jobs.usd_always == pytest.approx(0.0012)
    # Two jobs at once, 5 s each, 70 % of the time.
    per_hour = 2 * 720 * 0.7
    assert jobs.fit_at_rest == round(2 * per_hour * HOURS)
    assert jobs.usd_beyond == pytest.approx(0.0012 + 0.1008 / per_hour * 1_000)


def test_objects_of_somebody_elses_cluster_cost_nothing_in_an_account() -> None:
    """Prevents a price for a cluster that the stack did not make."""
    service = ("kubernetes:core/v1:Service", "api", {"spec": {"type": "LoadBalancer"}})
    found = Plan()
    found.event(event(*service))
    assert not estimate(found).in_an_account
    own = estimate(plan(service, ("aws:eks/cluster:Cluster", "cluster", {})))
    assert part(own, "network load balancer")[0] > 16
