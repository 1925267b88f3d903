"""Which cluster the commands mean, and what they say where it cannot be reached; no cluster needed."""

import json
import os
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from engine.commands.session import Session
from engine.errors import UserFacingError
from engine.paths import Paths
from engine.stack_state import StackState
from engine.targets import choice, kubeconfig
from engine.targets.cluster_client import ClusterClient
from engine.targets.docker_host import DockerHost
from engine.targets.ec2 import Ec2
from engine.targets.eks import Eks
from engine.targets.existing_cluster import ExistingCluster, builds_images
from engine.targets.kubeconfig import Kubeconfig


def _write(path: Path, server: str = "http://127.0.0.1:1", **user: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "users": [{"name": "u", "user": user or {"token": "secret-token"}}],
        "contexts": [{"name": "one", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "one",
    }
    path.write_text(yaml.safe_dump(document))
    return path


def test_the_kubeconfig_is_the_settings_then_the_environments_then_that_of_make_cluster(tmp_path: Path) -> None:
    """Prevents a deployment to whatever cluster the user worked with last."""
    paths = Paths(tmp_path / "checkout")
    home = {"HOME": str(tmp_path / "home")}
    assert kubeconfig.find({}, paths, home) is None
    usual = _write(tmp_path / "home" / ".kube" / "config")
    assert kubeconfig.find({}, paths, home) == Kubeconfig(usual, None, "kubectl's own default")
    own = _write(kubeconfig.local_cluster(paths))
    assert kubeconfig.find({}, paths, home) == Kubeconfig(own, None, "`make cluster`")
    named = _write(tmp_path / "named")
    environment = home | {"KUBECONFIG": f"{tmp_path / 'missing'}{os.pathsep}{named}"}
    assert kubeconfig.find({}, paths, environment) == Kubeconfig(named, None, "KUBECONFIG")
    _write(paths.root / "in-settings")
    found = kubeconfig.find({"cluster": {"kubeconfig": "in-settings", "context": "one"}}, paths, environment)
    assert found == Kubeconfig(paths.root / "in-settings", "one", "fleet.cluster.kubeconfig")


@pytest.mark.parametrize(
    ("content", "context", "told"),
    [
        (None, None, "which is no file"),
        ("clusters: [", None, "it is not a kubeconfig"),
        ("a text", None, "it is not a kubeconfig"),
        ("contexts: [{name: one}]", "two", "fleet.cluster.context is 'two'"),
    ],
)
def test_a_kubeconfig_that_was_named_and_will_not_do_is_an_error(
    tmp_path: Path, content: str | None, context: str | None, told: str
) -> None:
    """Prevents the next cluster in line from being taken for the one that was named."""
    paths = Paths(tmp_path)
    _write(kubeconfig.local_cluster(paths))
    if content is not None:
        (tmp_path / "named").write_text(content)
    settings = {"cluster": {"kubeconfig": "named", **({"context": context} if context else {})}}
    with pytest.raises(UserFacingError) as refused:
        kubeconfig.find(settings, paths, {})
    assert told in refused.value.message
    assert refused.value.remedy


def test_no_kubeconfig_at_all_names_the_ways_to_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prevents a connection error to localhost, which is what other tools say then."""
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    session = Session(Paths(tmp_path), "local-cluster", 0.0)
    with pytest.raises(UserFacingError, match="no kubeconfig was found") as refused:
        ExistingCluster(session, {}).reach()
    assert "make cluster" in refused.value.remedy
    assert "KUBECONFIG" in refused.value.remedy
    assert ExistingCluster(session, {}).find(session.state) is None


def _refused(path: Path) -> UserFacingError:
    with pytest.raises(UserFacingError) as refused:
        ClusterClient(Kubeconfig(path, None, "KUBECONFIG")).connect()
    assert "secret-token" not in str(refused.value)
    return refused.value


def test_a_cluster_that_does_not_answer_is_said_with_its_kubeconfig(tmp_path: Path) -> None:
    """Prevents a stack trace of the HTTP library."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    path = _write(tmp_path / "config", f"http://127.0.0.1:{port}")
    error = _refused(path)
    assert f"The cluster of {path} (KUBECONFIG) does not answer" in error.message
    assert "make cluster" in error.remedy


def test_a_kubeconfig_whose_log_in_fails_is_said(tmp_path: Path) -> None:
    """Prevents "unreachable" where a program for logging in is missing."""
    login = {"apiVersion": "client.authentication.k8s.io/v1", "command": "no-such-program"}
    error = _refused(_write(tmp_path / "config", exec=login))
    assert "gives no way to a cluster" in error.message
    assert "no-such-program" in error.message


class _Answering(BaseHTTPRequestHandler):
    status = 401

    def do_GET(self) -> None:
        body = json.dumps({"kind": "Status", "message": "Unauthorized"}).encode()
        self.send_response(self.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        del format, args


@pytest.fixture
def refusing() -> Iterator[str]:
    """An API server that knows nobody."""
    with HTTPServer(("127.0.0.1", 0), _Answering) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_refused_credentials_are_told_apart_from_a_cluster_that_is_away(refusing: str, tmp_path: Path) -> None:
    """Prevents a search for a network fault where a token has expired."""
    error = _refused(_write(tmp_path / "config", refusing))
    assert "refuses these credentials (401)" in error.message


def test_a_stack_whose_cluster_is_gone_is_forgotten_only_when_forced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prevents a fleet that runs on unseen because its cluster was away for a minute, and a stack that never goes."""
    monkeypatch.setenv("KUBECONFIG", str(_write(tmp_path / "config")))
    session = Session(Paths(tmp_path), "probe", 0.0)
    target = ExistingCluster(session, {})
    assert target.find(session.state) is None
    checkpoint = session.state.checkpoint
    checkpoint.parent.mkdir(parents=True)
    resources = [{"type": "kubernetes:core/v1:Namespace", "id": "agent-fleet-probe", "custom": True}]
    checkpoint.write_text(json.dumps({"checkpoint": {"latest": {"resources": resources}}}))
    with pytest.raises(UserFacingError, match="cannot be reached") as refused:
        target.find(session.state)
    assert "make down STACK=probe FORCE=yes" in refused.value.remedy
    assert "1 objects of the fleet are still in it" in target.forsake(session.state)


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        ({}, DockerHost),
        ({"architecture": "vm", "target": "docker"}, DockerHost),
        ({"architecture": "cluster"}, ExistingCluster),
        ({"architecture": "cluster", "target": "existing"}, ExistingCluster),
        ({"architecture": "cluster", "target": "eks"}, Eks),
        ({"architecture": "vm", "target": "ec2"}, Ec2),
        ({"architecture": "queue"}, Ec2),
        ({"architecture": "queue", "target": "ec2"}, Ec2),
    ],
)
def test_the_settings_choose_the_target(tmp_path: Path, settings: dict[str, str], kind: type) -> None:
    """Prevents a cluster's fleet from being looked for in Docker."""
    session = Session(Paths(tmp_path), "probe", 0.0)
    assert isinstance(choice.of_settings(session, settings), kind)
    file = tmp_path / "Pulumi.probe.yaml"
    file.write_text(yaml.safe_dump({"config": {"agent-fleet:fleet": settings}}))
    assert isinstance(choice.of_stack(session), kind)


def test_a_stack_is_where_it_was_deployed_last(tmp_path: Path) -> None:
    """Prevents `make down` from looking in Docker after an edit, or without its settings file."""
    paths = Paths(tmp_path)
    session = Session(paths, "probe", 0.0)
    deployed, edited = (
        yaml.safe_dump({"config": {"agent-fleet:fleet": {"architecture": name}}}) for name in ("cluster", "vm")
    )
    paths.fleet.mkdir()
    paths.configuration("probe").write_text(deployed)
    paths.tracked_configuration("probe").write_text(edited)
    assert isinstance(choice.of_stack(session), ExistingCluster)
    paths.tracked_configuration("probe").write_text("config: [")
    paths.configuration("probe").unlink()
    assert isinstance(choice.of_stack(session), DockerHost)
    state = StackState(paths.state, "probe")
    state.checkpoint.parent.mkdir(parents=True)
    resources = [{"type": "kubernetes:core/v1:Namespace"}]
    state.checkpoint.write_text(json.dumps({"checkpoint": {"latest": {"resources": resources}}}))
    assert isinstance(choice.of_stack(session), ExistingCluster)


def test_docker_is_needed_only_where_images_are_built() -> None:
    """Prevents the demand for Docker on a machine that only promotes images."""
    assert builds_images({})
    assert builds_images({"images": {"registry": "127.0.0.1:5001"}})
    assert not builds_images({"images": {"digests": {"runtime": "x"}}})
    assert not builds_images({"images": {"imported": {"runtime": "x"}}})


@pytest.mark.parametrize("kind", [Eks, Ec2])
def test_aws_without_credentials_is_one_error_before_anything_is_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[Eks] | type[Ec2]
) -> None:
    """Prevents a deployment that fails after minutes in the provider, and a state of things that were never made."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    session = Session(Paths(tmp_path / "checkout"), "prod", 0.0)
    with pytest.raises(UserFacingError, match="no AWS credentials on this machine; nothing was changed") as refused:
        kind(session, {}).reach()
    assert "AWS_PROFILE" in refused.value.remedy
    assert not (tmp_path / "checkout").exists()
