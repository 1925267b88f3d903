"""compose.yaml: what the workloads make, with the same posture as their other forms, and secrets in files only."""

import json
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from agent_fleet.workload import ScratchMount, VolumeMount, Workload

from engine.composition import fleet, secret_files
from engine.composition.document import FILE, text
from engine.composition.service import service
from engine.paths import CHECKOUT

_SCHEMAS = Path(__file__).parent / "compose_schemas"


@pytest.fixture(scope="module")
def composition() -> dict[str, Any]:
    """The file that is checked in."""
    return yaml.safe_load(FILE.read_text())


def _workloads() -> list[Workload]:
    return [*fleet.orchestrator(), *fleet.agents(), fleet.mcp_proxy(), fleet.devtools()]


def test_the_file_is_what_the_workloads_make() -> None:
    """Prevents a composition that lags behind the fleet: `make compose` writes it anew."""
    assert FILE.read_text() == text(), "run make compose"


@pytest.mark.parametrize("schema", ["compose-spec.json", "docker-compose-1.29.json"])
def test_both_generations_of_compose_can_read_it(composition: dict[str, Any], schema: str) -> None:
    """Prevents a key that only one of Docker Compose 2 and docker-compose 1.29 knows."""
    validator = jsonschema.Draft7Validator(json.loads((_SCHEMAS / schema).read_text()))
    faults = [f"{'.'.join(map(str, each.path))}: {each.message}" for each in validator.iter_errors(composition)]
    assert not faults


@pytest.mark.parametrize("workload", _workloads(), ids=lambda each: each.name)
def test_a_service_has_the_posture_of_its_workload(composition: dict[str, Any], workload: Workload) -> None:
    """Prevents a composition that is easier on its containers than the fleet is elsewhere."""
    found = composition["services"][workload.name]
    assert found["user"] == f"{workload.user.uid}:{workload.user.gid}"
    assert found["read_only"] is True
    assert found["cap_drop"] == ["ALL"]
    assert found["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in found
    assert "cap_add" not in found
    assert found["mem_limit"] == found["memswap_limit"] == f"{workload.resources.memory_mebibytes}m"
    assert found["cpus"] == workload.resources.cpus
    assert found["pids_limit"] == workload.resources.processes
    assert found["stop_grace_period"] == f"{workload.stop_grace_seconds}s"
    assert found["logging"] == {"driver": "json-file", "options": {"max-size": "10m", "max-file": "3"}}
    assert found["healthcheck"]["test"] == ["CMD", *workload.probe.command]
    scratch = [each for each in workload.mounts if isinstance(each, ScratchMount)]
    assert len(found["tmpfs"]) == len(scratch)
    assert all("noexec,nosuid,nodev" in each for each in found["tmpfs"])
    volumes = [each.path for each in workload.mounts if isinstance(each, VolumeMount)]
    assert all(any(f":{path}" in each for each in found.get("volumes", [])) for path in volumes)


def test_only_sandboxd_has_the_docker_socket_and_it_has_no_network(composition: dict[str, Any]) -> None:
    """Prevents an agent, or anything that a network reaches, from owning the host."""
    services = composition["services"]
    having = [
        name for name, each in services.items() if any("docker.sock" in mount for mount in each.get("volumes", []))
    ]
    assert having == ["sandboxd"]
    assert services["sandboxd"]["network_mode"] == "none"
    assert not services["sandboxd"].get("ports")


def test_the_documents_services_are_there_on_one_network(composition: dict[str, Any]) -> None:
    """Prevents a composition that lacks a part (H2, A7, G4)."""
    services = composition["services"]
    always = {name for name, each in services.items() if not each.get("profiles")}
    agents = {"implementation-1", "implementation-2", "implementation-3", "testing-1"}
    assert always == agents | {"database", "redis", "api", "worker", "sandboxd"}
    assert {profile for each in services.values() for profile in each.get("profiles", [])} == {
        "mcp",
        "devtools",
        "build",
    }
    (network,) = composition["networks"].values()
    assert network["driver"] == "bridge"
    assert network["ipam"]["config"] == [{"subnet": "${FLEET_SUBNET:-172.25.0.0/16}"}]
    published = [port for each in services.values() for port in each.get("ports", [])]
    assert published == ["127.0.0.1:${FLEET_API_PORT:-8080}:8080"]
    assert all(each["scale"] == 0 for each in services.values() if each.get("profiles") == ["build"])


def test_a_workload_with_credentials_of_a_cluster_is_refused() -> None:
    """Prevents a service that silently lacks what its program needs."""
    from dataclasses import replace

    from agent_fleet.workload import CredentialsMount

    with pytest.raises(ValueError, match="mounts credentials at /run/token"):
        service(replace(fleet.mcp_proxy(), mounts=(CredentialsMount(path="/run/token"),)), "a-fleet")


def test_secrets_are_files_that_only_their_owner_reaches(tmp_path: Path) -> None:
    """Prevents passwords that other users of the machine can read."""
    made = secret_files.ensure(tmp_path, 8080)
    folder = tmp_path / secret_files.FOLDER
    assert {path.name for path in folder.iterdir()} == set(secret_files.NAMES)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o444}
    assert stat.S_IMODE((tmp_path / secret_files.ENDPOINT).stat().st_mode) == 0o600
    assert len(made) == len(secret_files.NAMES) + 1


def test_secrets_are_made_once_and_agree_with_each_other(tmp_path: Path) -> None:
    """Prevents a database that does not know the password which the API was given."""
    secret_files.ensure(tmp_path, 8080)
    folder = tmp_path / secret_files.FOLDER
    before = {path.name: path.read_text() for path in folder.iterdir()}
    assert secret_files.ensure(tmp_path, 9999) == []
    assert {path.name: path.read_text() for path in folder.iterdir()} == before
    assert before["postgres_password"] in before["fleet_database_url"]
    assert before["redis_password"] in before["fleet_redis_url"]
    key = json.loads((tmp_path / secret_files.ENDPOINT).read_text())["api_key"]
    (described,) = json.loads(before["fleet_bootstrap_keys"])
    assert key.split("_")[1] == described["key_id"]
    assert key not in before["fleet_bootstrap_keys"]


def test_secrets_are_made_by_a_python_that_has_nothing_installed(tmp_path: Path) -> None:
    """Prevents a first use that needs the whole project's environment."""
    script = tmp_path / "engine" / "composition" / "secret_files.py"
    script.parent.mkdir(parents=True)
    script.write_text(Path(secret_files.__file__).read_text())
    run = subprocess.run([sys.executable, "-I", "-S", script], capture_output=True, text=True, check=True, timeout=60)
    assert ".fleet/compose.json" in run.stdout
    for path in (tmp_path / secret_files.FOLDER).iterdir():
        assert path.read_text() not in run.stdout


def test_the_composition_names_the_secrets_and_holds_none(composition: dict[str, Any]) -> None:
    """Prevents a password in a tracked file, or a service whose secret nobody makes."""
    assert set(composition["secrets"]) == set(secret_files.NAMES)
    wanted = {name for each in composition["services"].values() for name in each.get("secrets", [])}
    assert wanted == set(secret_files.NAMES)
    for each in composition["services"].values():
        for name, value in each.get("environment", {}).items():
            assert not any(word in name for word in ("PASSWORD", "KEY", "DATABASE_URL")) or name.endswith("_FILE"), (
                value
            )
    ignored = subprocess.run(["git", "check-ignore", "-q", secret_files.FOLDER], cwd=CHECKOUT, check=False, timeout=60)
    assert ignored.returncode == 0
