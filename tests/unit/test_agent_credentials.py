"""Credentials in an agent type's sandboxes: only where they were asked for twice, and for one tenant."""

import json
from pathlib import Path
from typing import Any

import docker
import pytest
from agent_fleet.docker.execution import BOOTSTRAP_TENANT
from fleet_runtime.agent_script import agent_environment
from fleet_runtime.api.pools import Routes
from fleet_runtime.api.problems import Problem
from fleet_runtime.config import ApiSettings
from fleet_runtime.sandboxd.config import SandboxdSettings, SandboxTemplate
from fleet_runtime.sandboxd.docker_backend import DockerBackend
from fleet_runtime.sandboxd.docker_posture import container_config
from fleet_runtime.sandboxd.kubernetes_config import KubernetesSettings
from fleet_runtime.sandboxd.refused import RefusedError
from fleet_runtime.sandboxd.request import Request
from fleet_runtime.sandboxd.server import Sandboxd
from pydantic import ValidationError
from recording import Deploy
from stack_settings import read
from test_posture import environment

from settings.agent_model import CREDENTIALS_TENANT
from settings.problems import SettingsError
from settings.relations import warnings

FILE = "/etc/agent-fleet/credentials.json"
TRUSTED: dict[str, Any] = {"credentials": FILE, "single_tenant_and_trusted": True}
MEBIBYTE = 1024 * 1024
PLAIN: dict[str, Any] = {
    "image": "sha256:" + "0" * 64, "memory_bytes": 256 * MEBIBYTE, "scratch_bytes": 64 * MEBIBYTE, "warm": 0,
}  # fmt: skip
NO_PATH, NOBODYS = ({**PLAIN, "credentials": each} for each in ({"file": "x.json", "tenant": "a"}, {"file": FILE}))
TEMPLATE = {**PLAIN, "credentials": {"file": FILE, "tenant": "default"}}


def container(given: dict[str, Any]) -> dict[str, Any]:
    """What Docker would be told of a sandbox; it is not asked."""
    client = docker.APIClient("unix:///nowhere", version="1.41")
    config = container_config(client, "fleet", "name", SandboxTemplate.model_validate(given), Path("/egress"))
    client.close()
    return config


def test_the_file_is_read_only_where_the_cli_looks_in_its_home() -> None:
    """A job could otherwise change the host's file, or the CLI would find none."""
    config = container(TEMPLATE)
    home = agent_environment(None)["HOME"]
    (mount,) = config["host_config"]["Mounts"]
    assert mount == {
        "Type": "bind", "Source": FILE, "Target": f"{home}/.claude/.credentials.json", "ReadOnly": True,
    }  # fmt: skip
    assert "uid=10001" in config["host_config"]["Tmpfs"][f"{home}/.claude"], "the CLI writes beside it"


def test_without_credentials_a_sandbox_is_what_it_was() -> None:
    """The exception must not reach those who did not ask for it."""
    config = container(PLAIN)
    assert not config["host_config"].get("Mounts")
    assert set(config["host_config"]["Tmpfs"]) == {"/job", "/tmp", "/dev/shm"}


@pytest.mark.parametrize("tenant", ["other", "", "Default", "default "])
async def test_sandboxd_refuses_another_tenants_job(tenant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An API of an older version, or a job that was queued before, would carry one tenant's account to another."""
    monkeypatch.setenv("FLEET_NAME", "fleet")
    monkeypatch.setenv("FLEET_SANDBOX_TEMPLATES", json.dumps({"default": PLAIN, "agent-a": TEMPLATE}))
    told = SandboxdSettings()  # pyright: ignore[reportCallIssue] - from the environment
    daemon = Sandboxd(told, DockerBackend("fleet", "unix:///nowhere", Path("/egress")))
    own = Request("agent-a", "j", 1, 5, b"{}", CREDENTIALS_TENANT)
    assert daemon._source(own).name == "agent-a"  # pyright: ignore[reportPrivateUsage] - the one way to a sandbox
    with pytest.raises(RefusedError, match="one tenant's credentials"):
        daemon._source(Request("agent-a", "j", 1, 5, b"{}", tenant))  # pyright: ignore[reportPrivateUsage]
    daemon._source(Request("default", "j", 1, 5, b"{}", tenant))  # pyright: ignore[reportPrivateUsage]


def test_the_api_has_the_type_for_its_tenant_alone() -> None:
    """A job that waits in the queue only to be refused by sandboxd says nothing to whoever sent it."""
    agents = [
        {"agent_type": "a", "template": "agent-a", "tenant": "default"},
        {"agent_type": "b", "template": "agent-b"},
    ]
    routes = Routes(ApiSettings.model_validate({"database_url": "postgresql://host/database", "agents": agents}))
    assert routes.of_job("default", None, "a") == routes.template("default", "a") == "agent-a"
    assert routes.of_job("other", None, "b") == "agent-b"
    for refused in (lambda: routes.of_job("other", None, "a"), lambda: routes.template("other", "a")):
        with pytest.raises(Problem) as problem:
            refused()
        assert "allowed are b" in str(problem.value.errors)


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"FLEET_SANDBOXD_BACKEND": "oci"}, "user IDs of its own"),
        ({"FLEET_SANDBOX_TEMPLATES": json.dumps({"a": NO_PATH})}, "file"),
        ({"FLEET_SANDBOX_TEMPLATES": json.dumps({"a": NOBODYS})}, "tenant"),
    ],
)  # fmt: skip
def test_a_template_that_could_not_keep_to_it_is_refused(
    variables: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file for nobody in particular would be everybody's."""
    monkeypatch.setenv("FLEET_NAME", "fleet")
    monkeypatch.setenv("FLEET_SANDBOX_TEMPLATES", json.dumps({"agent-a": TEMPLATE}))
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError, match=said):
        SandboxdSettings()  # pyright: ignore[reportCallIssue] - from the environment


