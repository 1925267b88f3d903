"""Groups of worker hosts: what each host is, how it ends, and how it is replaced."""

from typing import Any

import agent_fleet as fleet
import pytest
from agent_fleet.aws.host_group import drain_hook
from queue_fleet import API, GROUP, ON_DEMAND, POLICY, SPOT, TEMPLATE, deployed
from recording import Recording, record


@pytest.fixture
def found(preview: bool) -> Recording:
    """The stack as it is shipped."""
    return deployed(preview)


@pytest.mark.parametrize("name", [API, ON_DEMAND, SPOT])
class TestEveryHost:
    """Of whatever group."""

    def test_gives_its_role_to_nobody_but_itself(self, found: Recording, name: str) -> None:
        """A sandbox would have the host's rights (IMDSv1, or a hop more)."""
        options = found.one(TEMPLATE, name).inputs["metadataOptions"]
        assert options["httpTokens"] == "required"
        assert options["httpPutResponseHopLimit"] == 1
        assert options["instanceMetadataTags"] == "disabled"

    def test_has_no_key_no_address_and_an_encrypted_disk(self, found: Recording, name: str) -> None:
        """A forgotten key would open it, and a disk that is thrown away be readable."""
        template = found.one(TEMPLATE, name).inputs
        assert "keyName" not in template
        (interface,) = template["networkInterfaces"]
        assert interface["associatePublicIpAddress"] == "false"
        (disk,) = template["blockDeviceMappings"]
        assert disk["ebs"]["encrypted"] == "true"
        assert disk["ebs"]["deleteOnTermination"] == "true"

    def test_is_replaced_when_its_template_changes_a_new_one_first(self, found: Recording, name: str) -> None:
        """A new image would reach nobody, or an update leave too few hosts."""
        group = found.one(GROUP, name).inputs
        refresh = group["instanceRefresh"]
        assert refresh["strategy"] == "Rolling"
        assert refresh["preferences"]["minHealthyPercentage"] == 100
        assert refresh["preferences"]["maxHealthyPercentage"] > 100
        # AWS refuses it for a template that names no machine image by its id.
        assert refresh["preferences"]["autoRollback"] is False
        assert group["terminationPolicies"][0] == "OldestLaunchTemplate"

    def test_is_started_and_ended_without_pulumi(self, found: Recording, name: str) -> None:
        """Every update would set the groups back to how many there were at the start."""
        group = found.one(GROUP, name)
        assert "desiredCapacity" in group.ignored_changes
        assert "desiredCapacity" not in group.inputs


def test_groups_go_back_by_themselves_where_there_is_an_image_to_go_back_to(preview: bool) -> None:
    """A new machine image that does not start would leave the update half done."""
    found = deployed(preview, queue={"machine_image": "ami-0123456789abcdef0"})
    for each in found.of_type(GROUP):
        assert each.inputs["instanceRefresh"]["preferences"]["autoRollback"] is True


class TestWorkerHosts:
    """On demand and at spot prices."""

    def test_are_asked_to_drain_before_they_end(self, found: Recording) -> None:
        """Their jobs would end with them."""
        for name in (ON_DEMAND, SPOT):
            hook, _ = found.one(GROUP, name).inputs["initialLifecycleHooks"]
            assert hook["lifecycleTransition"] == "autoscaling:EC2_INSTANCE_TERMINATING"
            assert hook["defaultResult"] == "CONTINUE"

    def test_count_once_jobs_can_run_on_them(self, found: Recording) -> None:
        """A refresh to images that do not start would end every host that works, as EC2 calls the new ones well."""
        for name in (ON_DEMAND, SPOT):
            _, hook = found.one(GROUP, name).inputs["initialLifecycleHooks"]
            assert hook["lifecycleTransition"] == "autoscaling:EC2_INSTANCE_LAUNCHING"
            assert hook["defaultResult"] == "ABANDON"

    def test_at_spot_prices_are_of_the_types_that_aws_is_least_short_of(self, found: Recording) -> None:
        """The cheapest are those that are taken back first."""
        group = found.one(GROUP, SPOT).inputs
        distribution = group["mixedInstancesPolicy"]["instancesDistribution"]
        assert distribution["spotAllocationStrategy"] == "price-capacity-optimized"
        assert distribution["onDemandBaseCapacity"] == 0
        assert distribution["onDemandPercentageAboveBaseCapacity"] == 0
        overrides = group["mixedInstancesPolicy"]["launchTemplate"]["overrides"]
        assert [each["instanceType"] for each in overrides][:2] == ["m7i.large", "m6i.large"]
        assert group["capacityRebalance"] is True
        assert (group["minSize"], group["maxSize"]) == (0, 50)

    def test_on_demand_are_the_floor(self, found: Recording) -> None:
        """While AWS has no spare capacity nobody would run a job."""
        group = found.one(GROUP, ON_DEMAND).inputs
        assert "mixedInstancesPolicy" not in group
        assert (group["minSize"], group["maxSize"]) == (2, 3)

    def test_of_a_warm_pool_are_on_demand(self, preview: bool, found: Recording) -> None:
        """AWS refuses it for spot hosts and for mixed groups."""
        warm = deployed(preview, queue={"on_demand": {"minimum": 2, "maximum": 3, "warm_hosts": 2}})
        pool = warm.one(GROUP, ON_DEMAND).inputs["warmPool"]
        assert pool["poolState"] == "Stopped"
        assert pool["minSize"] == 2
        assert pool["maxGroupPreparedCapacity"] == 5
        assert "warmPool" not in warm.one(GROUP, SPOT).inputs
        assert "warmPool" not in found.one(GROUP, ON_DEMAND).inputs

    def test_may_be_of_one_kind_alone(self, preview: bool) -> None:
        """A fleet without spot, or for trial without a floor, could not be had."""
        only = deployed(preview, queue={"spot": None})
        assert {each.name for each in only.of_type(GROUP)} == {API, ON_DEMAND}
        only = deployed(preview, queue={"on_demand": None, "spot_without_floor_allowed": True})
        assert {each.name for each in only.of_type(GROUP)} == {API, SPOT}
        (policy,) = [each for each in only.of_type(POLICY) if each.name == SPOT]
        metrics = policy.inputs["targetTrackingConfiguration"]["customizedMetricSpecification"]["metrics"]
        assert "floor" not in {each["id"] for each in metrics}


def test_api_hosts_are_replaced_where_they_do_not_answer(preview: bool) -> None:
    """A process that hangs would be sent requests for ever."""
    group = deployed(preview).one(GROUP, API).inputs
    assert group["healthCheckType"] == "ELB"
    (target,) = deployed(preview).of_type("aws:lb/targetGroup:TargetGroup")
    # Not by whether the database answers: no new host brings that back.
    assert target.inputs["healthCheck"]["path"] == "/health"
    assert group["minElbCapacity"] == group["minSize"]


def test_the_longest_drain_ends_before_the_hook_does() -> None:
    """EC2 Auto Scaling ends a host after a hundred heartbeat timeouts, whatever it says."""
    for seconds in (0, 60, 3_600, 86_400):
        hook: Any = drain_hook(seconds)
        assert seconds < 100 * hook.heartbeat_timeout
        assert 30 <= hook.heartbeat_timeout <= 7_200


def test_no_hosts_at_all_are_refused() -> None:
    """Jobs would be accepted that nobody runs."""

    def program() -> Any:
        return fleet.WorkerGroup("workers", {}).spot_name  # pyright: ignore[reportArgumentType] - what is refused

    with pytest.raises(ValueError, match="on_demand, spot: neither was given"):
        record(program, preview=False)
