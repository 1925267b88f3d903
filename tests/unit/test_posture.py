"""The security posture of everything that the vm architecture starts, as relations."""

import json
from collections.abc import Mapping

import pytest
from recording import FLEET, UNKNOWN, Declared, Deploy, Recording, digest

ROLES = ("api", "database", "sandboxd", "worker")
CONTAINER = "docker:index/container:Container"


def environment(container: Declared) -> Mapping[str, str]:
    """A container's variables, those left out that a preview cannot know."""
    known = [each for each in container.inputs["envs"] if each is not UNKNOWN]
    return dict(each.split("=", 1) for each in known)


def networks(container: Declared) -> set[str]:
    """The networks that a container is on."""
    return {each["name"].removeprefix(f"{FLEET}-") for each in container.inputs.get("networksAdvanced", [])}


def host_paths(container: Declared) -> set[str]:
    """The paths of the host that a container sees."""
    return {each["hostPath"] for each in container.inputs.get("volumes", []) if "hostPath" in each}


def test_the_fleet_is_one_container_for_each_role(fleet: Recording) -> None:
    """A posture test over no containers would pass: the containers must be there to be judged."""
    assert set(fleet.containers()) == set(ROLES)


def test_a_second_and_third_worker_get_names_of_their_own(deploy: Deploy) -> None:
    """Two containers of one name cannot both be started."""
    given = deploy(workers={"count": 3, "concurrency": 2})
    assert set(given.containers()) == {*ROLES, "worker-2", "worker-3"}


@pytest.mark.parametrize("role", ROLES)
class TestEveryContainer:
    """What holds for all of the fleet's own programs."""

    def test_has_a_read_only_root(self, fleet: Recording, role: str) -> None:
        """An intruder could change the program that runs."""
        assert fleet.containers()[role].inputs["readOnly"] is True

    def test_has_no_capability_and_gains_none(self, fleet: Recording, role: str) -> None:
        """A setuid program, or root's capabilities, would open the host."""
        inputs = fleet.containers()[role].inputs
        assert inputs["capabilities"] == {"drops": ["ALL"]}
        assert inputs["securityOpts"] == ["no-new-privileges:true"]
        assert "privileged" not in inputs
        assert "devices" not in inputs

    def test_shares_no_namespace_of_the_host(self, fleet: Recording, role: str) -> None:
        """The host's processes, users or network would be in reach."""
        inputs = fleet.containers()[role].inputs
        assert not {"pidMode", "ipcMode", "usernsMode"} & inputs.keys()
        assert inputs.get("networkMode") in (None, "none")

    def test_has_limits_on_memory_and_cpu_and_no_swap(self, fleet: Recording, role: str) -> None:
        """One program in trouble would take the host with it."""
        inputs = fleet.containers()[role].inputs
        assert 0 < inputs["memory"] <= 512
        assert inputs["memorySwap"] == inputs["memory"]
        assert float(inputs["cpus"]) > 0

    def test_keeps_a_bounded_log(self, fleet: Recording, role: str) -> None:
        """Docker's own default fills the disk."""
        inputs = fleet.containers()[role].inputs
        assert inputs["logDriver"] == "json-file"
        assert inputs["logOpts"] == {"max-size": "10m", "max-file": "3"}

    def test_is_probed_and_waited_for(self, fleet: Recording, role: str) -> None:
        """What depends on a container would start before that one can answer."""
        inputs = fleet.containers()[role].inputs
        assert inputs["healthcheck"]["tests"][0] == "CMD"
        assert len(inputs["healthcheck"]["tests"]) > 1
        assert inputs["wait"] is True
        assert inputs["waitTimeout"] > int(inputs["healthcheck"]["startPeriod"].removesuffix("s"))

    def test_comes_back_after_a_restart_of_the_host(self, fleet: Recording, role: str) -> None:
        """The fleet would stay down after a power failure."""
        assert fleet.containers()[role].inputs["restart"] == "unless-stopped"

    def test_is_given_the_same_grace_by_docker_and_by_the_provider(self, fleet: Recording, role: str) -> None:
        """The provider kills at once without its own grace period, and `docker stop` after 10 s without the other."""
        inputs = fleet.containers()[role].inputs
        assert inputs["stopTimeout"] == inputs["destroyGraceSeconds"] >= 10

    def test_carries_the_labels_by_which_it_is_found(self, fleet: Recording, role: str) -> None:
        """What has no label survives a clean-up."""
        labels = {each["label"]: each["value"] for each in fleet.containers()[role].inputs["labels"]}
        assert labels == {"agent-fleet.fleet": FLEET, "agent-fleet.role": role}

    def test_runs_its_image_by_content(self, fleet: Recording, role: str, preview: bool) -> None:
        """A tag that moves would start something that nobody judged."""
        image = fleet.containers()[role].inputs["image"]
        assert image is UNKNOWN if preview else image == digest("postgres" if role == "database" else "runtime")

    def test_has_a_scratch_directory_that_is_bounded_and_runs_nothing(self, fleet: Recording, role: str) -> None:
        """A download into /tmp could be executed, or fill the host's memory."""
        for options in fleet.containers()[role].inputs["tmpfs"].values():
            assert {"noexec", "nosuid", "nodev"} <= set(options.split(","))
            assert "size=" in options

    def test_is_removed_before_its_replacement_is_made(self, fleet: Recording, role: str) -> None:
        """Its name is fixed: the new container could not be created beside the old one."""
        assert fleet.containers()[role].delete_before_replace is True


