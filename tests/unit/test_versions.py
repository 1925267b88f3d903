"""The versions that a cluster may be deployed with."""

from datetime import date, timedelta

import pytest
from agent_fleet.aws.cluster_addons import ALL_ADDONS
from agent_fleet.versions import (
    ADDON_VERSIONS,
    DEPLOYABLE_VERSIONS,
    END_OF_STANDARD_SUPPORT,
    addon_versions,
    version_problem,
)


@pytest.mark.parametrize("version", DEPLOYABLE_VERSIONS)
def test_a_deployable_version_has_every_add_on_and_an_end(version: str) -> None:
    """A cluster would be declared without a version of something."""
    assert set(addon_versions(version)) == {each.name for each in ALL_ADDONS}
    assert all(each.startswith("v") and "-eksbuild." in each for each in addon_versions(version).values())
    assert version in END_OF_STANDARD_SUPPORT


@pytest.mark.parametrize("version", DEPLOYABLE_VERSIONS)
def test_kube_proxy_is_of_the_clusters_own_minor_version(version: str) -> None:
    """A newer one than the API server is not supported by Kubernetes."""
    assert ADDON_VERSIONS[version]["kube-proxy"].startswith(f"v{version}.")


def test_a_version_is_allowed_up_to_the_day_before_its_end() -> None:
    """AWS bills extended support from the beginning of that day."""
    end = END_OF_STANDARD_SUPPORT["1.34"]
    assert version_problem("1.34", end - timedelta(days=1)) is None
    problem = version_problem("1.34", end)
    assert problem is not None
    assert "left EKS's standard support on 2026-12-02" in problem
    assert "take one of 1.35, 1.36" in problem


@pytest.mark.parametrize("version", ["1.29", "1.33", "2.0", "", "latest"])
def test_a_version_that_cannot_be_deployed_is_refused_with_what_can(version: str) -> None:
    """AWS would refuse it twenty minutes later."""
    problem = version_problem(version, date(2026, 11, 21))
    assert problem is not None
    assert "take one of 1.34, 1.35, 1.36" in problem
    with pytest.raises(ValueError, match="this release deploys"):
        addon_versions(version)


def test_a_release_that_is_too_old_for_every_version_says_so() -> None:
    """It would advise versions that are out of support."""
    problem = version_problem("1.36", date(2030, 1, 1))
    assert problem is not None
    assert "upgrade agent-fleet" in problem


def test_later_versions_end_later() -> None:
    """A date was copied into the wrong line."""
    ends = [END_OF_STANDARD_SUPPORT[each] for each in sorted(END_OF_STANDARD_SUPPORT)]
    assert ends == sorted(ends)
