"""Agent types of a Docker host: their settings, and what API, workers and sandboxd are told of them."""

import json
import re
from pathlib import Path
from typing import Any, get_args

import pytest
from fleet_runtime.config import ApiSettings, WorkerSettings
from fleet_runtime.sandboxd.config import SandboxdSettings
from recording import FLEET, Deploy, Recording, digest
from stack_settings import read
from test_posture import environment

from engine.image_family import matrix
from settings.agent_image_model import AgentDigests, ImportedAgents
from settings.agent_model import PythonTool, Toolchain
from settings.problems import SettingsError

PROJECT = Path(__file__).parent.parent.parent
IMAGE = "registry.example/agents/coder@sha256:" + "c" * 64
CODER: dict[str, Any] = {
    "image": IMAGE,
    "memory_mebibytes": 1024,
    "maximum": 3,
    "prompt_command": ["claude", "--print"],
    "egress": True,
}
BY_DIGEST = {"digests": dict.fromkeys(("runtime", "sandbox", "postgres"), IMAGE)}
WITH_AGENT = {"digests": {**BY_DIGEST["digests"], "agents": {"full": IMAGE}}}
ID = "sha256:" + "d" * 64
IMPORTED = dict.fromkeys(BY_DIGEST["digests"], ID)
EGRESS = {"egress": {"domains": ["api.example.com"]}}


@pytest.fixture(scope="module")
def agents(deploy: Deploy) -> Recording:
    """A fleet with two agent types, one of which may reach a domain."""
    return deploy(agents={"coder": CODER, "tester": {}}, sandbox=EGRESS)


def told(recording: Recording, role: str) -> dict[str, str]:
    """A container's variables."""
    return dict(environment(recording.containers()[role]))


def test_each_agent_type_has_a_worker_of_its_own_beside_those_for_code(agents: Recording) -> None:
    """Jobs of a type that nobody claims would wait for ever."""
    roles = {role for role in agents.containers() if role.startswith("worker")}
    assert roles == {"worker", "worker-coder", "worker-tester"}
    assert {f"{FLEET}-api", f"{FLEET}-sandboxd"} <= set(agents.containers()["worker-coder"].dependencies)
    for role, template, jobs in (("coder", "agent-coder", "3"), ("tester", "agent-tester", "2")):
        given = told(agents, f"worker-{role}")
        assert (given["FLEET_TEMPLATE"], given["FLEET_CONCURRENCY"]) == (template, jobs)


def test_the_programs_accept_what_they_are_told_of_agents(agents: Recording, preview: bool) -> None:
    """A container that refuses its environment restarts for ever."""
    if preview:
        return
    with pytest.MonkeyPatch.context() as patched:
        for role in ("worker-coder", "api", "sandboxd"):
            for name, value in told(agents, role).items():
                patched.setenv(name, value)
        api, sandboxd, worker = ApiSettings(), SandboxdSettings(), WorkerSettings()  # pyright: ignore[reportCallIssue]
    assert worker.concurrency == 3
    coder, tester = api.agents
    assert (coder.agent_type, coder.template, coder.prompt_command) == ("coder", "agent-coder", ("claude", "--print"))
    assert (tester.template, tester.prompt_command) == ("agent-tester", ())
    templates = sandboxd.sandbox_templates
    assert set(templates) == {"default", *api.templates} == {"default", "agent-coder", "agent-tester"}
    assert [templates[each].workspaces for each in ("default", "agent-coder", "agent-tester")] == [False, True, True]
    assert [templates[each].egress for each in ("default", "agent-coder", "agent-tester")] == [True, True, False]
    assert templates["agent-coder"].image == digest("agent-coder")
    assert templates["agent-tester"].image == templates["default"].image
    assert (templates["agent-coder"].maximum, templates["agent-coder"].memory_bytes) == (3, 1024 * 1024 * 1024)


