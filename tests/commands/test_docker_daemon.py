"""A daemon for the fleet: which one, whether it will do, and how it is installed and started."""

import hashlib
import json
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from engine import docker_daemon, docker_install
from engine.docker_daemon import Action, Answer, Situation, check_space, check_version, decide
from engine.docker_endpoint import DEFAULT, endpoint
from engine.errors import UserFacingError


def _found(**changes: Any) -> Situation:
    facts: dict[str, Any] = {
        "endpoint": DEFAULT,
        "answer": Answer.ABSENT,
        "is_root": True,
        "debian": True,
        "dockerd_installed": False,
    }
    return Situation(**(facts | changes))


@pytest.mark.parametrize(
    ("situation", "action"),
    [
        (_found(answer=Answer.RUNNING, is_root=False, debian=False), Action.USE),
        (_found(), Action.INSTALL),
        (_found(dockerd_installed=True), Action.START),
        (_found(dockerd_installed=True, debian=False), Action.START),
    ],
)
def test_a_running_daemon_is_used_and_root_gets_one(situation: Situation, action: Action) -> None:
    """Prevents a second daemon beside a running one, and a dead end where root could have one."""
    assert decide(situation) is action


@pytest.mark.parametrize(
    ("situation", "told"),
    [
        (_found(answer=Answer.DENIED, is_root=False), "usermod -aG docker"),
        (_found(is_root=False), "sudo apt-get install docker.io"),
        (_found(is_root=False, dockerd_installed=True), "systemctl start docker"),
        (_found(debian=False), "docs.docker.com"),
        (_found(endpoint="unix:///elsewhere.sock"), "unset DOCKER_HOST"),
    ],
)
def test_where_no_daemon_can_be_had_one_message_says_what_to_do(situation: Situation, told: str) -> None:
    """Prevents a stack trace of the Docker client, and an installation that nobody asked for."""
    with pytest.raises(UserFacingError) as raised:
        decide(situation)
    assert told in raised.value.remedy


def test_the_endpoint_is_what_dockers_own_command_line_would_take(tmp_path: Path) -> None:
    """Prevents deploying to another daemon than `docker ps` shows."""
    config = tmp_path / "config"
    name = "rootful"
    meta = config / "contexts" / "meta" / hashlib.sha256(name.encode()).hexdigest()
    meta.mkdir(parents=True)
    (meta / "meta.json").write_text(json.dumps({"Endpoints": {"docker": {"Host": "unix:///other.sock"}}}))
    base = {"DOCKER_CONFIG": str(config), "HOME": str(tmp_path)}
    assert endpoint(base) == DEFAULT
    assert endpoint(base | {"DOCKER_CONTEXT": name}) == "unix:///other.sock"
    (config / "config.json").write_text(json.dumps({"currentContext": name}))
    assert endpoint(base) == "unix:///other.sock"
    assert endpoint(base | {"DOCKER_CONTEXT": "default"}) == DEFAULT
    assert endpoint(base | {"DOCKER_HOST": "unix:///third.sock"}) == "unix:///third.sock"
    (config / "config.json").write_text("{broken")
    assert endpoint(base) == DEFAULT


def test_a_daemon_on_another_machine_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prevents a fleet whose API listens on a machine that the user does not look at."""
    monkeypatch.setenv("DOCKER_HOST", "tcp://192.0.2.1:2376")
    with pytest.raises(UserFacingError, match="another machine"):
        docker_daemon.situation()


def test_a_socket_file_without_a_daemon_counts_as_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prevents the socket that a killed daemon left from passing for a running one."""
    path = tmp_path / "docker.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
    assert docker_daemon.situation().answer is Answer.ABSENT


@pytest.mark.parametrize(
    ("api", "accepted"), [("1.41", True), ("1.50", True), ("2.0", True), ("1.40", False), ("", False)]
)
def test_an_old_docker_is_refused_with_its_version(api: str, accepted: bool) -> None:
    """Prevents a deployment that fails half-way on an option that the daemon does not know."""
    version = {"ApiVersion": api or "0.0", "Version": "19.03.15"}
    if accepted:
        check_version(version)
        return
    with pytest.raises(UserFacingError, match=r"19\.03\.15 .* needs API 1\.41 \(Docker 20\.10\)"):
        check_version(version)


def test_a_nearly_full_disk_is_refused_before_anything_is_built(tmp_path: Path) -> None:
    """Prevents "no space left on device" in the middle of a build."""
    with pytest.raises(UserFacingError, match=r"2\.0 GB free .* needs 5\.0 GB") as raised:
        check_space(tmp_path, 5 * 1024**3, lambda _: 2 * 1024**3)
    assert "docker system df" in raised.value.remedy
    check_space(tmp_path, 5 * 1024**3, lambda _: 6 * 1024**3)
    check_space(tmp_path / "in a machine of its own", 5 * 1024**3)


def _programs(folder: Path, **scripts: str) -> None:
    folder.mkdir(exist_ok=True)
    for name, script in scripts.items():
        path = folder / name.replace("_", "-")
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without systemd, whose apt-get, dpkg and dockerd only write down that they were called."""
    calls = tmp_path / "calls"
    record = f'echo "$(basename "$0") $*" >> {calls}'
    _programs(tmp_path / "bin", apt_get=record, dpkg=record, dockerd=f"{record}\n: > {tmp_path}/answers")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setattr(docker_install, "runs_systemd", lambda: False)
    monkeypatch.setattr(docker_install, "DAEMON_PID_FILE", tmp_path / "docker.pid")
    return tmp_path


def test_docker_is_installed_and_started_after_saying_so(machine: Path) -> None:
    """Prevents a silent installation, one that asks questions, and one that trips over an interrupted dpkg."""
    said: list[str] = []
    docker_install.install(said.append, machine / "install.log")
    docker_install.start(said.append, machine / "dockerd.log", (machine / "answers").exists, 10)
    calls = (machine / "calls").read_text().splitlines()
    assert [call.split()[0] for call in calls] == ["dpkg", "apt-get", "apt-get", "dockerd"]
    assert "docker.io" in calls[2]
    assert "-y" in calls[2]
    assert "installing docker.io" in said[0]
    assert "Starting Docker's daemon" in said[1]


def test_a_daemon_that_ends_at_once_is_told_with_its_last_words(machine: Path) -> None:
    """Prevents a wait of a minute for a daemon that is dead, and a message without its reason."""
    _programs(machine / "bin", dockerd="echo 'failed to mount overlay: operation not permitted' >&2; exit 1")
    with pytest.raises(UserFacingError, match="operation not permitted") as raised:
        docker_install.start(lambda _: None, machine / "dockerd.log", (machine / "answers").exists, 10)
    assert str(machine / "dockerd.log") in raised.value.remedy


def test_a_failed_installation_is_told_with_its_last_words(machine: Path) -> None:
    """Prevents `make up` from going on without Docker after apt-get failed."""
    _programs(
        machine / "bin", apt_get='[ "$3" = update ] || { echo "E: Unable to locate package docker.io"; exit 100; }'
    )
    with pytest.raises(UserFacingError, match="Unable to locate package"):
        docker_install.install(lambda _: None, machine / "install.log")


def test_the_pid_file_of_a_killed_daemon_is_no_obstacle(machine: Path) -> None:
    """Prevents a daemon that refuses to start because its old number belongs to another program now."""
    pid_file = machine / "docker.pid"
    pid_file.write_text(str(os.getpid()))
    docker_install.start(lambda _: None, machine / "dockerd.log", (machine / "answers").exists, 10)
    assert not pid_file.exists()