def test_a_pod_has_no_file_of_its_node() -> None:
    """The pods are the Deployment's, and the template would say what no pod does."""
    with pytest.raises(ValidationError, match="mounts no file of its node"):
        KubernetesSettings.model_validate({"sandbox_templates": {"default": TEMPLATE}})


@pytest.mark.parametrize(
    ("agent", "others", "path", "words"),
    [
        ({"credentials": FILE}, {}, "agents.a.credentials", "fleet.agents.a.single_tenant_and_trusted: true"),
        ({"single_tenant_and_trusted": True}, {}, "agents.a.single_tenant_and_trusted", "means nothing"),
        (TRUSTED, {"tenants": {"other": {}}}, "agents.a.credentials", "fleet.tenants has other"),
        ({**TRUSTED, "credentials": "~/.claude/.credentials.json"}, {}, "agents.a.credentials", "absolute path"),
        ({**TRUSTED, "credentials": "/var/run/docker.sock"}, {}, "agents.a.credentials", "absolute path"),
    ],
)
def test_credentials_take_a_stack_of_one_tenant_that_says_so(
    agent: dict[str, Any], others: dict[str, Any], path: str, words: str
) -> None:
    """Strangers' jobs would be handed an account because somebody filled in a path."""
    with pytest.raises(SettingsError) as refused:
        read({"architecture": "vm", "agents": {"a": agent}, **others})
    assert f"fleet.{path}" in str(refused.value)
    assert words in str(refused.value)


def test_the_programs_and_the_user_are_told(deploy: Deploy, preview: bool) -> None:
    """The setting would look as if it worked, or nobody would know what it costs."""
    given: dict[str, Any] = {"agents": {"a": TRUSTED, "b": {}}, "tenants": {CREDENTIALS_TENANT: {"jobs_per_day": 5}}}
    (warning,) = warnings(read({"architecture": "vm", **given}))
    assert "fleet.agents.a.credentials" in warning
    assert warnings(read({"architecture": "vm", "agents": {"b": {}}})) == ()
    recording = deploy(**given)
    if preview:
        return
    assert CREDENTIALS_TENANT == BOOTSTRAP_TENANT
    variables = {role: dict(environment(each)) for role, each in recording.containers().items()}
    templates = json.loads(variables["sandboxd"]["FLEET_SANDBOX_TEMPLATES"])
    assert templates["agent-a"]["credentials"] == {"file": FILE, "tenant": BOOTSTRAP_TENANT}
    assert [name for name in templates if "credentials" in templates[name]] == ["agent-a"]
    assert [each.get("tenant") for each in json.loads(variables["api"]["FLEET_AGENTS"])] == [BOOTSTRAP_TENANT, None]


def test_the_path_is_all_that_the_program_knows(deploy: Deploy, tmp_path: Path) -> None:
    """What the program reads ends up in state and previews."""
    secret = tmp_path / "credentials.json"
    secret.write_text("sk-never-read")
    secret.chmod(0)
    found = deploy(agents={"a": {**TRUSTED, "credentials": str(secret)}})
    assert "sk-never-read" not in str([each.inputs for each in found.resources])
