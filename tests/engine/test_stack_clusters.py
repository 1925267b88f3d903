"""Whose a fleet in a cluster is, and which cluster a stack is in, against a real API server."""

import dataclasses
import json
import stat
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from control_plane import ControlPlane

from engine.commands.down import down
from engine.commands.session import Session
from engine.commands.status import status
from engine.errors import UserFacingError
from engine.paths import CHECKOUT, Paths
from engine.targets import cluster_identity
from engine.targets.existing_cluster import ExistingCluster

_SETTINGS = {"architecture": "cluster", "target": "existing", "images": {"imported": {"runtime": "x"}}}


@pytest.fixture
def session(control_plane: ControlPlane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Session:
    """A checkout with settings for the control plane, and without a state."""
    monkeypatch.setenv("KUBECONFIG", str(control_plane.kubeconfig))
    paths = Paths(tmp_path / "checkout")
    made = Session(paths, f"probe-{uuid.uuid4().hex[:8]}", 0.0)
    paths.fleet.mkdir(parents=True)
    (paths.root / "Pulumi.yaml").write_text((CHECKOUT / "Pulumi.yaml").read_text())
    settings = yaml.safe_dump({"config": {"agent-fleet:fleet": _SETTINGS}})
    paths.tracked_configuration(made.stack).write_text(settings)
    return made


def _begin(session: Session) -> None:
    """A state as the first moment of a `make up` leaves it, with its passphrase."""
    checkpoint = session.state.checkpoint
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    checkpoint.write_text(json.dumps({"checkpoint": {"latest": {"resources": []}}}))
    session.paths.passphrase.write_text("secret")


def _deployed(session: Session) -> Path:
    """The stack in the control plane's cluster; the record of it."""
    target = ExistingCluster(session, _SETTINGS)
    target.reach()
    target.occupy()
    _begin(session)
    return session.paths.cluster_identity(session.stack)


def _moved(session: Session) -> cluster_identity.ClusterIdentity:
    """The stack in a cluster that is not the control plane's."""
    path = _deployed(session)
    known = cluster_identity.recorded(path)
    assert known is not None
    other = dataclasses.replace(known, uid="uid-of-another", server="https://other.invalid", context="theirs")
    cluster_identity.record(path, other)
    return known


def test_the_cluster_of_a_stack_is_on_record_for_its_user_alone(session: Session, control_plane: ControlPlane) -> None:
    """Prevents a record that does not name the cluster, or that others can change."""
    path = _deployed(session)
    known = cluster_identity.recorded(path)
    assert known is not None
    assert known.uid == control_plane.get("/api/v1/namespaces/kube-system")["metadata"]["uid"]
    assert known.kubeconfig == str(control_plane.kubeconfig.resolve())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    ExistingCluster(session, _SETTINGS).reach()
    assert ExistingCluster(session, _SETTINGS).find(session.state) is not None


def test_every_command_refuses_another_cluster_than_the_stacks(session: Session) -> None:
    """Prevents a fleet that runs on unseen, and a second one, after KUBECONFIG was changed."""
    here = _moved(session)
    target = ExistingCluster(session, _SETTINGS)
    commands = (
        target.reach,
        lambda: target.engine("preview"),
        lambda: target.engine("shell"),
        lambda: status(session),
        lambda: down(session),
    )
    for command in commands:
        with pytest.raises(UserFacingError, match="was deployed to another cluster") as refused:
            command()
        for words in ("https://other.invalid", "context theirs", "uid-of-another", here.server, here.uid):
            assert words in refused.value.message
        assert "KUBECONFIG" in refused.value.remedy
        assert f"make down STACK={session.stack} FORCE=yes" in refused.value.remedy
    assert session.state.exists()
    assert session.paths.passphrase.exists()
    assert session.paths.cluster_identity(session.stack).exists()


def test_a_stack_whose_cluster_is_not_this_one_is_forgotten_when_forced(
    session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    """Prevents a stack that can never go, because its cluster is gone and another has its place."""
    _moved(session)
    down(session, force=True)
    assert "was not reached: the stack is forgotten" in capsys.readouterr().out
    assert not session.state.exists()
    assert not session.paths.passphrase.exists()
    assert not session.paths.cluster_identity(session.stack).exists()


def test_a_record_without_a_state_binds_nobody(session: Session) -> None:
    """Prevents a refusal after a run that was cut off before it declared anything."""
    _moved(session)
    session.state.checkpoint.unlink()
    target = ExistingCluster(session, _SETTINGS)
    assert target.find(session.state) is not None
    target.reach()
    target.occupy()
    known = cluster_identity.recorded(session.paths.cluster_identity(session.stack))
    assert known is not None
    assert known.uid != "uid-of-another"


def test_a_record_that_cannot_be_read_is_an_error_with_its_path(session: Session) -> None:
    """Prevents a damaged record from being taken for none."""
    path = _deployed(session)
    path.write_text("{")
    with pytest.raises(UserFacingError, match="cannot be read") as refused:
        ExistingCluster(session, _SETTINGS).reach()
    assert str(path) in refused.value.message


def test_a_cluster_that_was_removed_with_everything_in_it_is_forgotten(session: Session) -> None:
    """Prevents `make cluster-down`, `make cluster`, `make up` from ending in a refusal."""
    path = _deployed(session)
    known = cluster_identity.recorded(path)
    assert known is not None
    cluster_identity.forget_cluster(session.paths, session.paths.root / "another")
    assert path.exists()
    cluster_identity.forget_cluster(session.paths, Path(known.kubeconfig))
    assert not path.exists()


@pytest.fixture
def fleet_path(session: Session, control_plane: ControlPlane) -> Iterator[str]:
    """A Deployment of a fleet of the session's name, none of whose pods is ready; its path."""
    labels = {"agent-fleet.fleet": session.fleet}
    namespace = f"/api/v1/namespaces/{session.fleet}"
    control_plane.create("/api/v1/namespaces", {"metadata": {"name": session.fleet, "labels": labels}})
    pods = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "api", "image": "example.invalid/one"}]}}
    path = f"/apis/apps/v1/namespaces/{session.fleet}/deployments"
    body = {
        "metadata": {"name": "api", "labels": labels},
        "spec": {"selector": {"matchLabels": labels}, "template": pods},
    }
    control_plane.create(path, body)
    yield f"{path}/api"
    if control_plane.get(namespace) is not None:
        control_plane.delete(namespace)