def test_the_proxy_lets_out_those_types_that_may_go_out(agents: Recording, preview: bool) -> None:
    """A type without egress that had a policy would need only a socket."""
    if not preview:
        policies = json.loads(told(agents, "egress")["FLEET_EGRESS_POLICIES"])
        assert set(policies) == {"default", "agent-coder"}


def test_without_agent_types_nothing_is_said_of_them(fleet: Recording) -> None:
    """What is unset behaves as before."""
    assert "FLEET_AGENTS" not in told(fleet, "api")
    assert [role for role in fleet.containers() if role.startswith("worker")] == ["worker"]


@pytest.mark.parametrize(
    ("given", "path", "words"),
    [
        ({"agents": {"a": {"maximum": 7}}}, "limits.max_concurrent_agents", "allowed from 11"),
        ({"agents": {"a": {"scratch_mebibytes": 300}}}, "agents.a.scratch_mebibytes", "allowed up to 256"),
        ({"agents": {"a": {"egress": True}}}, "agents.a.egress", "list domains there"),
        ({"agents": {"a": {"prompt_command": [" "]}}}, "agents.a.prompt_command", "names no program"),
        ({"agents": {"a": {"image": "mine:latest"}}}, "agents.a.image", "digest"),
        ({"agents": {"A": {}}}, "agents", "small letters"),
        ({"agents": {"a": {"toolchain": "go"}}}, "agents.a.toolchain", "python"),
        ({"agents": {"a": {"toolchain": "python", "image": IMAGE}}}, "agents.a.toolchain", "leave one of the two out"),
        (
            {"agents": {"a": {"toolchain": "python", "hardened": True}}, "images": BY_DIGEST},
            "images.digests.agents.python_hardened",
            "agent-fleet/agent-python-hardened",
        ),
        (
            {"agents": {"a": {"toolchain": "node"}}, "images": {"imported": IMPORTED}},
            "images.imported.agents.node",
            "nothing is built",
        ),
        (
            {"agents": {"a": {"toolchain": "full", "tools": ["ruff"]}}, "images": WITH_AGENT},
            "agents.a.tools",
            "nothing is built",
        ),
        ({"images": {"imported": {**IMPORTED, "agents": {"rust": "mine:1"}}}}, "images.imported.agents.rust", "own id"),
        (
            {"images": {"digests": {**BY_DIGEST["digests"], "agents": {"go": IMAGE}}}},
            "images.digests.agents.go",
            "full",
        ),
        ({"agents": {"a": {"hardened": True}}}, "agents.a.hardened", "fleet.agents.a.toolchain"),
        ({"agents": {"a": {"toolchain": "rust", "tools": ["ruff"]}}}, "agents.a.tools", "python and full"),
        (
            {"agents": {"a": {"toolchain": "full", "hardened": True, "tools": ["ruff", "pip"]}}},
            "agents.a.tools",
            "remove pip, or set fleet.agents.a.hardened to false",
        ),
        ({"agents": {"a": {"toolchain": "python", "tools": ["tox"]}}}, "agents.a.tools", "pytest"),
    ],
    ids=str,
)
def test_what_is_wrong_between_agents_and_the_fleet_is_named(given: dict[str, Any], path: str, words: str) -> None:
    """A fleet that runs more agents than its limit, or none at all, would be found out much later."""
    with pytest.raises(SettingsError) as refused:
        read({"architecture": "vm", **given})
    assert path in str(refused.value)
    assert words in str(refused.value)


def test_a_cluster_has_its_agent_types_elsewhere() -> None:
    """The key would be ignored there."""
    with pytest.raises(SettingsError, match=r"fleet\.agent_types"):
        read({"architecture": "cluster", "teams": {"a": {"pools": {"testing": {}}}}, "agents": {"a": {}}})


