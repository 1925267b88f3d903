"""A stack's file, read strictly before anything is made."""

from pathlib import Path

import pytest

from settings.check import check
from settings.problems import SettingsError

_PROJECT = Path(__file__).parents[2]


def _problem(tmp_path: Path, text: str) -> str:
    file = tmp_path / "Pulumi.local.yaml"
    file.write_text(text)
    with pytest.raises(SettingsError) as refused:
        check("local", str(file))
    return str(refused.value)


@pytest.mark.parametrize("key", ["agent-fleet:fleet.api.port", "agent-fleet:flet", "agent-fleet:api"])
def test_a_key_beside_the_settings_is_refused(tmp_path: Path, key: str) -> None:
    """Prevents `pulumi config set` without --path from being ignored in silence."""
    problem = _problem(tmp_path, f"config:\n  {key}: 1\n  agent-fleet:fleet: {{architecture: vm}}\n")
    assert key in problem
    assert "--path 'agent-fleet:fleet." in problem


def test_a_key_that_stands_twice_is_refused(tmp_path: Path) -> None:
    """Prevents the first of two values from being dropped in silence."""
    problem = _problem(tmp_path, "config:\n  agent-fleet:fleet:\n    architecture: vm\n    architecture: queue\n")
    assert "'architecture' stands twice" in problem


def test_a_value_inside_itself_is_refused(tmp_path: Path) -> None:
    """Prevents a YAML alias from ending in a stack trace."""
    assert "contains itself" in _problem(tmp_path, "config:\n  agent-fleet:fleet: &a\n    architecture: *a\n")


def test_other_projects_keys_are_none_of_ours(tmp_path: Path) -> None:
    """Prevents a provider's own configuration, such as aws:region, from being refused."""
    file = tmp_path / "Pulumi.local.yaml"
    file.write_text("config:\n  aws:region: eu-west-1\n  agent-fleet:fleet: {architecture: vm}\n")
    check("local", str(file))


@pytest.mark.parametrize("stack", ["local", "dev", "prod", "local-cluster"])
def test_a_deployable_stack_is_in_order(stack: str) -> None:
    """Prevents a shipped file from being refused."""
    check(stack, str(_PROJECT / f"Pulumi.{stack}.yaml"))
