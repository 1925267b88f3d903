"""The rendered user data boots: units start, with the posture read back from Docker, and jobs survive the instance."""

import base64
import json
import subprocess
from collections.abc import Iterator, Mapping
from functools import partial
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import boto3
import pytest
from agent_fleet.systemd.cloud_init import encoded, render
from agent_fleet.systemd.fleet_host import plan_host, secret_text
from agent_fleet.systemd.host_plan import SETUP_UNIT, DataVolume, HostSecret
from agent_fleet_client.jobs import Job
from booted_host import (
    BOOT_SECONDS,
    DATA,
    FLEET,
    LATE,
    REGION,
    ROLES,
    UNITS,
    Told,
    first_boot,
    fleet,
    journal,
    late_unit,
    programs,
)
from containers import wait_for
from control_groups import assert_unchanged, control_groups
from docker import DockerClient
from host_fleet import resolved_workloads
from image_builds import CHECKOUT
from inner_mirror import MIRROR_UNIT
from inner_registry import REGISTRY, REGISTRY_FILE, REGISTRY_UNIT
from moto.server import ThreadedMotoServer
from registry_process import registry
from runtime_processes import new_key
from systemd_host import DEVICE, PACKAGE, SystemdHost, build_host

pytestmark = pytest.mark.timeout(1_800)


@pytest.fixture(scope="module", autouse=True)
def groups_as_they_were() -> Iterator[None]:
    """The machine's control groups, which every boot must leave alone."""
    before = control_groups()
    yield
    assert_unchanged(before)


@pytest.fixture(scope="module")
def pushed(
    daemon: DockerClient, built: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, str], Path]:
    """The images by digest in a registry, and its folder."""
    folder = tmp_path_factory.mktemp("registry")
    digests: dict[str, str] = {}
    with registry(folder) as address:
        for name in ("runtime", "sandbox", "postgres", LATE):
            repository = f"{address}/agent-fleet/{name}"
            image = daemon.images.get(built["runtime" if name == LATE else name])
            assert image.tag(repository, "1")
            try:
                said = daemon.images.push(repository, tag="1", stream=True, decode=True)
                told: list[dict[str, Any]] = list(said)  # pyright: ignore[reportArgumentType] - a stream when asked for
                found = [each["aux"]["Digest"] for each in told if "aux" in each]
                assert found, told
                digests[name] = f"{REGISTRY}/agent-fleet/{name}@{found[0]}"
            finally:
                daemon.images.remove(f"{repository}:1")
    return digests, folder / "data"


@pytest.fixture(scope="module")
def data_disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An empty disk, as a loop device of this machine."""
    file = tmp_path_factory.mktemp("disk") / "data"
    file.touch()
    with file.open("r+b") as disk:
        disk.truncate(1 << 30)
    found = subprocess.run(["losetup", "--find", "--show", str(file)], capture_output=True, text=True, check=False)
    if found.returncode != 0:
        pytest.skip(f"cannot be had here: a loop device ({found.stderr.strip()})")
    device = found.stdout.strip()
    yield device
    subprocess.run(["losetup", "--detach", device], check=False)


@pytest.fixture(scope="module")
def secrets_manager(daemon: DockerClient) -> Iterator[str]:
    """The address of an emulated Secrets Manager, as a container sees it."""
    # A daemon names the gateway of its first network only once it was started anew; it is the first address of it.
    network = daemon.networks.get("bridge").attrs["IPAM"]["Config"][0]
    gateway = network.get("Gateway") or str(next(ip_network(network["Subnet"]).hosts()))
    server = ThreadedMotoServer(ip_address=gateway, port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="module")
def told(
    daemon: DockerClient,
    pushed: tuple[dict[str, str], Path],
    data_disk: str,
    secrets_manager: str,
    run_name: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Told:
    """The plan of the fleet's host, and how to boot one."""
    digests, folder = pushed
    key, known = new_key("default")

    workloads = resolved_workloads(lambda: programs(digests, json.dumps([known])))
    client = boto3.client(
        "secretsmanager",
        region_name=REGION,
        endpoint_url=secrets_manager,
        aws_access_key_id="nobody",
        aws_secret_access_key="nothing",
    )
    secret = client.create_secret(Name=FLEET, SecretString=secret_text([each.workload for each in workloads]))
    plan = plan_host(
        workloads,
        fleet=FLEET,
        region=REGION,
        sandbox_images=[digests["sandbox"]],
        secret=HostSecret(arn=secret["ARN"], version=secret["VersionId"]),
        data_volume=DataVolume(device=DEVICE, path=DATA, folders=(("database", "999:999"),)),
        files=[REGISTRY_FILE],
        units=[REGISTRY_UNIT, MIRROR_UNIT, late_unit(digests[LATE])],
        # Amazon Linux's have other names, and the host's image has Debian's already.
        packages=(PACKAGE,),
    )
    image = build_host(daemon, tmp_path_factory.mktemp("host") / "context")
    boot = partial(
        SystemdHost,
        daemon,
        image,
        base64.b64decode(encoded(render(plan))),
        name=run_name,
        device=data_disk,
        registry=folder,
        environment={
            "AWS_ENDPOINT_URL": secrets_manager,
            "AWS_ACCESS_KEY_ID": "nobody",
            "AWS_SECRET_ACCESS_KEY": "nothing",
        },
    )
    return Told(plan, key, boot)


