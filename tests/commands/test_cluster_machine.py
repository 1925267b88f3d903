"""What `make cluster` finds out about a machine before it changes anything, and what it takes away again."""

import json
import os
import platform
import socket
import subprocess
import sys
from pathlib import Path
from unittest.mock import Mock

import pytest

from engine.cluster import conflicts, kernel_settings, network, packages
from engine.cluster.layout import Layout
from engine.cluster.processes import Part, Process, Supervisor, end, find
from engine.cluster.removal import mounts_below
from engine.errors import UserFacingError

_DOCKERS = """-P INPUT ACCEPT
-P FORWARD DROP
-N DOCKER
-N DOCKER-USER
-N KUBE-FORWARD
-N AGENT-FLEET-CLUSTER
-A FORWARD -j AGENT-FLEET-CLUSTER
-A FORWARD -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD
-A FORWARD -j DOCKER-USER
-A DOCKER-USER -j RETURN
-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP
-A AGENT-FLEET-CLUSTER -s 10.244.0.0/16 -j ACCEPT
"""


@pytest.fixture
def place(tmp_path: Path) -> Layout:
    """The layout of a cluster that does not run."""
    return Layout(tmp_path / "cluster", tmp_path / "logs")


def test_removal_takes_the_clusters_rules_and_leaves_dockers() -> None:
    """Prevents containers that lose their network because a cluster was removed."""
    lines = network.rules_without(_DOCKERS, ("AGENT-FLEET-CLUSTER", "KUBE-"))
    assert lines == [
        "-D FORWARD -j AGENT-FLEET-CLUSTER",
        '-D FORWARD -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD',
        "-F KUBE-FORWARD",
        "-F AGENT-FLEET-CLUSTER",
        "-X KUBE-FORWARD",
        "-X AGENT-FLEET-CLUSTER",
    ]


@pytest.mark.parametrize(
    ("route", "conflict"),
    [
        ({"dst": "default", "dev": "eth0"}, False),
        ({"dst": "172.17.0.0/16", "dev": "docker0"}, False),
        ({"dst": "10.43.0.0/16", "dev": "agent-fleet0"}, False),
        ({"dst": "10.244.0.7", "dev": "veth12345678"}, False),
        ({"dst": "10.244.0.0/24", "dev": "cni0"}, True),
        ({"dst": "10.0.0.0/8", "dev": "tun0"}, True),
    ],
)
def test_routes_into_the_clusters_networks_are_found(place: Layout, route: dict[str, str], conflict: bool) -> None:
    """Prevents a VPN that is cut off, or pods that cannot be reached, without a word."""
    assert bool(network.overlapping_routes(place, json.dumps([route]))) == conflict


def test_a_taken_port_is_named_with_who_has_it() -> None:
    """Prevents an etcd that ends at once because another one runs, told by its stack trace."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(UserFacingError) as raised:
            conflicts.check_ports([("etcd", port)])
    assert f"{port} (etcd)" in raised.value.message
    assert f"process {os.getpid()}" in raised.value.message
    conflicts.check_ports([])


def test_another_system_is_sent_to_its_own_cluster(place: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prevents a Mac user from being told about cgroups."""
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    with pytest.raises(UserFacingError, match="needs Linux; this is Darwin"):
        conflicts.check_machine(place)


