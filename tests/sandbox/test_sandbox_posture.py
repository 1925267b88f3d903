"""What Docker says that a running sandbox may do, warm and cold alike."""

import asyncio
from typing import Any

import docker
from sandbox_daemon import MEBIBYTE, TEMPLATE, Daemon, eventually


def posture(daemon: Daemon, client: docker.DockerClient, image: str) -> None:
    """Read the posture of every sandbox there is back from Docker."""
    found = daemon.containers(client)
    assert found
    for container in found:
        attributes: dict[str, Any] = container.attrs
        host, config = attributes["HostConfig"], attributes["Config"]
        small = host["Tmpfs"]["/job"].split(",")[4] == f"size={MEBIBYTE}"
        assert config["Image"] == image
        assert config["Labels"]["agent-fleet.role"] == "sandbox"
        assert config["User"] == "10001:10001"
        assert config["Hostname"] == "sandbox"
        assert host["NetworkMode"] == "none"
        assert host["CapDrop"] == ["ALL"]
        assert not host["CapAdd"]
        assert host["SecurityOpt"] == ["no-new-privileges:true"]
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


async def test_warm_sandboxes_have_the_whole_posture(
    daemon: Daemon, docker_client: docker.DockerClient, sandbox_image: str
) -> None:
    """A control that is lost on the way into a pool is lost for every job."""
    await daemon.warm()
    posture(daemon, docker_client, sandbox_image)


async def test_cold_and_running_sandboxes_have_the_whole_posture(
    daemon: Daemon, docker_client: docker.DockerClient, sandbox_image: str
) -> None:
    """Warm or cold, a job meets the same limits."""
    kill = asyncio.Event()
    job = asyncio.create_task(daemon.run("bash", "sleep 60", template="small", kill=kill))

    async def is_running() -> bool:
        count = await daemon.count()
        return count is not None and count.templates["small"].running == 1

    await eventually(is_running, 20, "the cold job to run")
    posture(daemon, docker_client, sandbox_image)
    kill.set()
    result = await job
    assert (result.warm, result.reason) == (False, "killed")


async def test_the_kernel_agrees_with_docker(daemon: Daemon, runtime: str) -> None:
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
