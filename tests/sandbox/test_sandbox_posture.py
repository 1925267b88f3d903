"""What Docker, the runtime and the kernel say that a running sandbox may do, warm and cold alike."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from made_sandboxes import DockerMade, OciMade
from sandbox_daemon import MEBIBYTE, TEMPLATE, Daemon, eventually


async def posture(daemon: Daemon, wanted: Mapping[str, int]) -> None:
    """Read the posture of every sandbox there is back from whoever made it.

    `wanted` are the numbers that hold a job, by template. One that is being made or removed, for or after an earlier
    test's job, has only a part of its posture; so there must be none but those that sandboxd counts as there.
    """

    async def at_rest() -> bool:
        count = await daemon.count()
        if count is None:
            return False
        counts = count.templates
        running = {name: each.running for name, each in counts.items() if each.running}
        there = sum(each.warm + each.running for each in counts.values())
        moving = any(each.starting for each in counts.values())
        return not moving and running == wanted and len(daemon.sandboxes()) == there

    await eventually(at_rest, 30, "the pools to be at rest")
    image = daemon.templates["default"]["image"]
    if isinstance(daemon.made, DockerMade):
        posture_by_docker(daemon.made.containers(daemon.fleet), image)
    elif isinstance(daemon.made, OciMade):
        posture_by_the_kernel(daemon, daemon.made, image)


def posture_by_the_kernel(daemon: Daemon, made: OciMade, image: str) -> None:
    """What a bundle asks for came to be: processes, control groups and mounts of each sandbox."""
    names = daemon.sandboxes()
    assert names
    uids: set[str] = set()
    for name in names:
        first = made.processes(daemon.fleet, name)[0]
        process = Path(f"/proc/{first}")
        status = dict(line.split(":\t", 1) for line in (process / "status").read_text().splitlines())
        uids.add(status["Uid"].split()[0])
        assert (int(status["Uid"].split()[0]) - 0x7000_0000) % 65536 == 10001
        assert (process / "uid_map").read_text().split()[2] == "65536"
        for kind in ("cgroup", "ipc", "mnt", "net", "pid", "user", "uts"):
            assert (process / "ns" / kind).readlink() != Path(f"/proc/self/ns/{kind}").readlink(), kind
        assert (status["NoNewPrivs"], status["Seccomp"], int(status["CapBnd"], 16)) == ("1", "2", 0)
        mounts = {line.split()[4]: line.split() for line in (process / "mountinfo").read_text().splitlines()}
        assert "ro" in mounts["/"][5].split(",")
        assert image.removeprefix("sha256:") in mounts["/"][3]
        for path in ("/job", "/tmp", "/dev/shm"):
            assert {"nosuid", "nodev", "rw"} <= set(mounts[path][5].split(","))
            assert ("noexec" in mounts[path][5].split(",")) == (path == "/dev/shm")
            assert {option.partition("=")[0] for option in mounts[path][-1].split(",")} >= {"size", "nr_inodes"}
        assert (
            json.loads((made.bundle(daemon.fleet, name) / "config.json").read_text())["process"]["user"]["uid"] == 10001
        )
        limits = limits_of(made, daemon.fleet, name)
        assert limits == {
            "memory": TEMPLATE["memory_bytes"],
            "pids": TEMPLATE["pids"],
            "cpus": TEMPLATE["cpus"],
        }
    assert len(uids) == len(names)


def limits_of(made: OciMade, fleet: str, name: str) -> dict[str, float]:
    """What its control groups say, of either version."""
    found: dict[str, float] = {}
    for group in (group for group in made.groups(fleet) if group.name == name):
        for figure, file in (
            ("memory", "memory.limit_in_bytes"),
            ("memory", "memory.memsw.limit_in_bytes"),
            ("memory", "memory.max"),
            ("pids", "pids.max"),
        ):
            if (group / file).exists():
                found[figure] = int((group / file).read_text())
        if (group / "cpu.cfs_quota_us").exists():
            found["cpus"] = int((group / "cpu.cfs_quota_us").read_text()) / int(
                (group / "cpu.cfs_period_us").read_text()
            )
        if (group / "cpu.max").exists():
            quota, period = (group / "cpu.max").read_text().split()
            found["cpus"] = int(quota) / int(period)
    return found


def posture_by_docker(found: list[Any], image: str) -> None:
    """What `docker inspect` says."""
    assert found
    for container in found:
        attributes: dict[str, Any] = container.attrs
        host, config = attributes["HostConfig"], attributes["Config"]
        small = f"size={MEBIBYTE}" in host["Tmpfs"]["/job"].split(",")
        assert config["Image"] == image
        assert config["Labels"]["agent-fleet.role"] == "sandbox"
        assert config["User"] == "10001:10001"
        assert config["Hostname"] == "sandbox"
        assert host["NetworkMode"] == "none"
        assert host["CapDrop"] == ["ALL"]
        assert not host["CapAdd"]
        privileges, filtered = host["SecurityOpt"]
        assert privileges == "no-new-privileges:true"
        # Docker's default of a newer version than the one at hand may be, on every version.
        profile = json.loads(filtered.removeprefix("seccomp="))
        assert profile["defaultAction"] == "SCMP_ACT_ERRNO"
        assert "io_uring_setup" not in {name for rule in profile["syscalls"] for name in rule["names"]}
        assert host["ReadonlyRootfs"] is True
        assert host["Privileged"] is False
        assert host["Memory"] == host["MemorySwap"] == TEMPLATE["memory_bytes"]
        assert host["NanoCpus"] == TEMPLATE["cpus"] * 1e9
        assert host["PidsLimit"] == TEMPLATE["pids"]
        assert host["IpcMode"] == "private"
        assert host["LogConfig"]["Type"] == "none"
        assert host["RestartPolicy"]["Name"] == "no"
        assert not host["Binds"]
        assert not host.get("Mounts")
        assert not host["Devices"]
        assert not host["Links"]
        assert host["PidMode"] == ""
        assert host["UsernsMode"] == ""
        assert host["OomKillDisable"] in {False, None}
        assert {limit["Name"]: limit["Hard"] for limit in host["Ulimits"]} == {
            "nofile": 4096,
            "core": 0,
            "memlock": 65536,
        }
        assert set(host["Tmpfs"]) == {"/job", "/tmp", "/dev/shm"}
        for path, options in host["Tmpfs"].items():
            chosen = set(options.split(","))
            assert {"nosuid", "nodev"} <= chosen
            assert ("noexec" in chosen) == (path == "/dev/shm")
            assert any(option.startswith("nr_inodes=") for option in chosen)
            assert any(option.startswith("size=") for option in chosen)
        assert small or f"size={TEMPLATE['scratch_bytes']}" in host["Tmpfs"]["/job"]
        assert not any("/" in variable.partition("=")[0] for variable in config["Env"])
        assert {variable.partition("=")[0] for variable in config["Env"]} == {"PATH", "LANG", "HOME"}


async def test_warm_sandboxes_have_the_whole_posture(daemon: Daemon) -> None:
    """A control that is lost on the way into a pool is lost for every job."""
    await daemon.warm()
    await posture(daemon, {})


async def test_cold_and_running_sandboxes_have_the_whole_posture(daemon: Daemon) -> None:
    """Warm or cold, a job meets the same limits."""
    kill = asyncio.Event()
    # A template that no other test uses: one that was used of late keeps a sandbox ready.
    job = asyncio.create_task(daemon.run("bash", "sleep 60", template="cold", kill=kill))
    await posture(daemon, {"cold": 1})
    kill.set()
    result = await job
    assert (result.warm, result.reason) == (False, "killed")


async def test_the_kernel_agrees_with_what_was_asked_for(daemon: Daemon, runtime: str) -> None:
    """What inspect says is what was asked for; the status of a process is what came of it."""
    result = await daemon.run("bash", "cat /proc/self/status; cat /proc/self/mounts")
    lines = [line.partition(":\t") for line in result.stdout.decode().splitlines()]
    status = {name: value for name, _, value in lines}
    assert status["Uid"].split() == ["10001"] * 4
    assert status["Gid"].split() == ["10001"] * 4
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[name], 16) == 0
    if runtime == "runc":
        # gVisor's own kernel does not show these two, and enforces both outside.
        assert status["NoNewPrivs"] == "1"
        assert status["Seccomp"] == "2"
