"""The one-node cluster after crashes, a reboot and its removal, on a cluster apart that only these tests use.

The tests run in this order: the last ones remove the cluster.
"""

import json
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from node_apart import DOCKER_RULES, NodeApart
from node_under_test import NodeUnderTest, claim, pod, wait_for

from engine.cluster import containers
from engine.cluster.processes import gone
from engine.cluster.removal import mounts_below

_PLACE = "kept"
_IMAGE = "agent-fleet/base:bookworm-1"
_SCRIPT = "date +%s%N >> /work/starts; sleep infinity"


@pytest.fixture(scope="module")
def apart(node_apart: NodeApart, node_image_archive: Path) -> NodeUnderTest:
    """It runs a pod with a claim, and holds a secret."""
    node_apart.up()
    node = NodeUnderTest(node_apart.layout, node_apart.inside)
    containers.import_archive(node.layout, node_image_archive.read_bytes())
    node.make_namespace(_PLACE)
    kept = pod("worker", _PLACE, _IMAGE, _SCRIPT, claim="work")
    kept["spec"]["containers"][0]["imagePullPolicy"] = "Never"
    node.apply(claim("work", _PLACE, "ReadWriteOnce"), kept)
    node.kubectl("create", "secret", "generic", "-n", _PLACE, "secret", "--from-literal=key=value")
    node.ready(_PLACE, "worker")
    return node


def _pod(node: NodeUnderTest) -> dict[str, Any]:
    return node.get("pod", "worker", "-n", _PLACE)


def _starts(node: NodeUnderTest) -> int:
    return len(node.shell(_PLACE, "worker", "cat /work/starts").splitlines())


def _kept(node: NodeUnderTest, uid: str) -> None:
    node.ready(_PLACE, "worker", seconds=90)
    assert _pod(node)["metadata"]["uid"] == uid
    assert node.get("secret", "secret", "-n", _PLACE)["data"] == {"key": "dmFsdWU="}


def test_a_second_start_changes_nothing(node_apart: NodeApart, apart: NodeUnderTest) -> None:
    """Prevents a `make cluster` that restarts what others are using."""
    before = node_apart.processes()
    assert len(before) == 11
    assert node_apart.up() == []
    assert node_apart.processes() == before


_REFUSED, _NO_ANSWER = 1, 124  # of bash, and of timeout


def _connect(inside: Sequence[str], address: str, port: int) -> int:
    command = [*inside, "timeout", "3", "bash", "-c", f"exec 3<>/dev/tcp/{address}/{port}"]
    return subprocess.run(command, check=False, timeout=30, stderr=subprocess.DEVNULL).returncode


def test_a_neighbour_that_sets_a_route_does_not_reach_the_node(node_apart: NodeApart, apart: NodeUnderTest) -> None:
    """Prevents the API server and the kubelet from being open to the machine's network."""
    neighbour = f"{node_apart.network}-n"
    there = ("ip", "netns", "exec", neighbour)
    steps = [
        ["ip", "netns", "add", neighbour],
        [*apart.inside, "ip", "link", "add", "lan0", "type", "veth", "peer", "name", "lan1", "netns", neighbour],
        [*apart.inside, "ip", "address", "add", "192.0.2.129/30", "dev", "lan0"],
        [*apart.inside, "ip", "link", "set", "lan0", "up"],
        [*there, "ip", "address", "add", "192.0.2.130/30", "dev", "lan1"],
        [*there, "ip", "link", "set", "lan1", "up"],
        [*there, "ip", "route", "add", "10.0.0.0/8", "via", "192.0.2.129"],
    ]
    try:
        for step in steps:
            subprocess.run(step, check=True, timeout=30, stdout=subprocess.DEVNULL)
        # Refused at once: the way there and back is open. Nothing at all: dropped.
        assert _connect(there, "192.0.2.129", 9) == _REFUSED
        address, port = apart.layout.node_address, apart.layout.api_port
        assert _connect(there, address, port) == _NO_ANSWER
        assert _connect(apart.inside, address, port) == 0, "this machine itself reaches it"
    finally:
        subprocess.run(["ip", "netns", "delete", neighbour], check=True, timeout=30)


@pytest.mark.parametrize(
    "killed",
    [
        ("api-server",),
        ("etcd",),
        ("kubelet",),
        ("containerd",),
        ("proxy", "name-service", "metrics-server"),
        ("etcd", "api-server", "controller-manager", "scheduler", "kubelet", "containerd", "registry", "volumes"),
    ],
    ids=lambda names: names[0] if len(names) < 8 else "nearly-all",
)
def test_after_a_crash_just_the_missing_parts_are_started(
    node_apart: NodeApart, apart: NodeUnderTest, killed: tuple[str, ...]
) -> None:
    """Prevents a crash of one process from costing pods, data or a cluster made anew."""
    uid, starts = _pod(apart)["metadata"]["uid"], _starts(apart)
    before = node_apart.processes()
    victims = [before[name] for name in killed]
    for process in victims:
        process.send(signal.SIGKILL)
    assert gone(victims, 10)
    assert set(killed) <= set(node_apart.up())
    _kept(apart, uid)
    assert _starts(apart) == starts, "the pod went on running"