@pytest.fixture(scope="module")
def host(told: Told) -> Iterator[SystemdHost]:
    """A host that has booted with this user data and nothing else."""
    machine = first_boot(told)
    try:
        yield machine
    finally:
        machine.remove()


def test_a_host_with_the_machines_own_control_groups_does_not_boot(told: Told) -> None:
    """Its systemd would change them for every program of the machine."""
    command = ["docker", "run", "--rm", "--cgroupns", "host", str(told.boot.args[1])]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert "not in a namespace of their own" in done.stderr


def test_the_user_data_passes_cloud_inits_own_schema_check(host: SystemdHost, told: Told) -> None:
    """A key that is misspelt is passed over, and the host comes up without what it says."""
    code, said = host.run("cloud-init", "schema", "--system")
    assert code == 0, said
    code, said = host.run("cloud-init", "status", "--wait")
    assert code == 0, said + host.report()
    assert told.plan.units
    # The copy that a quick test judges by is this one's.
    kept = CHECKOUT / "tests" / "unit" / "cloud_init_schema" / "cloud-config-22.4.2.json"
    installed = "/usr/lib/python3/dist-packages/cloudinit/config/schemas/schema-cloud-config-v1.json"
    assert json.loads(host.run("cat", installed)[1]) == json.loads(kept.read_text())


def test_packages_are_there_though_their_mirror_did_not_answer_at_first(host: SystemdHost) -> None:
    """cloud-init asks once: a host that started while the mirror was away would stay empty."""
    assert host.run("dpkg-query", "--show", "--showformat", "${db:Status-Status}", PACKAGE) == (0, "installed")
    assert host.run("systemctl", "show", "--property", "Result", "--value", SETUP_UNIT)[1].strip() == "success"


def test_a_unit_whose_image_does_not_come_says_so_and_gets_it_later(host: SystemdHost) -> None:
    """A host would wait in silence, or give up, or ask the registry many times a second."""
    assert host.run("systemctl", "stop", REGISTRY_UNIT.name)[0] == 0
    assert host.run("systemctl", "start", "--no-block", "test-late.service")[0] == 0
    try:
        for line in ("1 times so far; again in 3 s", "2 times so far; again in 6 s"):
            wait_for(lambda line=line: line in journal(host, "test-late.service"), line, 60)
        assert f"agent-fleet/{LATE}@sha256:" in journal(host, "test-late.service")
        # What was counted is kept when the unit starts anew.
        assert host.run("systemctl", "restart", "--no-block", "test-late.service")[0] == 0
        wait_for(lambda: "3 times so far; again in 9 s" in journal(host, "test-late.service"), "a longer pause", 60)
    finally:
        assert host.run("systemctl", "start", REGISTRY_UNIT.name)[0] == 0
    host.wait("test-late.service", seconds=120)


def test_the_host_has_no_failed_unit_and_none_that_is_written_wrongly(host: SystemdHost, told: Told) -> None:
    """systemd passes over what it cannot read in a unit, and starts the rest."""
    assert host.run("systemctl", "--failed", "--plain", "--no-legend")[1].strip() == ""
    names = [each.name for each in told.plan.units if each.name != "agent-fleet.target"]
    code, said = host.run("systemd-analyze", "verify", *(f"/etc/systemd/system/{name}" for name in names))
    assert (code, said.strip()) == (0, "")


