"""How the settings of a cluster are read, what they mean by default and where they may stand."""

from datetime import date
from typing import Any

import pytest
from cluster_stacks import DIGESTS, eks, existing, pools
from stack_settings import TODAY, read

from settings.capacity import pools_quota, sandboxes_quota
from settings.placeholders import placeholders
from settings.problems import SettingsError
from settings.relations import notices

POOL = "teams.alpha.pools.testing"


def refused(given: dict[str, Any], **options: Any) -> tuple[str, ...]:
    """The problems of settings that must not be accepted."""
    with pytest.raises(SettingsError) as error:
        read(given, **options)
    return error.value.problems


def one_pool(**given: Any) -> dict[str, Any]:
    """A team with one pool that has these settings."""
    return {"alpha": pools("testing", **given)}


def big_pools(**given: Any) -> dict[str, Any]:
    """A team with four default pools."""
    return {"alpha": {**pools("implementation", "testing", "security", "documentation"), **given}}


@pytest.mark.parametrize("given", [existing(), eks()], ids=["existing", "eks"])
def test_the_least_settings_are_accepted(given: dict[str, Any]) -> None:
    """The refusals above would prove nothing."""
    read(given)


def test_all_contradictions_are_shown_at_once() -> None:
    """A user would mend one for each run."""
    found = refused(
        eks(
            cluster={"version": "1.30"},
            aws={"cidr": "172.20.0.0/16", "administrators": []},
            teams=one_pool(minimum=11),
        )
    )
    assert [each.split(":")[0] for each in found] == [
        f"fleet.{POOL}.minimum",
        "fleet.aws.service_cidr",
        "fleet.aws.administrators",
        "fleet.cluster.version",
    ]


@pytest.mark.parametrize(
    ("given", "key", "words"),
    [
        ({"architecture": "vm", "teams": {}}, "teams", "only for `architecture: cluster`"),
        (existing(workers={"count": 2}), "workers.count", "fleet.teams.<team>.pools.<agent_type>.maximum"),
        (existing(sandbox={"memory_mebibytes": 1}), "sandbox.memory_mebibytes", "fleet.agent_types"),
        (existing(api={"port": 1}), "api.port", "fleet.exposure"),
        (existing(aws={}), "aws", "`target: eks`"),
        (eks(cluster={"kubeconfig": "k"}), "cluster.kubeconfig", "`target: existing`"),
        ({"architecture": "vm", "images": {"registry": "a.test"}}, "images.registry", "remove it"),
    ],
)
def test_what_means_nothing_in_a_stack_is_refused_there(given: dict[str, Any], key: str, words: str) -> None:
    """A setting that nothing reads promises what is not done."""
    (problem,) = refused(given)
    assert problem.startswith(f"fleet.{key}: given, but it is only for ")
    assert words in problem


@pytest.mark.parametrize("name", ["Alpha", "a_b", "-a", "a-", "1a", "a" * 28, ""])
def test_a_name_that_kubernetes_cannot_have_is_refused(name: str) -> None:
    """The API server would refuse the namespace halfway through an update."""
    (problem,) = refused(existing(teams={"alpha": None, name: pools("testing")}))
    assert problem.startswith(f"fleet.teams.{name}: the name")
    assert "small letters" in problem


def test_a_teams_name_too_long_for_its_namespaces_is_refused_with_the_length_that_fits() -> None:
    """`<fleet>-<team>-sandboxes` is a namespace, where 63 characters are the most."""
    team, stack = "a" * 27, "s" * 14
    (problem,) = refused(existing(teams={"alpha": None, team: pools("testing")}), stack=stack)
    assert f"agent-fleet-{stack}-{team}-sandboxes" in problem
    assert "up to 26" in problem
    read(existing(teams={"alpha": None, "a" * 26: pools("testing")}), stack=stack)


def test_a_team_whose_namespace_is_anothers_sandboxes_is_refused() -> None:
    """A team's own programs and another's strangers would share a namespace."""
    given = existing(teams={"alpha-sandboxes": pools("testing")})
    (problem,) = refused(given)
    assert problem.startswith("fleet.teams.alpha-sandboxes: ")


def test_a_wrong_value_in_a_team_hides_no_other_fault_and_causes_none() -> None:
    """Checks between keys would judge a default in the place of what the user wrote."""
    found = refused(existing(teams=one_pool(maximum="many", minimum=50), workspace={"storage_gibibytes": 0}))
    assert [each.split(":")[0] for each in found] == [f"fleet.{POOL}.maximum", "fleet.workspace.storage_gibibytes"]


def test_a_misspelt_key_in_a_pool_is_answered_with_the_nearest() -> None:
    """A key that is ignored leaves its default in force."""
    (problem,) = refused(existing(teams=one_pool(minimun=1)))
    assert f"Did you mean fleet.{POOL}.minimum?" in problem


def test_secret_values_of_a_cluster_are_never_shown() -> None:
    """An error would print what was encrypted."""
    given = existing(teams=one_pool(minimum=777, maximum=555, sandboxes=9_000), limits={"max_concurrent_agents": 600})
    (problem,) = refused(given, secret=True)
    assert problem.startswith(f"fleet.{POOL}.minimum: does not agree with fleet.{POOL}.maximum")
    assert "777" not in problem


