"""What `make export` writes: from the fleet's own workloads, in the platforms' own words, without a secret."""

import ast
import hashlib
import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest
from agent_fleet.execution_workloads import WORKER_STOP_MARGIN_SECONDS
from cluster_stacks import existing
from exported_files import DIGESTS, FLEET, plan, write, written
from fleet_runtime.sandboxd.config import SandboxTemplate
from stack_settings import read

from engine.errors import UserFacingError
from engine.export import make_key
from engine.export.fitness import refuse_misfits
from engine.export.fly import sandbox_bridge
from engine.export.fly.fly_sandboxes import machine_request, unfit
from engine.export.toml_text import toml_text

_CHECK = {"interval": str, "timeout": str, "grace_period": str, "method": str, "path": str}
_METRICS = {"port": int, "path": str}
_CONCURRENCY = {"type": str, "hard_limit": int, "soft_limit": int}
FLY_KEYS: Mapping[str, Any] = {
    "app": str,
    "primary_region": str,
    "kill_signal": str,
    "kill_timeout": str,
    "build": {"image": str, "dockerfile": str},
    "env": {"": str},
    "processes": {"": str},
    "http_service": {
        "internal_port": int,
        "force_https": bool,
        "auto_stop_machines": bool,
        "auto_start_machines": bool,
        "min_machines_running": int,
        "concurrency": _CONCURRENCY,
        "checks": [_CHECK],
    },
    "checks": {"": {**_CHECK, "type": str, "port": int}},
    "metrics": _METRICS,
    "vm": [{"cpu_kind": str, "cpus": int, "memory": str}],
}
"""Keys and their types as flyctl reads them (superfly/flyctl, internal/appconfig at 0001e8965aeb) and as SchemaStore's
fly.json has them; `""` stands for any key."""
MACHINE_KEYS = {
    "image": str,
    "auto_destroy": bool,
    "restart": {"policy": str},
    "guest": {"cpu_kind": str, "cpus": int, "memory_mb": int},
    "env": {"": str},
    "metadata": {"": str},
}
"""The same of a Machine (superfly/fly-go, machine_types.go at 005ce19b9f78)."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where both platforms' files are written."""
    return tmp_path_factory.mktemp("export")


def fits(value: object, shape: Any, path: str = "") -> None:
    """Fail for a key that there is not, or a value of another type."""
    if isinstance(shape, list):
        for each in cast("list[Any]", value):
            fits(each, shape[0], path)
    elif isinstance(shape, dict):
        keys = cast("dict[str, Any]", shape)
        for key, inner in cast("dict[str, Any]", value).items():
            assert key in keys or "" in keys, f"{path}.{key}"
            fits(inner, keys.get(key, keys.get("")), f"{path}.{key}")
    else:
        assert type(value) is shape, f"{path}: {value!r}"


@pytest.mark.parametrize("role", ["api", "worker", "sandboxes"])
def test_each_role_has_a_fly_toml_of_keys_that_fly_knows(folder: Path, role: str) -> None:
    """Prevents a file whose misspelt key flyctl drops in silence."""
    document = tomllib.loads((written(folder, "fly") / f"fly.{role}.toml").read_text())
    fits(document, FLY_KEYS)
    assert document["app"] == f"{FLEET}-{role}"


def test_the_api_on_fly_is_the_workload_of_every_other_form(folder: Path) -> None:
    """Prevents a second place where the API's environment, health or end is written."""
    document = tomllib.loads((written(folder, "fly") / "fly.api.toml").read_text())
    assert document["build"] == {"image": DIGESTS["runtime"]}
    assert document["processes"] == {"app": "api"}
    assert document["http_service"]["internal_port"] == 8080
    assert document["env"] == plan(written(folder, "modal"))["roles"]["api"]["environment"]
    assert json.loads(document["env"]["FLEET_TENANT_BUDGETS"]) == [{"tenant": "acme", "jobs_per_day": 100}]
    # 384 MiB, and Fly sells steps of 256.
    assert document["vm"] == [{"cpu_kind": "shared", "cpus": 2, "memory": "512mb"}]