def test_who_is_not_root_is_told_so(place: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prevents a half started cluster of an ordinary user."""
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(UserFacingError, match="only root") as raised:
        conflicts.check_machine(place)
    assert "STACK=local-cluster" in raised.value.remedy


def test_a_checkout_too_deep_for_sockets_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prevents a kubelet that fails on `invalid argument` in a long path."""
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(UserFacingError, match="characters too long"):
        conflicts.check_machine(Layout(tmp_path / ("deep" * 30), tmp_path))


def test_another_checkouts_cluster_is_named(place: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prevents two checkouts from starting over each other's node, and a killed one from being in the way for good."""
    monkeypatch.setattr(network, "owner", Mock(return_value=str(tmp_path)))
    command = ["kubelet", "-c", "echo; read _", f"--config={tmp_path}/configuration/file"]
    part = subprocess.Popen(command, executable="/bin/sh", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert part.stdout is not None
    # Until it runs the kernel may know no command line of it.
    part.stdout.readline()
    with pytest.raises(UserFacingError) as raised:
        conflicts.check_owner(place)
    assert str(tmp_path) in raised.value.message
    part.communicate(b"", timeout=10)
    conflicts.check_owner(place)
    monkeypatch.setattr(network, "owner", Mock(return_value=place.owner))
    conflicts.check_owner(place)


def test_services_of_packages_are_not_started_while_they_are_installed(tmp_path: Path) -> None:
    """Prevents an etcd of the system that takes the port, and starts again at every boot."""
    policy = tmp_path / "policy-rc.d"
    with packages.services_not_started(policy):
        assert subprocess.run([policy, "etcd", "start"], check=False).returncode == 101
    assert not policy.exists()


def test_an_administrators_own_policy_stays(tmp_path: Path) -> None:
    """Prevents a machine on which services that must not start do start from then on."""
    policy = tmp_path / "policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 104\n")
    with packages.services_not_started(policy):
        pass
    assert policy.read_text() == "#!/bin/sh\nexit 104\n"


def test_an_interrupted_installation_leaves_no_policy(tmp_path: Path) -> None:
    """Prevents services that never start again on this machine."""
    policy = tmp_path / "policy-rc.d"
    with pytest.raises(KeyboardInterrupt), packages.services_not_started(policy):
        raise KeyboardInterrupt
    assert not policy.exists()


def test_kernel_settings_are_put_back_as_they_were_first(tmp_path: Path) -> None:
    """Prevents a machine that panics on an oops, because a cluster once ran on it."""
    record, kernel = tmp_path / "kernel.json", tmp_path / "sys"
    setting = kernel / "kernel" / "panic"
    setting.parent.mkdir(parents=True)
    setting.write_text("0\n")
    kernel_settings.remember(record, kernel)
    setting.write_text("10\n")
    kernel_settings.remember(record, kernel)
    kernel_settings.restore(record, kernel)
    assert setting.read_text() == "0"


def test_mounts_are_found_below_a_folder_the_deepest_first() -> None:
    """Prevents a removal that deletes what is mounted there: a claim's files, or a host's folder."""
    table = (
        "21 1 8:1 / / rw - ext4 /dev/vda rw\n"
        "40 21 0:9 / /a/cluster/data/pod/volume rw - tmpfs tmpfs rw\n"
        "41 21 0:9 / /a/cluster/data/pod rw - tmpfs tmpfs rw\n"
        "42 21 0:9 / /a/cluster-other rw - tmpfs tmpfs rw\n"
        "43 21 0:9 / /a/cluster/with\\040space rw - tmpfs tmpfs rw\n"
    )
    found = mounts_below(Path("/a/cluster"), table)
    assert found[0] == Path("/a/cluster/data/pod/volume")
    assert set(found[1:]) == {Path("/a/cluster/data/pod"), Path("/a/cluster/with space")}


@pytest.fixture
def part() -> Part:
    """A program that runs until it is ended, with a command line of its own."""
    return Part("sleeper", (sys.executable, "-c", f"import time; time.sleep(60)  # {os.urandom(8).hex()}"))


def test_a_process_is_known_again_by_its_start_time(tmp_path: Path, part: Part) -> None:
    """Prevents a kill of another program that has got the process id since."""
    supervisor = Supervisor(tmp_path / "processes", tmp_path / "logs")
    process = supervisor.start(part)
    try:
        assert supervisor.process(part) == process
        assert supervisor.is_current(part)
        assert not Process(process.pid, process.started + 1).runs()
        Process(process.pid, process.started + 1).send(9)
        assert find(process.pid) == process
    finally:
        end([process])
    assert supervisor.process(part) is None


def test_a_process_whose_record_was_lost_is_found_by_its_command(tmp_path: Path, part: Part) -> None:
    """Prevents a second etcd on the same data, after a Ctrl-C between start and record."""
    supervisor = Supervisor(tmp_path / "processes", tmp_path / "logs")
    process = supervisor.start(part)
    try:
        supervisor.forget("sleeper")
        assert supervisor.process(part) == process
        assert not supervisor.is_current(part)
    finally:
        end([process])


def test_a_part_whose_configuration_changed_is_not_current(tmp_path: Path, part: Part) -> None:
    """Prevents a cluster that keeps running with the settings of an older version of the project."""
    settings = tmp_path / "settings"
    settings.write_text("one")
    configured = Part(part.name, part.command, (settings,))
    supervisor = Supervisor(tmp_path / "processes", tmp_path / "logs")
    process = supervisor.start(configured)
    try:
        assert supervisor.is_current(configured)
        settings.write_text("two")
        assert not supervisor.is_current(configured)
    finally:
        end([process])