def test_a_limit_range_the_wrong_way_round_is_refused() -> None:
    """The API server would refuse every container in the namespace."""
    found = refused(existing(container_limits={"minimum_cpus": 3, "maximum_memory_mebibytes": 100}))
    assert any(each.startswith("fleet.container_limits.minimum_cpus: given 3.0, above") for each in found)
    assert any(each.startswith("fleet.container_limits.minimum_memory_mebibytes: given 128") for each in found)


def test_a_version_is_refused_from_the_day_that_its_support_ends() -> None:
    """The same file is right today and wrong in two weeks."""
    given = eks(cluster={"version": "1.34"})
    read(given, today=date(2026, 12, 1))
    assert "2026-12-02" in refused(given, today=date(2026, 12, 2))[0]


def test_a_version_whose_support_ends_soon_is_said_but_not_refused() -> None:
    """An upgrade takes planning."""
    given = read(eks(cluster={"version": "1.34"}), today=date(2026, 11, 21))
    assert any("in 11 days" in notice for notice in notices(given, date(2026, 11, 21)))
    assert notices(given, date(2026, 11, 1)) == ()


def test_what_opens_a_cluster_is_said() -> None:
    """Keys in the clear, and sandboxes that reach the network, would surprise."""
    given = existing(exposure={"kind": "node_port", "node_port": 30_080}, cluster={"network_canary": "report"})
    text = " ".join(notices(read(given), TODAY))
    assert "plain HTTP" in text
    assert "network_canary" in text


def test_the_defaults_are_the_documents_figures_of_a_cluster() -> None:
    """H3, H4, H6, H7, H8."""
    given = read(existing(teams={"alpha": {"pools": {"testing": None, "implementation": {}}}}))
    pool, kind = given.teams["alpha"].pools["implementation"], given.agent_types["implementation"]
    assert (pool.minimum, pool.maximum, pool.cpu_percent, pool.memory_percent) == (2, 10, 70, 80)
    assert (kind.requests.cpus, kind.requests.memory_mebibytes) == (0.25, 256)
    assert (kind.limits.cpus, kind.limits.memory_mebibytes) == (0.5, 512)
    assert given.workspace.storage_gibibytes == 100
    assert set(given.agent_types) == {"implementation", "testing", "security", "documentation"}
    testing = given.agent_types["testing"]
    assert (testing.requests, testing.limits) == (kind.requests, kind.limits)
    assert (kind.sandbox.cpus, kind.sandbox.memory_mebibytes) == (0.5, 512)
    assert (testing.sandbox.cpus, testing.sandbox.memory_mebibytes, testing.sandbox.scratch_mebibytes) == (
        0.25,
        256,
        128,
    )
    quota = pools_quota(given, given.teams["alpha"])
    assert (quota.requests_cpus, quota.requests_memory_mebibytes) == (4, 8_192)
    assert (quota.limits_cpus, quota.limits_memory_mebibytes) == (8, 16_384)
    assert (quota.persistent_volume_claims, quota.services) == (10, 5)


def test_a_quota_that_is_not_given_grows_with_its_pools() -> None:
    """H8 holds for one pool; four types of ten agents do not fit in it."""
    given = read(existing(teams=big_pools()))
    quota = pools_quota(given, given.teams["alpha"])
    # 13 pods of each of the four types while they are updated, of 500m and 512Mi.
    assert quota.limits_cpus == 13 * 4 * 0.5
    assert quota.limits_memory_mebibytes == 13 * 4 * 512
    assert quota.persistent_volume_claims == 10
    assert sandboxes_quota(given, given.teams["alpha"]).services == 0


def test_a_quota_that_is_not_given_holds_what_routing_adds() -> None:
    """The API server would refuse the Service of the waypoint, or its pod, after everything else was made."""
    given = read(existing(teams=big_pools(), platform={"istio": "exists", "gateway_api": "exists"}))
    without = pools_quota(read(existing(teams=big_pools())), given.teams["alpha"])
    quota = pools_quota(given, given.teams["alpha"])
    assert quota.services == 4 + 2
    assert quota.limits_memory_mebibytes > without.limits_memory_mebibytes


def test_an_agent_type_of_ones_own_starts_from_the_documents_figures() -> None:
    """A partial section would take the other figures from nowhere."""
    kinds = read(
        existing(agent_types={"review": {"limits": {"cpus": 1}}, "testing": {"sandbox": {"cpus": 1}}})
    ).agent_types
    assert kinds["review"].limits.memory_mebibytes == 512
    assert kinds["testing"].sandbox.memory_mebibytes == 256
    assert kinds["testing"].sandbox.cpus == 1


def test_the_target_of_a_cluster_is_an_existing_one_unless_another_is_given() -> None:
    """`docker` is the target of vm."""
    given = existing()
    del given["target"]
    assert read(given).target == "existing"


def test_what_is_only_an_example_is_found_wherever_it_stands() -> None:
    """An update would try to pull an image that nobody has, or give a stranger's account the cluster."""
    zeros = {name: f"registry.test/{name}@sha256:{'0' * 64}" for name in DIGESTS}
    given = eks(
        images={"digests": zeros},
        aws={"administrators": ["arn:aws:iam::123456789012:role/a"]},
        exposure={"kind": "ingress", "host": "fleet.example.com", "cluster_issuer": "a", "client_namespaces": ["a"]},
    )
    keys = [each.key for each in placeholders(read(given))]
    assert keys == [
        *(f"fleet.images.digests.{name}" for name in DIGESTS),
        "fleet.exposure.host",
        "fleet.aws.administrators[0]",
    ]
    assert placeholders(read(eks())) == []
