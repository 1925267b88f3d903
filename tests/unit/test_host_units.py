"""Workloads as units of systemd: the posture held against Docker's rendering, and what a host's user data may say."""

import ast
import base64
import gzip
import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pulumi_docker as docker
import pytest
from agent_fleet.docker.container import container_args
from agent_fleet.systemd.cloud_init import LARGEST_USER_DATA, encoded, render
from agent_fleet.systemd.container_unit import container_unit, environment_text
from agent_fleet.systemd.fleet_host import HostWorkload
from agent_fleet.systemd.host_plan import SETUP_UNIT, HostPlan
from agent_fleet.workload import CredentialsMount, Port, Publication
from host_fleet import DATA, PASSWORD, container_run, lines, planned, secrets, units, workloads
from recording import FLEET, record

ROLES = ("database", "api", "egress", "sandboxd", "worker", "worker-2")


@cache
def programs() -> Mapping[str, HostWorkload]:
    """The workloads by role."""
    return {each.workload.name.removeprefix(f"{FLEET}-"): each for each in workloads()}


@cache
def plan() -> HostPlan:
    """The host's plan."""
    return planned()


@cache
def texts() -> Mapping[str, str]:
    """The units of that plan."""
    return units(plan())


def dockers(role: str) -> docker.ContainerArgs:
    """What the Docker renderer makes of the same workload."""
    found: list[docker.ContainerArgs] = []
    record(lambda: found.append(container_args(programs()[role].workload, FLEET)), preview=False)
    return found[0]


def get(args: Any, name: str) -> Any:
    """An input of a container."""
    return getattr(args, name)


def test_every_program_of_the_fleet_is_there_to_be_judged() -> None:
    """A posture test over no programs would pass."""
    assert set(programs()) == set(ROLES)
    assert {f"{role}.service" for role in ROLES} < set(texts())


@pytest.mark.parametrize("role", ROLES)
class TestEveryUnit:
    """What Docker is told by the unit and by the Docker renderer is the same."""

    def test_has_the_posture_of_the_docker_renderer(self, role: str) -> None:
        """A posture that is written twice differs on the day that one of the two is changed."""
        options, wanted = container_run(texts()[f"{role}.service"]).options, dockers(role)
        assert options["--user"] == [get(wanted, "user")]
        assert options.get("--group-add", []) == (get(wanted, "group_adds") or [])
        assert ("--read-only" in options) == get(wanted, "read_only")
        assert options["--cap-drop"] == get(get(wanted, "capabilities"), "drops")
        # Docker reads both, and tells the command line that the colon is the older way.
        assert options.get("--security-opt") == [each.replace(":", "=") for each in get(wanted, "security_opts")]
        assert options["--cpus"] == [get(wanted, "cpus")]
        assert options["--memory"] == [f"{get(wanted, 'memory')}m"]
        assert options["--memory-swap"] == [f"{get(wanted, 'memory_swap')}m"]
        mounted = dict(each.split(":", 1) for each in options.get("--tmpfs", []))
        assert mounted == get(wanted, "tmpfs")

    def test_asks_for_nothing_that_opens_the_host(self, role: str) -> None:
        """One flag too many gives a container the host."""
        allowed = {"--detach", "--pull", "--name", "--user", "--group-add", "--label", "--network", "--read-only"}
        allowed |= {"--cap-drop", "--security-opt", "--memory", "--memory-swap", "--cpus", "--pids-limit", "--restart"}
        allowed |= {"--log-driver", "--log-opt", "--env-file", "--mount", "--tmpfs"}
        assert set(container_run(texts()[f"{role}.service"]).options) <= allowed

    def test_has_a_limit_on_processes(self, role: str) -> None:
        """A fork loop would take the host's process table; Docker's own limit counts the container's alone."""
        options = container_run(texts()[f"{role}.service"]).options
        assert options["--pids-limit"] == [str(programs()[role].workload.resources.processes)]

    def test_runs_the_workloads_image_and_command_and_never_pulls_by_itself(self, role: str) -> None:
        """Docker would pull whatever has the name at that moment."""
        found, workload = container_run(texts()[f"{role}.service"]), programs()[role].workload
        assert (found.image, found.command) == (workload.image, workload.command)
        assert found.options["--pull"] == ["never"]
        first = lines(texts()[f"{role}.service"], "ExecStartPre")[0]
        assert first == f"/usr/local/lib/agent-fleet/pull {workload.image}"

    def test_counts_as_started_when_its_own_probe_says_so(self, role: str) -> None:
        """What comes after it would start before it can answer."""
        (asked,) = lines(texts()[f"{role}.service"], "ExecStartPost")
        workload = programs()[role].workload
        assert asked.endswith(" ".join([f"wait-until-healthy {workload.name}", *workload.probe.command]))

    def test_is_stopped_with_the_workloads_grace_and_not_killed_before(self, role: str) -> None:
        """systemd would kill a worker in the middle of its drain."""
        text, grace = texts()[f"{role}.service"], programs()[role].workload.stop_grace_seconds
        assert lines(text, "ExecStop") == [f"/usr/bin/docker stop -t {grace} {FLEET}-{role}"]
        assert int(lines(text, "TimeoutStopSec")[0]) > grace
        assert lines(text, "Restart") == ["always"]
        assert lines(text, "StartLimitIntervalSec") == ["0"]

    def test_keeps_a_bounded_log_with_cloudwatch_and_without(self, role: str) -> None:
        """Docker's own default fills the disk."""
        workload = programs()[role].workload
        kept = container_run(container_unit(workload, fleet=FLEET).text).options
        assert kept["--log-driver"] == [get(dockers(role), "log_driver")]
        assert dict(each.split("=") for each in kept["--log-opt"]) == get(dockers(role), "log_opts")
        sent = dict(each.split("=", 1) for each in container_run(texts()[f"{role}.service"]).options["--log-opt"])
        assert (sent["cache-max-size"], sent["cache-max-file"]) == ("10m", "3")
        # Else a program waits for CloudWatch, or does not start without it.
        assert sent["mode"] == "non-blocking"


