"""Fleets in the tests' cluster: one that is only used, and others for tests that break or remove theirs."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest
from deployed_cluster import Ended, Fleet


class RunningCluster(Protocol):
    """What the fixture `cluster` gives: a cluster's kubeconfig, and the registry that its nodes pull from."""

    @property
    def kubeconfig(self) -> Path:
        """A file."""
        ...

    @property
    def registry(self) -> str:
        """Without a scheme."""
        ...


@dataclass(frozen=True)
class FirstUp:
    """A fleet and what its first `make up` said."""

    fleet: Fleet
    ended: Ended


NewFleet = Callable[[], Fleet]


def _fleet(folder: Path, cluster: RunningCluster) -> Fleet:
    return Fleet(folder, cluster.kubeconfig, {"registry": cluster.registry})


@pytest.fixture(scope="session")
def first_up(cluster: RunningCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FirstUp]:
    """A fleet that a real `make up` deployed; it is taken away at the end."""
    made = _fleet(tmp_path_factory.mktemp("fleet"), cluster)
    try:
        ended = made.make("up")
        assert ended.code == 0, ended.output
        yield FirstUp(made, ended)
    finally:
        made.remove()


@pytest.fixture(scope="session")
def fleet(first_up: FirstUp) -> Fleet:
    """The shared fleet."""
    return first_up.fleet


@pytest.fixture
def new_fleet(cluster: RunningCluster, tmp_path: Path) -> Iterator[NewFleet]:
    """Make fleets that are not up yet; they are taken away after the test."""
    made: list[Fleet] = []

    def make() -> Fleet:
        made.append(_fleet(tmp_path, cluster))
        return made[-1]

    yield make
    for each in made:
        each.remove()