def test_a_fleet_of_another_checkout_is_left_alone_though_no_pod_is_ready(
    session: Session, control_plane: ControlPlane, fleet_path: str
) -> None:
    """Prevents the removal of a fleet whose node has just been started again, as the remains of a killed run."""
    assert not control_plane.get(fleet_path)["status"].get("readyReplicas")
    place = ExistingCluster(session, _SETTINGS).reach()
    for refusing in (lambda: place.refuse_foreign_fleet(session.state), lambda: down(session)):
        with pytest.raises(UserFacingError, match="this checkout did not deploy it") as refused:
            refusing()
        assert f"{session.fleet}/api" in refused.value.message
        assert f"make down STACK={session.stack} FORCE=yes" in refused.value.remedy
    assert control_plane.get(fleet_path) is not None
    down(session, force=True)
    assert control_plane.get(fleet_path) is None


def test_what_a_killed_run_of_this_checkout_left_is_removed(
    session: Session, control_plane: ControlPlane, fleet_path: str
) -> None:
    """Prevents the remains of an own run from being taken for another's: the state began before they did."""
    _begin(session)
    place = ExistingCluster(session, _SETTINGS).reach()
    place.refuse_foreign_fleet(session.state)
    place.remove_orphans(session.state)
    assert control_plane.get(fleet_path) is None


def test_a_removal_that_is_cut_off_keeps_the_state(
    session: Session, control_plane: ControlPlane, fleet_path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prevents the second `make down` from taking the rest of the first for another checkout's fleet."""
    _deployed(session)
    with monkeypatch.context() as cut:
        cut.setattr("engine.targets.cluster_place.ClusterPlace.remove_all", _interrupted)
        with pytest.raises(KeyboardInterrupt):
            down(session)
    assert session.state.exists()
    assert session.paths.cluster_identity(session.stack).exists()
    down(session)
    assert control_plane.get(fleet_path) is None
    assert not session.state.exists()
    assert not session.paths.cluster_identity(session.stack).exists()


def _interrupted(place: object) -> int:
    del place
    raise KeyboardInterrupt
