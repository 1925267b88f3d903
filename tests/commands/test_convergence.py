"""What an interrupted run left is put right, and what holds jobs is kept."""

import io
import json
import tarfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import docker
import pytest
from docker.errors import DockerException
from stack_states import state_of

from engine import convergence
from engine.errors import UserFacingError
from engine.stack_state import CONTAINER, NETWORK, VOLUME, StackState
from engine.targets import docker_objects
from engine.targets.docker_objects import FleetObjects


def _silent(text: str) -> None:
    del text


@pytest.mark.parametrize("capitals", [False, True])
def test_a_checkpoint_is_read_as_the_engine_and_as_an_import_writes_it(tmp_path: Path, capitals: bool) -> None:
    """Prevents all containers from passing for orphans after pending operations were cleared."""
    state = state_of(tmp_path, [{"type": CONTAINER, "id": "abc", "custom": True}], capitals=capitals)
    assert state.identities(CONTAINER) == {"abc"}
    assert state.readable()


def test_a_broken_checkpoint_holds_nothing_and_says_so(tmp_path: Path) -> None:
    """Prevents a stack trace where a full disk cut the state off."""
    state = state_of(tmp_path, [])
    state.checkpoint.write_text('{"version": 3, "checkp')
    assert not state.readable()
    assert state.resources() == []


def test_a_damaged_checkpoint_is_replaced_by_the_one_before(tmp_path: Path) -> None:
    """Prevents a whole fleet from being removed as orphans because its state cannot be read."""
    state = state_of(tmp_path, [{"type": CONTAINER, "id": "abc", "custom": True}])
    assert not convergence.mend_checkpoint(state, _silent)
    state.backup.write_text(state.checkpoint.read_text())
    state.checkpoint.write_text('{"version": 3, "checkp')
    said: list[str] = []
    assert convergence.mend_checkpoint(state, said.append)
    assert state.identities(CONTAINER) == {"abc"}
    assert said
    state.checkpoint.write_text("")
    state.backup.write_text("")
    with pytest.raises(UserFacingError, match="is damaged"):
        convergence.mend_checkpoint(state, _silent)
    assert not convergence.mend_checkpoint(StackState(tmp_path, "other"), _silent)


def test_resources_outside_docker_are_told_apart(tmp_path: Path) -> None:
    """Prevents `make down` from forgetting a cloud's resources because the containers could be removed by label."""
    own = [{"type": CONTAINER, "custom": True}, {"type": "pulumi:providers:random", "custom": True}]
    component = {"type": "agent-fleet:index:Database", "custom": False}
    assert state_of(tmp_path, [*own, component]).foreign_types({"docker"}) == set()
    cloud = {"type": "aws:ecr/repository:Repository", "custom": True}
    assert state_of(tmp_path, [*own, cloud]).foreign_types({"docker"}) == {"aws:ecr/repository:Repository"}


@pytest.fixture(scope="module")
def client() -> docker.DockerClient:
    """The daemon, if there is one."""
    try:
        return docker.from_env()
    except DockerException as error:
        pytest.skip(f"no Docker daemon answers: {error}")


class _Fleet:
    """Real objects with a fleet's label; the containers are made and never started."""

    def __init__(self, client: docker.DockerClient) -> None:
        self.client = client
        self.name = f"probe-{uuid.uuid4().hex[:10]}"
        self.objects = FleetObjects(client, self.name)
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            tar.addfile(tarfile.TarInfo("empty"))
        client.api.import_image_from_data(archive.getvalue(), repository=self.name, tag="1")

    def labels(self, role: str) -> dict[str, str]:
        return {docker_objects.FLEET_LABEL: self.name, docker_objects.ROLE_LABEL: role}

    def container(self, role: str, **options: Any) -> Any:
        return self.client.containers.create(
            f"{self.name}:1", "nothing", name=f"{self.name}-{role}", labels=self.labels(role), **options
        )

    def network(self) -> Any:
        return self.client.networks.create(f"{self.name}-backend", labels=self.labels("network"))

    def volume(self, name: str, role: str = "volume") -> Any:
        return self.client.volumes.create(f"{self.name}-{name}", labels=self.labels(role))

    def names(self) -> set[str]:
        found = [*self.objects.containers(), *self.objects.networks(), *self.objects.volumes()]
        return {item.name.removeprefix(f"{self.name}-") for item in found}

    def remove(self) -> None:
        for container in self.objects.containers():
            self.objects.remove_container(container)
        for network in self.objects.networks():
            self.objects.remove_network(network)
        for volume in self.objects.volumes():
            self.objects.remove_volume(volume)
        self.client.images.remove(f"{self.name}:1", force=True)


@pytest.fixture
def fleet(client: docker.DockerClient) -> Iterator[_Fleet]:
    """A fleet's objects, removed at the end."""
    made = _Fleet(client)
    yield made
    made.remove()


def test_orphans_go_and_what_the_state_knows_stays(fleet: _Fleet, tmp_path: Path) -> None:
    """Prevents name conflicts after a kill -9, and the removal of a fleet that is in order."""
    known = fleet.container("api")
    network, volume = fleet.network(), fleet.volume("known")
    fleet.container("worker")
    fleet.volume("run")
    resources = [
        {"type": CONTAINER, "id": known.id, "custom": True},
        {"type": NETWORK, "id": network.id, "custom": True},
        {"type": VOLUME, "id": volume.name, "custom": True},
    ]
    docker_objects.remove_orphans(fleet.objects, state_of(tmp_path, resources), _silent)
    assert fleet.names() == {"api", "backend", "known"}
    docker_objects.remove_orphans(fleet.objects, state_of(tmp_path, []), _silent)
    assert fleet.names() == set()


