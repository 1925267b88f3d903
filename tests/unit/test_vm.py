"""How the parts of the vm architecture depend on each other and on the settings."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from recording import FLEET, UNKNOWN, Deploy, Recording, digest

from settings.problems import SettingsError

PROJECT = Path(__file__).parent.parent.parent


def environment(recording: Recording, role: str) -> Mapping[str, str]:
    """A container's variables, those left out that a preview cannot know."""
    known = [each for each in recording.containers()[role].inputs["envs"] if each is not UNKNOWN]
    return dict(each.split("=", 1) for each in known)


def test_a_worker_is_given_time_to_drain(deploy: Deploy) -> None:
    """Docker would kill it while it still finishes or hands back its jobs."""
    worker = deploy(workers={"drain_seconds": 300}).containers()["worker"].inputs
    assert worker["stopTimeout"] > 300


def test_the_service_waits_for_the_database_and_workers_for_all_else(fleet: Recording) -> None:
    """Programs would crash and restart until what they need is there."""
    service = fleet.one("agent-fleet:index:ExecutionService", FLEET)
    assert f"{FLEET}-database" in service.dependencies
    worker = fleet.containers()["worker"]
    assert {f"{FLEET}-api", f"{FLEET}-sandboxd"} <= set(worker.dependencies)


def test_a_new_database_container_replaces_no_other(fleet: Recording) -> None:
    """Containers that read an output of it would be torn down with it."""
    for role in ("api", "worker"):
        assert f"{FLEET}-database" not in fleet.containers()[role].dependencies


def test_the_data_is_on_a_volume_and_nothing_else_mounts_it(fleet: Recording) -> None:
    """Jobs would be lost with the container, or read past the database's own rules."""
    mounts = {
        role: {
            each["containerPath"]: each["volumeName"]
            for each in container.inputs.get("volumes", [])
            if "volumeName" in each
        }
        for role, container in fleet.containers().items()
    }
    assert mounts["database"] == {"/var/lib/postgresql/data": f"{FLEET}-database"}
    assert mounts["api"] == {}
    assert mounts["worker"] == mounts["sandboxd"] == {"/run/fleet": f"{FLEET}-run"}


def test_a_worker_cannot_replace_the_socket_of_sandboxd(fleet: Recording) -> None:
    """A worker that was taken over could listen in sandboxd's place."""
    (mount,) = fleet.containers()["worker"].inputs["volumes"]
    assert mount["readOnly"] is True


def test_sandboxd_admits_only_the_user_that_workers_run_as(fleet: Recording) -> None:
    """Nobody could run a job, or anybody could."""
    given = environment(fleet, "sandboxd")
    worker = fleet.containers()["worker"].inputs["user"]
    assert worker == f"{given['FLEET_SANDBOXD_ALLOWED_UIDS']}:{given['FLEET_SANDBOXD_SOCKET_GID']}"
    assert fleet.containers()["sandboxd"].inputs["groupAdds"] == [given["FLEET_SANDBOXD_SOCKET_GID"]]
    assert given["FLEET_SANDBOXD_SOCKET"] == environment(fleet, "worker")["FLEET_SANDBOXD_SOCKET"]


def test_the_worker_asks_for_a_template_that_sandboxd_has(fleet: Recording, preview: bool) -> None:
    """Every job would be refused as unknown_template."""
    if preview:
        return
    templates = json.loads(environment(fleet, "sandboxd")["FLEET_SANDBOX_TEMPLATES"])
    assert set(templates) == {environment(fleet, "worker")["FLEET_TEMPLATE"]}
    assert templates["default"]["image"] == digest("sandbox")


def test_every_setting_reaches_the_program_that_it_is_for(deploy: Deploy, preview: bool) -> None:
    """A setting that nothing reads promises what is not done."""
    given = deploy(
        log_level="debug",
        limits={"max_concurrent_agents": 33, "task_timeout_seconds": 301, "max_attempts": 5},
        api={"default_timeout_seconds": 61, "queue_limit": 62, "result_ttl_seconds": 63, "tombstone_ttl_seconds": 64},
        workers={"count": 2, "concurrency": 7, "drain_seconds": 65, "lease_seconds": 66, "lease_renew_seconds": 12},
        sandbox={
            "runtime": "runsc",
            "memory_mebibytes": 600,
            "cpus": 0.5,
            "processes": 99,
            "scratch_mebibytes": 100,
            "warm": 3,
            "maximum": 15,
            "start_timeout_seconds": 44,
            "cpu_seconds": 12.5,
            "languages": ["node", "python"],
        },
        database={"memory_mebibytes": 300},
    )
    api, worker, sandboxd = (environment(given, role) for role in ("api", "worker", "sandboxd"))
    assert {name: value for name, value in api.items() if "LISTEN" not in name} == {
        **{name: api[name] for name in ("FLEET_BOOTSTRAP_KEYS", "FLEET_DATABASE_URL") if not preview},
        "FLEET_NAME": FLEET,
        "FLEET_LOG_LEVEL": "debug",
        "FLEET_LANGUAGES": "node,python",
        "FLEET_DEFAULT_TIMEOUT_SECONDS": "61",
        "FLEET_MAX_TIMEOUT_SECONDS": "301",
        "FLEET_MAX_ATTEMPTS": "5",
        "FLEET_QUEUE_LIMIT": "62",
        "FLEET_LARGE_BODIES": "3",
        "FLEET_RESULT_TTL_SECONDS": "63",
        "FLEET_TOMBSTONE_TTL_SECONDS": "64",
        "FLEET_TENANT_BUDGETS": "[]",
    }
    assert worker["FLEET_CONCURRENCY"] == "7"
    assert worker["FLEET_DRAIN_SECONDS"] == "65"
    assert worker["FLEET_LEASE_SECONDS"] == "66"
    assert worker["FLEET_LEASE_RENEW_SECONDS"] == "12"
    assert sandboxd["FLEET_LOG_LEVEL"] == "debug"
    assert given.containers()["database"].inputs["memory"] == 300
    if not preview:
        assert json.loads(sandboxd["FLEET_SANDBOX_TEMPLATES"])["default"] == {
            "image": digest("sandbox"),
            "runtime": "runsc",
            "memory_bytes": 600 * 1024 * 1024,
            "cpus": 0.5,
            "pids": 99,
            "scratch_bytes": 100 * 1024 * 1024,
            "warm": 3,
            "maximum": 15,
            "start_timeout_seconds": 44,
            "cpu_seconds": 12.5,
        }


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:9000"),
        ("0.0.0.0", "http://127.0.0.1:9000"),
        ("::", "http://[::1]:9000"),
        ("::1", "http://[::1]:9000"),
    ],
)
def test_the_url_can_be_used_as_it_is(deploy: Deploy, preview: bool, address: str, url: str) -> None:
    """An address to listen on is not always one to connect to."""
    result: Any = deploy(api={"bind_address": address, "port": 9000}).result
    assert result is UNKNOWN if preview else result["url"] == url