def test_only_sandboxd_holds_the_docker_socket_and_it_has_no_network() -> None:
    """Whoever holds it is root on the host."""
    runs = {role: container_run(texts()[f"{role}.service"]).options for role in ROLES}
    holders = {role for role, each in runs.items() if any("docker.sock" in mount for mount in each.get("--mount", []))}
    assert holders == {"sandboxd"}
    assert runs["sandboxd"]["--network"] == ["none"]


def test_the_fleets_own_programs_are_on_the_hosts_network_and_the_proxy_is_not() -> None:
    """With a hop limit of 1 no other network reaches the instance's role, and the proxy must not."""
    found = {role: container_run(texts()[f"{role}.service"]).options["--network"][0] for role in ROLES}
    assert {role for role, network in found.items() if network == "host"} == {"database", "api", "worker", "worker-2"}
    assert found["egress"] == "bridge"


def test_the_database_listens_on_the_host_alone() -> None:
    """On the host's network it would answer the whole subnet."""
    assert container_run(texts()["database.service"]).command == ("-c", "listen_addresses=127.0.0.1")


def test_no_two_programs_on_the_hosts_network_listen_on_one_port() -> None:
    """The second would fail to start, for ever."""
    ports = [
        port.number
        for role, each in programs().items()
        if container_run(texts()[f"{role}.service"]).options["--network"] == ["host"]
        for port in each.workload.ports
    ]
    assert len(ports) == len(set(ports)) == 5


def test_a_worker_starts_after_what_it_needs_and_everything_after_its_images_and_secrets() -> None:
    """It would fail until they are there, or start from an image that nobody pulled."""
    after = {role: lines(texts()[f"{role}.service"], "After")[0].split() for role in ROLES}
    assert {f"{FLEET}-api.service", f"{FLEET}-sandboxd.service"} <= set(after["worker"])
    assert f"{FLEET}-database.service" in after["api"]
    assert f"{FLEET}-egress.service" in after["sandboxd"]
    assert all("agent-fleet-images.service" in each for each in after.values())
    assert {role for role, each in after.items() if "agent-fleet-secrets.service" in each} == {
        role for role, each in programs().items() if each.workload.secret_environment
    }
    assert [role for role, each in after.items() if "agent-fleet-data.service" in each] == ["database"]


def test_no_secret_is_in_the_user_data_and_each_is_where_its_unit_reads_it() -> None:
    """Whoever may describe the instance reads its user data."""
    assert PASSWORD not in render(plan())
    fetched = secrets()
    for role, each in programs().items():
        read = (
            f"/run/agent-fleet/secrets/{FLEET}-{role}.env"
            in container_run(texts()[f"{role}.service"]).options["--env-file"]
        )
        assert read == bool(each.workload.secret_environment) == (f"{FLEET}-{role}" in fetched)
    assert PASSWORD in fetched[f"{FLEET}-worker"]["FLEET_DATABASE_URL"]