def test_after_a_reboot_pods_and_data_come_back(node_apart: NodeApart, apart: NodeUnderTest) -> None:
    """Prevents a cluster that a reboot leaves half there: processes, mounts and interface are gone, its data is not."""
    uid, starts = _pod(apart)["metadata"]["uid"], _starts(apart)
    node_apart.lose_power()
    assert len(node_apart.up()) == 11
    wait_for(lambda: _pod(apart)["status"]["containerStatuses"][0]["restartCount"] > 0, "the pod's second start")
    _kept(apart, uid)
    assert _starts(apart) == starts + 1


def test_another_checkout_is_told_whose_cluster_runs(
    node_apart: NodeApart, apart: NodeUnderTest, tmp_path: Path
) -> None:
    """Prevents two nodes on one machine that overwrite each other's network, and a taken one nobody can find."""
    before = node_apart.processes()
    told = node_apart.call("up", Path("/tmp/other"))
    assert str(apart.layout.folder) in told.error
    assert not Path("/tmp/other").exists(), "nothing was made"
    assert node_apart.processes() == before


def test_a_taken_port_is_told_before_anything_changes(node_apart: NodeApart, apart: NodeUnderTest) -> None:
    """Prevents a half started cluster that fails on a port after a minute."""
    [process] = [node_apart.processes()["registry"]]
    process.send(signal.SIGKILL)
    assert gone([process], 10)
    holder = subprocess.Popen(
        [*node_apart.inside, "python3", "-c", _HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "listening\n"
    before = node_apart.processes()
    told = node_apart.call("up")
    holder.communicate("", timeout=10)
    assert "5001 (registry)" in told.error
    assert "python3" in told.error
    assert node_apart.processes() == before
    assert node_apart.up() == ["registry"]


_HOLDER = """
import socket, sys
server = socket.create_server(("127.0.0.1", 5001))
print("listening", flush=True)
sys.stdin.read()
"""


def test_an_interrupted_start_goes_on_where_it_stopped(node_apart: NodeApart, apart: NodeUnderTest) -> None:
    """Prevents a Ctrl-C that leaves processes which no later command knows."""
    uid = _pod(apart)["metadata"]["uid"]
    parts = list(node_apart.processes().values())
    for process in parts:
        process.send(signal.SIGKILL)
    assert gone(parts, 10)
    starting = subprocess.Popen(node_apart.command("up"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(lambda: "api-server" in node_apart.processes(), "the start is half way", 30)
    starting.send_signal(signal.SIGINT)
    starting.wait(30)
    survivors = node_apart.processes()
    node_apart.up()
    now = node_apart.processes()
    assert len(now) == 11
    assert {name: now[name] for name in survivors} == survivors
    _kept(apart, uid)


def test_a_killed_cluster_is_not_in_another_checkouts_way(node_apart: NodeApart, apart: NodeUnderTest) -> None:
    """Prevents a machine on which nobody can start a cluster after one was killed with its checkout's command."""
    uid = _pod(apart)["metadata"]["uid"]
    node_apart.kill()
    other = NodeApart(Path(tempfile.mkdtemp(prefix="fleet-")), node_apart.network)
    try:
        assert len(other.up()) == 11
        node = NodeUnderTest(other.layout, other.inside)
        assert _PLACE not in node.kubectl("get", "namespaces", "-o", "name")
        assert str(other.layout.folder) in node_apart.call("up").error, "now the other one has the machine"
    finally:
        other.call("down")
        shutil.rmtree(other.folder)
    assert len(node_apart.up()) == 11
    _kept(apart, uid)


def test_removal_leaves_nothing(node_apart: NodeApart, apart: NodeUnderTest) -> None:
    """Prevents processes, mounts, rules and interfaces that outlive the cluster and break the next one."""
    place = apart.layout
    parts = list(node_apart.processes().values())
    told = node_apart.call("down")
    assert told.answer == [], told.error
    assert not any(process.runs() for process in parts)
    assert containers.left_over(place) == []
    assert mounts_below(place.folder) == []
    assert [path.name for path in place.folder.parent.iterdir()] == ["logs"]
    assert not list(Path("/sys/fs/cgroup").glob(f"*/{place.cgroup}"))
    links = json.loads(apart.run("ip", "-json", "link").stdout)
    assert [link["ifname"] for link in links] == ["lo"]
    assert "KUBE" not in apart.run("ip6tables-save").stdout
    kept = [line for line in node_apart.rules() if line.startswith("-") or "DOCKER" in line or "FORWARD DROP" in line]
    expected = [line.partition(" [")[0] for line in DOCKER_RULES.splitlines()]
    assert sorted(kept) == sorted(
        line for line in expected if line.startswith("-") or "DOCKER" in line or "FORWARD DROP" in line
    )
    assert node_apart.call("down").answer == [], "again is no error"


def test_a_removal_in_the_midst_of_a_start_leaves_nothing(node_apart: NodeApart) -> None:
    """Prevents a cluster that can neither be started nor removed after a start that was killed."""
    starting = subprocess.Popen(node_apart.command("up"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(lambda: "api-server" in node_apart.processes(), "the start is half way", 60)
    starting.kill()
    starting.wait(10)
    parts = list(node_apart.processes().values())
    assert node_apart.call("down").answer == []
    assert not any(process.runs() for process in parts)
    assert not node_apart.layout.folder.exists()
