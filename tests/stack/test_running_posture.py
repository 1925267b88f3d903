"""The posture of everything that runs, read back from Docker: what was declared and what Docker does can differ."""

from typing import Any

import pytest
from deployed_stack import DeployedStack, wait_for

ROLES = ("api", "worker", "sandboxd", "database", "sandbox")
USERS = {"api": "1001:1001", "worker": "1001:1001", "sandboxd": "0:", "database": "999:999", "sandbox": "10001:10001"}


@pytest.fixture(scope="module", params=ROLES)
def running(request: pytest.FixtureRequest, stack: DeployedStack) -> tuple[str, list[dict[str, Any]]]:
    """A role, and what Docker says of each container that has it."""
    found = wait_for(lambda: stack.containers(request.param), f"a container of the role {request.param} runs")
    return request.param, [container.attrs for container in found]


Running = tuple[str, list[dict[str, Any]]]


def test_the_root_is_read_only(running: Running) -> None:
    """An intruder could change the program that runs."""
    assert all(each["HostConfig"]["ReadonlyRootfs"] for each in running[1])


def test_no_capability_is_left_and_none_is_gained(running: Running) -> None:
    """A capability in the host's hands is the host."""
    for each in running[1]:
        host = each["HostConfig"]
        assert host["CapDrop"] == ["ALL"]
        assert not host["CapAdd"]
        assert host["Privileged"] is False
        assert any(option.startswith("no-new-privileges") for option in host["SecurityOpt"])
        assert not [option for option in host["SecurityOpt"] if "unconfined" in option]


def test_memory_and_processes_are_limited(running: Running) -> None:
    """One program in trouble would take the host with it."""
    for each in running[1]:
        host = each["HostConfig"]
        limits = {limit["Name"]: limit["Hard"] for limit in host["Ulimits"] or []}
        assert 0 < host["Memory"] <= 512 * 1024**2
        assert host["MemorySwap"] == host["Memory"]
        assert host["NanoCpus"] > 0 or host["CpuQuota"] > 0
        # Docker's Pulumi provider knows no pids limit, and the kernel's own does not hold for root.
        if running[0] != "sandboxd":
            assert (host["PidsLimit"] or 0) > 0 or limits.get("nproc", 0) > 0


def test_it_runs_as_the_user_that_was_chosen(running: Running) -> None:
    """Only sandboxd is root, without a capability, because it owns Docker's socket."""
    for each in running[1]:
        assert each["Config"]["User"].startswith(USERS[running[0]])


def test_it_sees_no_path_of_the_host(running: Running) -> None:
    """Docker's socket is the host's root; only sandboxd has it."""
    sources = {mount["Source"] for each in running[1] for mount in each["Mounts"] if mount["Type"] == "bind"}
    assert sources == ({"/var/run/docker.sock"} if running[0] == "sandboxd" else set())


def test_it_shares_no_namespace_with_the_host(running: Running) -> None:
    """The host's processes, network or users would be in reach."""
    for each in running[1]:
        host = each["HostConfig"]
        assert "host" not in (
            host["PidMode"],
            host["IpcMode"],
            host["UTSMode"],
            host["NetworkMode"],
            host["UsernsMode"],
        )


def test_it_is_on_its_own_networks_only(running: Running, stack: DeployedStack) -> None:
    """A sandbox or sandboxd with a network reaches what it must not, and only the API is to be reached from outside."""
    wanted = {
        "api": {f"{stack.fleet}-frontend", f"{stack.fleet}-backend"},
        "worker": {f"{stack.fleet}-backend"},
        "database": {f"{stack.fleet}-backend"},
        "sandboxd": {"none"},
        "sandbox": {"none"},
    }
    for each in running[1]:
        assert set(each["NetworkSettings"]["Networks"]) == wanted[running[0]]
        published = {port for port, bound in (each["NetworkSettings"]["Ports"] or {}).items() if bound}
        assert published == ({"8080/tcp"} if running[0] == "api" else set())


def test_what_it_writes_is_bounded(running: Running) -> None:
    """A program that writes without end fills the host's disk."""
    for each in running[1]:
        log = each["HostConfig"]["LogConfig"]
        assert log["Type"] == "none" or log["Config"] == {"max-size": "10m", "max-file": "3"}
        assert (log["Type"] == "none") == (running[0] == "sandbox")


def test_the_fleets_own_programs_are_probed_and_come_back(running: Running) -> None:
    """A program that died at night must be there in the morning; a sandbox must not come back."""
    for each in running[1]:
        policy = each["HostConfig"]["RestartPolicy"]["Name"]
        if running[0] == "sandbox":
            assert policy in ("", "no")
        else:
            assert policy == "unless-stopped"
            assert each["State"]["Health"]["Status"] == "healthy"


def test_its_image_is_pinned_by_content(running: Running) -> None:
    """A tag may point to something else tomorrow."""
    assert all(each["Config"]["Image"].startswith("sha256:") for each in running[1])


def test_the_backend_network_leads_nowhere(stack: DeployedStack) -> None:
    """A worker or a database that can reach the internet is a way out for data."""
    network = stack.docker.networks.get(f"{stack.fleet}-backend")
    assert network.attrs["Internal"] is True


def test_the_api_listens_on_this_machine_only(stack: DeployedStack) -> None:
    """The default must not open a service that runs code to the whole network."""
    (container,) = stack.containers("api")
    (binding,) = container.attrs["NetworkSettings"]["Ports"]["8080/tcp"]
    assert binding == {"HostIp": "127.0.0.1", "HostPort": str(stack.port)}