def test_only_sandboxd_is_root(fleet: Recording) -> None:
    """A second program as root would own whatever it can reach."""
    users = {role: each.inputs["user"] for role, each in fleet.containers().items()}
    assert users == {"api": "1001:1001", "worker": "1001:1001", "database": "999:999", "sandboxd": "0:0"}


def test_every_user_but_root_has_a_limit_on_processes(fleet: Recording) -> None:
    """A fork loop in a program of ours would take the host's process table."""
    for role, container in fleet.containers().items():
        limits = {each["name"]: each["hard"] for each in container.inputs.get("ulimits", [])}
        # The kernel exempts uid 0 from this limit: setting it there would only pretend.
        assert limits == ({} if role == "sandboxd" else {"nproc": 2048})


def test_only_sandboxd_holds_the_docker_socket(fleet: Recording) -> None:
    """Whoever holds it is root on the host."""
    holders = {role: host_paths(each) for role, each in fleet.containers().items() if host_paths(each)}
    assert holders == {"sandboxd": {"/var/run/docker.sock"}}


def test_sandboxd_has_no_network(fleet: Recording) -> None:
    """What can create containers must not be in reach of anything but its own socket."""
    sandboxd = fleet.containers()["sandboxd"]
    assert sandboxd.inputs["networkMode"] == "none"
    assert networks(sandboxd) == set()
    assert "ports" not in sandboxd.inputs


def test_only_the_api_is_on_the_frontend(fleet: Recording) -> None:
    """The database and the workers would have a way out and a way in."""
    found = {role: networks(each) for role, each in fleet.containers().items()}
    assert found == {"api": {"frontend", "backend"}, "worker": {"backend"}, "database": {"backend"}, "sandboxd": set()}


def test_the_backend_network_is_internal(fleet: Recording) -> None:
    """Database and workers would reach the world."""
    found = {
        each.inputs["name"]: each.inputs.get("internal", False)
        for each in fleet.of_type("docker:index/network:Network")
    }
    assert found == {f"{FLEET}-frontend": False, f"{FLEET}-backend": True}


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "192.0.2.7"])
def test_the_only_published_port_is_the_apis_on_the_address_set(deploy: Deploy, address: str) -> None:
    """Docker publishes on every address by default, past the host's firewall."""
    given = deploy(api={"bind_address": address, "port": 18_080})
    published = {role: each.inputs["ports"] for role, each in given.containers().items() if "ports" in each.inputs}
    assert published == {"api": [{"internal": 8080, "external": 18_080, "ip": address, "protocol": "tcp"}]}


def test_the_metrics_are_not_published(fleet: Recording) -> None:
    """The job contract keeps them off the public listener."""
    assert {each["internal"] for each in fleet.containers()["api"].inputs["ports"]} == {8080}


def test_only_the_hash_of_the_api_key_reaches_a_container(fleet: Recording, preview: bool) -> None:
    """Who reads the API's environment would hold a key that works."""
    if preview:
        assert fleet.result is UNKNOWN
        return
    key: str = fleet.result["api_key"]
    secret = key.rsplit("_", 1)[1]
    for container in fleet.containers().values():
        assert secret not in json.dumps(dict(container.inputs))
    (given,) = json.loads(environment(fleet.containers()["api"])["FLEET_BOOTSTRAP_KEYS"])
    assert given["key_id"] == key.split("_")[1]
    assert len(given["sha256"]) == 64


def test_the_api_key_is_a_secret_with_256_random_bits(fleet: Recording) -> None:
    """It would be readable in the state, in a preview and in the log."""
    assert fleet.result_is_secret is True
    lengths = {each.name: each.inputs["length"] for each in fleet.of_type("random:index/randomBytes:RandomBytes")}
    assert lengths == {f"{FLEET}-api-key": 32, f"{FLEET}-api-key-id": 4}


def test_environments_with_a_password_are_secret(fleet: Recording) -> None:
    """A preview would print the database's password."""
    secret = {role for role, each in fleet.containers().items() if "envs" in each.secret_inputs}
    assert {"api", "database", "worker"} <= secret


def test_the_password_is_only_where_the_database_is_used(fleet: Recording, preview: bool) -> None:
    """sandboxd needs no database, so it must not have its password."""
    if preview:
        return
    holders = {role for role, each in fleet.containers().items() if "Password" * 4 in json.dumps(dict(each.inputs))}
    assert holders == {"api", "database", "worker"}


def test_networks_and_volumes_carry_the_labels(fleet: Recording) -> None:
    """What has no label survives a clean-up after a crash."""
    for kind in ("network", "volume"):
        found = fleet.of_type(f"docker:index/{kind}:{kind.capitalize()}")
        assert len(found) == 2
        for each in found:
            labels = {label["label"]: label["value"] for label in each.inputs["labels"]}
            assert labels == {"agent-fleet.fleet": FLEET, "agent-fleet.role": kind}


def test_no_resource_is_without_a_component(fleet: Recording) -> None:
    """A resource beside its component is not destroyed, found or moved with it."""
    for each in fleet.resources:
        is_component = each.type.startswith("agent-fleet:")
        assert is_component == ("::pulumi:pulumi:Stack::" in each.parent), each.name


def test_every_type_that_was_declared_is_known(fleet: Recording) -> None:
    """A new kind of resource must come with its own posture tests."""
    assert {each.type for each in fleet.resources if not each.type.startswith("agent-fleet:")} == {
        CONTAINER,
        "docker-build:index:Image",
        "docker:index/network:Network",
        "docker:index/volume:Volume",
        "random:index/randomBytes:RandomBytes",
        "random:index/randomPassword:RandomPassword",
    }
