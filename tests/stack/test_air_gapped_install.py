"""From a bundle and a clone to a job's result, on a machine that has no network."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from air_gapped_machine import AirGappedMachine
from deployed_stack import FirstUp
from docker import DockerClient

from engine.bundle.images import NEEDED
from engine.cluster import removal
from engine.cluster.layout import layout
from engine.commands.bundle import write
from engine.commands.session import Session
from engine.paths import Paths

_MAKE_SECONDS = 900
_INSTALL_SECONDS = 900


def _quiet(line: str) -> None:
    """Nobody reads it."""


@pytest.fixture
def machine() -> Iterator[AirGappedMachine]:
    """A machine without a network, removed with everything on it."""
    made = AirGappedMachine()
    yield made
    made.remove()


_FLEET = """
set -e
if getent hosts pypi.org; then exit 1; fi
make up BUNDLE=$bundle
.venv/bin/fleet run examples/jobs/what_a_job_sees.py
make down
test -z "$(docker ps -aq)"
"""
_CLUSTER = """
ended() { status=$?; trap - EXIT; make cluster-down; exit $status; }
trap ended EXIT
set -e
if getent hosts pypi.org; then exit 1; fi
make cluster BUNDLE=$bundle
make cluster-images BUNDLE=$bundle
make up STACK=local-cluster BUNDLE=$bundle
make down STACK=local-cluster
"""


def _installed(
    first_up: FirstUp,
    daemon: DockerClient,
    machine: AirGappedMachine,
    folder: Path,
    record_property: Callable[[str, object], None],
    script: str,
    *,
    cluster: bool,
) -> str:
    """Make a bundle, run the script with it on the machine, and return all that was said."""
    begun = time.monotonic()
    session = Session(Paths(), "local", begun)
    bundle = write(daemon, session, folder, first_up.stack.fleet, list(NEEDED), cluster=cluster, report=_quiet)
    record_property("bundle_megabytes", round(bundle.stat().st_size / 1e6))
    record_property("written_seconds", round(time.monotonic() - begun))
    begun = time.monotonic()
    code, said = machine.run(f"bundle={bundle}\n{script}", _INSTALL_SECONDS)
    record_property("installed_seconds", round(time.monotonic() - begun))
    assert code == 0, said
    return said


@pytest.mark.soak
@pytest.mark.timeout(_MAKE_SECONDS + _INSTALL_SECONDS)
def test_a_fleet_is_installed_from_a_bundle_without_a_network(
    first_up: FirstUp,
    daemon: DockerClient,
    machine: AirGappedMachine,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    """Prevents a bundle that lacks something that our machines happen to have: a cache, an image, a route."""
    said = _installed(first_up, daemon, machine, tmp_path, record_property, _FLEET, cluster=False)
    assert "Its first job" in said
    assert "a way to the network: none" in said
    assert "agent-fleet-local is down." in said


@pytest.mark.soak
@pytest.mark.timeout(_MAKE_SECONDS + _INSTALL_SECONDS)
def test_a_cluster_is_installed_from_a_bundle_without_a_network(
    first_up: FirstUp,
    daemon: DockerClient,
    machine: AirGappedMachine,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    """Prevents nodes that wait for ever for an image, or a cluster whose programs would have to be built."""
    assert not removal.present(layout()), "kubelets of two clusters would end each other's pods: make cluster-down"
    said = _installed(first_up, daemon, machine, tmp_path, record_property, _CLUSTER, cluster=True)
    assert "Its first job" in said
    assert "The cluster is gone" in said