def test_a_preview_builds_and_pushes_nothing(fleet: Recording) -> None:
    """A preview must change nothing, on the host or in a registry."""
    images = fleet.of_type("docker-build:index:Image")
    assert {each.name for each in images} == {"runtime", "sandbox", "postgres"}
    for each in images:
        assert each.inputs["buildOnPreview"] is False
        assert each.inputs["push"] is False
        assert each.inputs["load"] is True
        assert "exports" not in each.inputs


def test_each_image_is_built_from_a_folder_of_this_project(fleet: Recording) -> None:
    """An absolute path in the state would build everything anew on the next machine."""
    for each in fleet.of_type("docker-build:index:Image"):
        location = each.inputs["context"]["location"]
        assert (PROJECT / "images" / each.name).is_dir()
        assert location == f"images/{each.name}"


def test_fleets_on_one_host_have_image_tags_of_their_own(fleet: Recording) -> None:
    """Destroying one fleet would untag the images of another."""
    for each in fleet.of_type("docker-build:index:Image"):
        assert each.inputs["tags"] == [f"agent-fleet/{each.name}:{FLEET}"]


def test_the_certificates_are_a_build_secret_and_rebuild_nothing(deploy: Deploy, tmp_path: Path) -> None:
    """They would be in a layer, or another machine's certificates would build all images anew."""
    bundle = tmp_path / "ca.pem"
    bundle.write_text("-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----\n", encoding="utf-8")
    for each in deploy(images={"build": {"ca_bundle": str(bundle)}}).of_type("docker-build:index:Image"):
        assert "BEGIN CERTIFICATE" in each.inputs["secrets"]["ca"]
        assert "secrets" in each.secret_inputs
        assert each.inputs["ignoreSecretsInDiffCalculation"] == ["ca"]
        assert "buildArgs" not in each.inputs


def test_images_are_built_without_a_secret_if_certificates_are_off(deploy: Deploy) -> None:
    """`none` must mean none."""
    for each in deploy(images={"build": {"ca_bundle": "none"}}).of_type("docker-build:index:Image"):
        assert "secrets" not in each.inputs


def test_a_ca_bundle_that_is_not_there_is_refused_before_anything_is_declared(deploy: Deploy, tmp_path: Path) -> None:
    """Builds would fail minutes later with an error of pip's."""
    with pytest.raises(SettingsError) as refused:
        deploy(images={"build": {"ca_bundle": str(tmp_path / "missing.pem")}})
    assert "fleet.images.build.ca_bundle" in str(refused.value)
    assert "no such file" in str(refused.value)


def test_a_stack_that_only_promotes_builds_nothing(deploy: Deploy, preview: bool) -> None:
    """What was judged and what runs would not be the same image."""
    digests = {name: f"registry.example/fleet/{name}@{digest(name)}" for name in ("runtime", "sandbox", "postgres")}
    given = deploy(images={"digests": digests})
    assert given.of_type("docker-build:index:Image") == []
    pulled = {each.name: each.inputs["name"] for each in given.of_type("docker:index/remoteImage:RemoteImage")}
    assert pulled == digests
    if not preview:
        assert given.containers()["api"].inputs["image"] == digest("runtime")


def test_a_bundle_that_the_environment_names_is_used(
    deploy: Deploy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Builds behind a proxy that inspects TLS would fail."""
    bundle = tmp_path / "own.pem"
    bundle.write_text("-----BEGIN CERTIFICATE-----\nown\n-----END CERTIFICATE-----\n", encoding="utf-8")
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    for each in deploy().of_type("docker-build:index:Image"):
        assert "own" in each.inputs["secrets"]["ca"]