def test_a_workload_with_secrets_and_nowhere_to_fetch_them_from_is_refused() -> None:
    """It would start without its password, again and again."""
    with pytest.raises(ValueError, match="no secret to fetch them from"):
        planned(secret=None)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"mounts": (CredentialsMount(path="/credentials"),)}, "mounts credentials"),
        ({"networks": ("one", "two")}, "2 networks"),
        (
            {"ports": (Port(name="http", number=1, published=Publication(address="0.0.0.0", port=1)),)},
            "publishes a port",
        ),
    ],
)
def test_what_a_host_cannot_give_is_refused(change: dict[str, Any], reason: str) -> None:
    """A unit would run without it, or open to more than was meant."""
    with pytest.raises(ValueError, match=reason):
        container_unit(replace(programs()["api"].workload, **change), fleet=FLEET)


def test_a_word_for_systemd_is_one_word_and_means_itself() -> None:
    """A percent sign is a specifier and a dollar a variable, so that another command would run."""
    command = ("worker", "100%", "$HOME", 'a "b" \\c', "", "a;b")
    text = container_unit(replace(programs()["worker"].workload, command=command), fleet=FLEET).text
    assert container_run(text).command == command


def test_a_value_of_several_lines_is_refused() -> None:
    """Docker would read its second line as another variable."""
    with pytest.raises(ValueError, match="several lines"):
        environment_text({"NAME": "first\nOTHER=second"})


@pytest.fixture
def cloud_config() -> dict[str, Any]:
    """What cloud-init reads."""
    first, _, rest = render(plan()).partition("\n")
    assert first == "#cloud-config"
    return json.loads(rest)


def test_the_user_data_writes_every_unit_and_starts_them_at_this_boot_and_every_other(
    cloud_config: dict[str, Any],
) -> None:
    """The host would come up empty, or be empty after a reboot."""
    written = {each["path"] for each in cloud_config["write_files"]}
    assert {f"/etc/systemd/system/{each.name}" for each in plan().units} <= written
    commands = cloud_config["runcmd"]
    (enabled,) = [each for each in commands if each[:2] == ["systemctl", "enable"]]
    assert set(enabled[2:]) == {SETUP_UNIT, *(each.name for each in plan().units if each.wanted)}
    assert commands[-1] == ["systemctl", "start", "--no-block", SETUP_UNIT]
    assert "packages" not in cloud_config
    assert "agent-fleet-clean-up.timer" in enabled
    assert cloud_config["ssh_pwauth"] is False
    assert ["systemctl", "mask", "--now", "sshd.service"] in commands


def test_a_large_plan_is_compressed_and_the_same_each_time() -> None:
    """EC2 takes 16 KiB, and a time in the archive would replace the instance at every update."""
    text = render(plan())
    assert len(text.encode()) > LARGEST_USER_DATA
    data = base64.b64decode(encoded(text))
    assert len(data) <= LARGEST_USER_DATA
    assert gzip.decompress(data).decode() == text
    assert encoded(text) == encoded(text)
    assert base64.b64decode(encoded("#cloud-config\n{}\n")) == b"#cloud-config\n{}\n"


def test_user_data_that_is_too_much_is_refused_with_what_to_do() -> None:
    """AWS would say so when the old instance is gone already."""
    noise = "".join(f"{number:x}" for number in range(40_000))
    with pytest.raises(ValueError, match="fewer"):
        encoded(noise * 4)


def test_the_hosts_scripts_are_in_order(tmp_path: Path) -> None:
    """A fault in one would show on the instance, and nowhere else."""
    shells: list[str] = []
    for file in plan().files:
        if file.content.startswith("#!/usr/bin/python3"):
            ast.parse(file.content, feature_version=(3, 9))
        elif file.content.startswith("#!/bin/sh"):
            script = tmp_path / Path(file.path).name
            script.write_text(file.content)
            shells.append(str(script))
            assert file.mode == "0755"
    assert len(shells) == 5
    checker = Path(sys.executable).parent / "shellcheck"
    done = subprocess.run([checker, *shells], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_ecr_is_asked_for_a_token_and_no_other_registry() -> None:
    """The helper knows no other registry, and a token that is kept is one that leaks."""
    registry = "000000000000.dkr.ecr.eu-west-1.amazonaws.com"
    program = programs()["sandboxd"].workload
    other = HostWorkload(workload=replace(program, image=f"{registry}/agent-fleet/runtime@sha256:{'4' * 64}"))
    files = planned(workloads=[other]).files
    (settings,) = [json.loads(each.content) for each in files if each.path.endswith("/docker/config.json")]
    assert settings == {"credHelpers": {registry: "ecr-login"}}


def test_the_data_volume_is_given_a_file_system_only_where_there_is_none() -> None:
    """A replaced instance would begin with an empty database."""
    (script,) = [each.content for each in plan().files if each.path.endswith("/mount-data")]
    assert "mkfs.xfs -q" in script
    assert "mkfs.xfs -f" not in script
    assert f"mount-data {DATA.device} {DATA.path} database 999:999" in texts()["agent-fleet-data.service"]