def test_a_worker_on_fly_has_the_time_to_hand_its_jobs_back(folder: Path) -> None:
    """Prevents a deployment that kills workers before their jobs are back in the queue."""
    document = tomllib.loads((written(folder, "fly") / "fly.worker.toml").read_text())
    assert document["kill_timeout"] == f"{10 + WORKER_STOP_MARGIN_SECONDS}s"
    assert document["env"]["FLEET_DRAIN_SECONDS"] == "10"
    template = json.loads(document["env"]["FLEET_SANDBOX_TEMPLATES"])["default"]
    assert template["image"] == f"registry.fly.io/{FLEET}-sandboxes:{'b' * 12}"
    assert SandboxTemplate.model_validate(template).memory_bytes == 512 * 1024 * 1024
    assert "http_service" not in document


@pytest.mark.parametrize("platform", ["fly", "modal"])
def test_no_file_has_a_secret_or_a_variable_for_one(folder: Path, platform: str) -> None:
    """Prevents a password in a folder that people commit."""
    out = written(folder, platform)
    environments: list[Mapping[str, str]] = []
    if platform == "fly":
        for path in out.glob("fly.*.toml"):
            environments.append(tomllib.loads(path.read_text()).get("env", {}))
    else:
        environments += [role["environment"] for role in plan(out)["roles"].values()]
    for environment in environments:
        assert not {"FLEET_DATABASE_URL", "FLEET_BOOTSTRAP_KEYS", "FLEET_FLY_TOKEN"} & set(environment)
    assert "{" not in (out / "README.md").read_text().replace("${", "")


@pytest.mark.parametrize("platform", ["fly", "modal"])
def test_every_program_in_the_folder_is_python_for_its_platform(folder: Path, platform: str) -> None:
    """Prevents a template that was cut off, or one that the image's Python 3.11 does not read."""
    programs = sorted(written(folder, platform).rglob("*.py"))
    assert len(programs) > 3
    for path in programs:
        ast.parse(path.read_text(), feature_version=(3, 11))