@pytest.mark.parametrize("role", ROLES)
def test_the_posture_is_what_docker_says_of_the_running_container(host: SystemdHost, told: Told, role: str) -> None:
    """A flag that Docker reads in another way is a posture on paper."""
    found = host.inspect(f"{FLEET}-{role}")
    config, settings = found["HostConfig"], found["Config"]
    assert config["ReadonlyRootfs"] is True
    assert config["CapDrop"] == ["ALL"]
    assert config["SecurityOpt"] == ["no-new-privileges=true"]
    assert config["Privileged"] is False
    assert 0 < config["Memory"] == config["MemorySwap"]
    assert config["NanoCpus"] == 2 * 10**9
    assert config["PidsLimit"] == 2048
    assert (config["LogConfig"]["Type"], config["LogConfig"]["Config"]["max-size"]) == ("json-file", "10m")
    assert config["NetworkMode"] == ("none" if role == "sandboxd" else "host")
    users = {"database": "999:999", "api": "1001:1001", "worker": "1001:1001", "sandboxd": "0:0"}
    assert settings["User"] == users[role]
    assert settings["Image"].startswith(f"{REGISTRY}/agent-fleet/")
    assert "@sha256:" in settings["Image"]
    mounted = {each["Source"] for each in found["Mounts"]}
    assert ("/var/run/docker.sock" in mounted) == (role == "sandboxd")


def test_only_the_host_itself_reaches_the_database(host: SystemdHost) -> None:
    """On the host's network it would answer the subnet."""
    listening = [line.split()[3] for line in host.run("ss", "-Hltn")[1].splitlines()]
    assert [each for each in listening if each.endswith(":5432")] == ["127.0.0.1:5432"]


def test_secrets_are_roots_and_in_memory(host: SystemdHost) -> None:
    """A snapshot of the root disk would have them."""
    code, said = host.run("stat", "-f", "-c", "%T", "/run/agent-fleet/secrets")
    assert (code, said.strip()) == (0, "tmpfs")
    _, said = host.run("stat", "-c", "%a %U", f"/run/agent-fleet/secrets/{FLEET}-worker.env")
    assert said.strip() == "600 root"


def test_a_job_runs(host: SystemdHost, told: Told) -> None:
    """Units that are active prove nothing of the service."""
    with fleet(host, told) as service:
        result = service.run(Job(language="python", code="print(6 * 7)"))
    assert (result.succeeded, result.stdout) == (True, "42\n")


def test_the_clean_up_keeps_every_image_that_the_plan_names(host: SystemdHost, told: Told) -> None:
    """The next sandbox would have no image."""
    before = host.run("docker", "image", "ls", "--all", "--quiet", "--no-trunc")[1].split()
    code, said = host.run("systemctl", "start", "agent-fleet-clean-up.service")
    assert code == 0, said + host.report()
    after = host.run("docker", "image", "ls", "--all", "--quiet", "--no-trunc")[1].split()
    assert set(after) == set(before)
    assert host.run("systemctl", "is-active", "agent-fleet-clean-up.timer")[0] == 0


def test_a_reboot_brings_everything_back_with_what_was_there(host: SystemdHost, told: Told) -> None:
    """The fleet would stay down after AWS has moved the instance."""
    with fleet(host, told) as service:
        before = service.run(Job(language="bash", code="echo before"))
    host.reboot()
    host.wait(*UNITS, seconds=BOOT_SECONDS)
    with fleet(host, told) as service:
        assert service.result(before.id).stdout == "before\n"
        assert service.run(Job(language="bash", code="echo after")).stdout == "after\n"


def test_a_replaced_instance_ends_the_jobs_that_the_old_one_accepted(host: SystemdHost, told: Told) -> None:
    """What was answered with 202 would be gone with the instance."""
    with fleet(host, told) as service:
        accepted = [service.submit(Job(language="bash", code=f"sleep 15; echo {number}")) for number in range(6)]
    host.stop()
    host.remove()
    machine = first_boot(told)
    try:
        with fleet(machine, told) as service:
            results = [service.wait(each, seconds=300) for each in accepted]
        assert [(each.succeeded, each.stdout) for each in results] == [
            (True, f"{number}\n") for number in range(len(accepted))
        ]
    finally:
        machine.remove()
