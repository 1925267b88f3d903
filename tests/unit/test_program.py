"""The Pulumi program as a whole, run as the engine runs it."""

import json
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml
from recording import Recording, record

PROJECT = Path(__file__).parent.parent.parent
CONFIG = "agent-fleet:fleet"

Run = Callable[..., Recording]


def stack_settings(stack: str) -> Any:
    """What a stack's file sets."""
    return yaml.safe_load((PROJECT / f"Pulumi.{stack}.yaml").read_text(encoding="utf-8"))["config"][CONFIG]


def _not_under_mocks(program: object) -> None:
    """Mocks have no stack, whose end is what an asynchronous entry point delays."""
    del program


@pytest.fixture
def run(preview: bool, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the program for a stack with these settings."""

    def program(stack: str, given: Any, *, secret: bool = False) -> Recording:
        exported: dict[str, Any] = {}

        def keep(name: str, value: Any) -> None:
            exported[name] = value

        def main() -> Any:
            pulumi.runtime.set_all_config({CONFIG: json.dumps(given)}, [CONFIG] if secret else [])
            monkeypatch.setattr(pulumi, "export", keep)
            monkeypatch.setattr(pulumi, "run", _not_under_mocks)
            runpy.run_path(str(PROJECT / "__main__.py"), run_name="__main__")
            return pulumi.Output.all(**exported)

        return record(main, preview=preview, stack=stack)

    return program


def test_the_local_stack_deploys_and_exports_what_a_user_needs(run: Run, preview: bool) -> None:
    """A newcomer's first command would fail, or leave no way in."""
    found = run("test", stack_settings("local"))
    assert set(found.containers()) == {"api", "worker", "sandboxd", "database"}
    if not preview:
        assert set(found.result) == {"url", "api_key", "fleet"}
        assert found.result["fleet"] == "agent-fleet-test"
        assert found.result["url"] == "http://127.0.0.1:8080"


def test_refused_settings_end_the_program_without_a_traceback_or_a_resource(run: Run) -> None:
    """The engine prints a traceback for any exception but RunError, and keeps what was declared before it."""
    with pytest.raises(pulumi.RunError) as error:
        run("test", {"architecture": "vm", "api": {"port": 0}, "sandbx": {}})
    assert error.value.__suppress_context__
    assert str(error.value).splitlines()[0] == "2 settings are refused; nothing was changed."
    assert len(str(error.value).splitlines()) == 3


def test_secret_settings_are_not_shown_when_they_are_refused(run: Run) -> None:
    """The engine's log would hold what the stack's file encrypts."""
    with pytest.raises(pulumi.RunError) as error:
        run("test", {"architecture": "vm", "log_level": "hunter2"}, secret=True)
    assert "hunter2" not in str(error.value)


def test_the_local_cluster_deploys_as_it_is_shipped(run: Run, preview: bool) -> None:
    """A newcomer's first fleet on Kubernetes would fail, or leave no way in."""
    given = stack_settings("local-cluster")
    found = run("test", given)
    wanted = {f"{team}-{name}" for team, each in given["teams"].items() for name in each["pools"]}
    assert {each.name for each in found.of_type("agent-fleet:index:AgentPool")} == wanted
    if not preview:
        assert {"url", "api_key", "api_keys", "fleet", "namespaces", "node_port"} <= set(found.result)
        assert found.result["api_key"] == found.result["api_keys"]["alpha"]


def test_an_update_with_examples_in_its_settings_is_refused_before_anything_is_declared(
    run: Run, preview: bool
) -> None:
    """An account's cluster would be given to the example's administrator, with images that nobody has."""
    if preview:
        assert run("prod", stack_settings("prod")).of_type("agent-fleet:index:AgentPool")
        return
    with pytest.raises(pulumi.RunError) as error:
        run("prod", stack_settings("prod"))
    assert "fleet.images.digests.runtime: given registry.example.com/" in str(error.value)
    assert "fleet.aws.administrators[0]" in str(error.value)


def test_credentials_in_sandboxes_are_warned_of_at_every_preview_and_update(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What gives an account away would be seen once, by whoever wrote it, and by nobody who deploys it later."""
    told: list[str] = []
    monkeypatch.setattr(pulumi.log, "warn", told.append)
    agent = {"credentials": "/etc/agent-fleet/credentials.json", "single_tenant_and_trusted": True}
    run("test", {"architecture": "vm", "agents": {"trusted": agent}})
    assert [line.split()[0] for line in told] == ["fleet.agents.trusted.credentials"]
    told.clear()
    run("test", {"architecture": "vm", "agents": {"trusted": {}}})
    assert told == []