def test_modals_own_client_takes_the_app(folder: Path) -> None:
    """Prevents a decorator, argument or image step that Modal's client does not have; no account is asked."""
    out = written(folder, "modal")
    said = subprocess.run(
        [
            sys.executable,
            "-c",
            "import fleet_on_modal as it; print(it.app.name, sorted(it.app.registered_classes)); import modal_worker",
        ],
        cwd=out,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "MODAL_CONFIG_PATH": str(folder / "none.toml")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert said.returncode == 0, said.stderr
    assert said.stdout.split("\n")[0] == f"{FLEET} ['Api', 'Worker']"


def test_the_runtime_that_modal_gets_is_whole(folder: Path) -> None:
    """Prevents an app that lacks a module or a data file of the package."""
    out = written(folder, "modal")
    source = Path(__file__).parents[2] / "images" / "runtime" / "fleet_runtime"
    wanted = {path.relative_to(source) for path in source.rglob("*") if path.is_file() and path.suffix != ".pyc"}
    assert {
        path.relative_to(out / "fleet_runtime") for path in (out / "fleet_runtime").rglob("*") if path.is_file()
    } == (wanted)
    assert "--hash=" in (out / "requirements.txt").read_text()


def test_a_machine_for_a_job_is_used_once_and_large_enough() -> None:
    """Prevents a Machine that starts again with the last job's files, or is smaller than what a job was promised."""
    template = SandboxTemplate(image="i", memory_bytes=512 << 20, cpus=1.5, scratch_bytes=64 << 20)
    body = machine_request("one", template, "t" * 64, region="ams", worker="w", template_name="default")
    fits(body, {"name": str, "region": str, "config": MACHINE_KEYS})
    config = body["config"]
    assert config["auto_destroy"] is True
    assert config["restart"] == {"policy": "no"}
    assert config["guest"] == {"cpu_kind": "shared", "cpus": 2, "memory_mb": 768}
    assert unfit(template) == ""
    assert "at most 16" in unfit(template.model_copy(update={"cpus": 32}))


def test_a_job_on_fly_gets_namespaces_without_a_network_and_no_way_to_flys_own_socket() -> None:
    """Prevents a job that reaches the organisation's network, or makes Machines."""
    command = sandbox_bridge.isolated(1 << 20, 64)
    assert {"--net", "--pid", "--mount", "--ipc", "--kill-child"} <= set(command)
    script = command[-1]
    assert script.index("/.fly") < script.index("setpriv")
    for words in ("--no-new-privs", "--bounding-set=-all", "--reuid=10001", "--nproc=64", "env -i", "ro /"):
        assert words in script


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"images": {}}, "fleet.images.digests is not given"),
        ({"sandbox": {"egress": {"domains": ["pypi.org"]}}}, "fleet.sandbox.egress.domains is given"),
        ({"doorbell": {"kind": "redis"}}, "fleet.doorbell.kind is redis"),
        ({"sandbox": {"runtime": "runsc"}}, "fleet.sandbox.runtime is runsc"),
        ({"workers": {"drain_seconds": 60}}, "fleet.workers.drain_seconds is 60"),
        ({"images": {"digests": {**DIGESTS, "sandbox": f"r.test/s@sha256:{'0' * 64}"}}}, "only an example"),
    ],
)
def test_what_modal_cannot_have_is_refused_by_its_key(given: Mapping[str, Any], words: str) -> None:
    """Prevents a setting that is dropped in silence on the way to a platform."""
    images = {"digests": {**DIGESTS, **({"redis": f"r.test/r@sha256:{'d' * 64}"} if "doorbell" in given else {})}}
    settings = read({"architecture": "vm", "workers": {"drain_seconds": 10}, "images": images, **given})
    with pytest.raises(UserFacingError) as error:
        refuse_misfits(settings, "modal", "Pulumi.probe.yaml")
    assert words in error.value.message
    assert "Pulumi.probe.yaml" in error.value.remedy


def test_a_cluster_is_refused_before_anything_else_is_said() -> None:
    """Prevents a list of faults of which all but one are beside the point."""
    with pytest.raises(UserFacingError) as error:
        refuse_misfits(read(existing()), "fly", "Pulumi.probe.yaml")
    assert error.value.message.count("\n") == 1
    assert "fleet.architecture is cluster" in error.value.message


def test_a_folder_of_somebody_elses_is_left_alone(tmp_path: Path) -> None:
    """Prevents an OUT= that takes away a user's work; what the command wrote itself it writes anew."""
    out = tmp_path / "fly"
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    with pytest.raises(UserFacingError, match="was not written by this command"):
        write(tmp_path, "fly")
    assert (out / "notes.txt").read_text() == "mine"
    (out / ".made-by-agent-fleet").touch()
    write(tmp_path, "fly")
    assert tomllib.loads((out / "fly.api.toml").read_text())
    assert not (out / "notes.txt").exists()


@pytest.mark.parametrize("platform", ["", "heroku"])
def test_a_platform_that_there_is_not_is_refused(tmp_path: Path, platform: str) -> None:
    """Prevents an error that does not say what may be given."""
    with pytest.raises(UserFacingError, match="one of fly, modal"):
        write(tmp_path, platform)


def test_a_made_key_is_one_that_the_api_takes() -> None:
    """Prevents a first key that is refused."""
    key, told = make_key.made()
    (described,) = json.loads(told)
    assert described["key_id"] == key.split("_")[1]
    assert described["sha256"] == hashlib.sha256(key.encode()).hexdigest()
    assert key not in told


def test_toml_reads_back_as_it_was_meant() -> None:
    """Prevents a value with a quote or a newline from breaking the file."""
    document = {
        "text": 'a "quoted"\nline \\ and é',
        "yes": True,
        "list": ["a", "b"],
        "table": {"with.dot": "x", "inner": {"n": 1}},
        "tables": [{"a": 1}, {"b": {"c": 2}}],
    }
    assert tomllib.loads(toml_text(document)) == document