def test_no_volume_with_a_database_or_a_workspace_is_removed_by_up(fleet: _Fleet, tmp_path: Path) -> None:
    """Prevents the loss of accepted jobs and of tenants' work: a state may be lost, and never knew the workspaces."""
    fleet.volume("database")
    fleet.volume("workspace-default.app", "workspace")
    said: list[str] = []
    docker_objects.remove_orphans(fleet.objects, state_of(tmp_path, []), said.append)
    assert fleet.names() == {"database", "workspace-default.app"}
    assert "goes on with what it holds" in said[0]


def test_an_orphaned_network_goes_with_containers_still_on_it(fleet: _Fleet, tmp_path: Path) -> None:
    """Prevents "network has active endpoints" for a container that somebody else attached."""
    network = fleet.network()
    container = fleet.container("api", network=f"{fleet.name}-backend")
    resources = [{"type": CONTAINER, "id": container.id, "custom": True}]
    docker_objects.remove_orphans(fleet.objects, state_of(tmp_path, resources), _silent)
    assert network.id not in {found.id for found in fleet.objects.networks()}


def test_sandboxes_are_left_to_a_sandboxd_that_runs() -> None:
    """Prevents `make up` from killing the jobs that run while a setting is changed."""
    sandboxd = Mock(id="d", status="running", labels={docker_objects.ROLE_LABEL: "sandboxd"})
    sandbox = Mock(id="s", status="running", labels={docker_objects.ROLE_LABEL: "sandbox"})
    objects, state = Mock(), Mock()
    objects.containers.return_value, objects.networks.return_value = [sandboxd, sandbox], []
    objects.volumes.return_value = []
    state.identities.return_value = {"d"}
    docker_objects.remove_orphans(objects, state, _silent)
    objects.remove_container.assert_not_called()
    sandboxd.status = "exited"
    docker_objects.remove_orphans(objects, state, _silent)
    objects.remove_container.assert_called_once_with(sandbox)


def _container(name: str, status: str, role: str) -> Mock:
    container = Mock(status=status, labels={docker_objects.ROLE_LABEL: role})
    container.name = name
    return container


@pytest.mark.parametrize("status", ["running", "restarting", "paused"])
def test_down_leaves_a_fleet_alone_that_another_checkout_deployed(tmp_path: Path, status: str) -> None:
    """Prevents the loss of a working fleet's jobs by a `make down` in a second clone."""
    objects = Mock()
    objects.containers.return_value = [
        _container("probe-database", status, "database"),
        _container("probe-sandbox", "running", "sandbox"),
    ]
    with pytest.raises(UserFacingError, match=r"did not deploy it: probe-database\.") as refused:
        docker_objects.refuse_foreign_removal(objects, StackState(tmp_path, "probe"), "agent-fleet-probe")
    assert "make down STACK=probe FORCE=yes" in refused.value.remedy
    docker_objects.refuse_foreign_removal(objects, state_of(tmp_path, []), "agent-fleet-probe")


def test_down_removes_what_a_killed_down_left(tmp_path: Path) -> None:
    """Prevents remains that only FORCE removes."""
    objects = Mock()
    objects.containers.return_value = [
        _container("probe-database", "exited", "database"),
        _container("probe-api", "created", "api"),
        _container("probe-sandbox", "running", "sandbox"),
    ]
    docker_objects.refuse_foreign_removal(objects, StackState(tmp_path, "probe"), "agent-fleet-probe")


def test_what_is_gone_or_stopped_is_noticed(fleet: _Fleet, tmp_path: Path) -> None:
    """Prevents "unchanged" from the engine while a container was removed by hand."""
    network = fleet.network()
    resources = [{"type": NETWORK, "id": network.id, "custom": True}]
    assert not docker_objects.drifted(fleet.objects, state_of(tmp_path, resources))
    stopped = fleet.container("api")
    resources.append({"type": CONTAINER, "id": stopped.id, "custom": True})
    assert docker_objects.drifted(fleet.objects, state_of(tmp_path, resources)), "it does not run"
    gone = [{"type": VOLUME, "id": f"{fleet.name}-gone", "custom": True}]
    assert docker_objects.drifted(fleet.objects, state_of(tmp_path, gone))


def test_pending_operations_are_forgotten_and_nothing_else(tmp_path: Path) -> None:
    """Prevents the engine's refusal to go on, and the loss of resources while it is cleared."""
    urn = "urn:pulumi:probe::agent-fleet::docker:index/container:Container::api"
    pending = [{"resource": {"urn": urn}, "type": "creating"}]
    state = state_of(tmp_path, [], pending_operations=pending)
    engine, said = Mock(), list[str]()
    engine.checked.return_value = json.dumps({"deployment": {"resources": [1, 2], "pending_operations": pending}})
    assert convergence.clear_pending(engine, state, said.append)
    assert json.loads(engine.checked.call_args.kwargs["given"])["deployment"] == {
        "resources": [1, 2],
        "pending_operations": [],
    }
    assert "api" in said[0]
    assert not convergence.clear_pending(engine, state_of(tmp_path, []), said.append)