def test_a_toolchain_chooses_a_target_of_the_agents_dockerfile(deploy: Deploy, preview: bool) -> None:
    """Types with one toolchain must not take each other's tools away, and nobody may keep a copy of a Dockerfile."""
    tools = ["pytest", "bandit"]
    recording = deploy(
        agents={"a": {"toolchain": "python", "tools": tools}, "b": {"toolchain": "rust", "hardened": True}}
    )
    built = {name: recording.one("docker-build:index:Image", name).inputs for name in ("agent-a", "agent-b")}
    assert [built[name]["target"] for name in built] == ["python", "rust-hardened"]
    assert {image["dockerfile"]["location"] for image in built.values()} == {"images/agent/Dockerfile"}
    assert built["agent-a"]["buildArgs"] == {"PYTHON_TOOLS": "pytest bandit"}
    assert len({tag for image in built.values() for tag in image["tags"]}) == 2
    if not preview:
        api = json.loads(told(recording, "api")["FLEET_AGENTS"])
        assert [agent.get("shell", True) for agent in api] == [True, False]
        templates = json.loads(told(recording, "sandboxd")["FLEET_SANDBOX_TEMPLATES"])
        assert templates["agent-b"]["image"] == digest("agent-b")


@pytest.mark.parametrize("source", ["digests", "imported"])
def test_a_stack_that_builds_nothing_takes_its_agents_images_from_the_same_place(
    source: str, deploy: Deploy, preview: bool
) -> None:
    """The agents' images would be built where nothing can be, or would be others than those that were judged."""
    reference = IMAGE if source == "digests" else ID
    given = dict.fromkeys(("runtime", "sandbox", "postgres"), reference)
    recording = deploy(
        agents={
            "a": {"toolchain": "python"},
            "b": {"toolchain": "node", "hardened": True},
            "c": {"toolchain": "rust"},
        },
        images={source: {**given, "agents": {"python": reference, "node_hardened": reference, "rust": reference}}},
    )
    assert not recording.of_type("docker-build:index:Image")
    pulled = {each.name: each.inputs["name"] for each in recording.of_type("docker:index/remoteImage:RemoteImage")}
    assert {name: pulled[name] for name in pulled if name.startswith("agent-")} == dict.fromkeys(
        ("agent-a", "agent-b", "agent-c"), reference
    )
    if not preview:
        templates = json.loads(told(recording, "sandboxd")["FLEET_SANDBOX_TEMPLATES"])
        assert templates["agent-b"]["image"] == digest("agent-b")
        assert [each.get("shell", True) for each in json.loads(told(recording, "api")["FLEET_AGENTS"])] == [
            True, False, True,
        ]  # fmt: skip


def test_a_cluster_takes_its_agents_images_by_type() -> None:
    """The key would be ignored there."""
    with pytest.raises(SettingsError, match=r"fleet\.agent_types\.<agent_type>\.sandbox\.image"):
        read({"architecture": "cluster", "teams": {"a": {"pools": {"testing": {}}}}, "images": WITH_AGENT})


def test_the_settings_have_a_place_for_each_agents_image_of_the_family() -> None:
    """An image that is built, signed and bundled could not be named."""
    family = {each.name for each in matrix.load().image if each.name.startswith("agent-")}
    assert {f"agent-{name.replace('_', '-')}" for name in AgentDigests.model_fields} == family
    assert set(ImportedAgents.model_fields) == set(AgentDigests.model_fields)


def test_every_tool_of_the_settings_has_a_list_with_hashes() -> None:
    """The build would end with a missing file, on the user's machine."""
    lists = {path.stem for path in (PROJECT / "images" / "agent" / "tools").glob("*.txt")}
    assert set(get_args(PythonTool)) == lists
    dockerfile = (PROJECT / "images" / "agent" / "Dockerfile").read_text()
    stages = set(re.findall(r" AS ([a-z-]+)$", dockerfile, re.MULTILINE))
    assert {f"{name}{end}" for name in get_args(Toolchain) for end in ("", "-hardened")} <= stages
