"""The package's public names, which are imported when they are first asked for."""

import ast
import subprocess
import sys
from pathlib import Path

import agent_fleet
import pytest

FILE = Path(agent_fleet.__file__)


def type_checked_imports() -> dict[str, str]:
    """The module of each name that a type checker sees."""
    return {
        alias.name: str(node.module)
        for node in ast.walk(ast.parse(FILE.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("agent_fleet.")
        for alias in node.names
    }


def test_every_public_name_is_what_a_type_checker_takes_it_for() -> None:
    """A name would be found by the checker and missing at run time, or be another thing there."""
    seen = type_checked_imports()
    assert set(seen) == set(agent_fleet.__all__)
    for name, module in seen.items():
        assert getattr(agent_fleet, name).__module__ == module, name
        assert getattr(agent_fleet, name).__name__ == name


def test_a_name_that_is_not_public_is_none() -> None:
    """A misspelt component would be imported as nothing."""
    with pytest.raises(AttributeError, match="has no attribute 'Clutser'"):
        _ = agent_fleet.Clutser  # pyright: ignore[reportAttributeAccessIssue, reportUnknownVariableType]


def test_a_fleet_on_one_host_loads_no_sdk_of_a_cloud() -> None:
    """Every command on a laptop would wait seconds for what it never uses."""
    program = (
        "import sys; from agent_fleet import AgentImage, Database, ExecutionService, HostNetwork, PulledImage;"
        "import agent_fleet.aws.subnets, agent_fleet.versions;"
        "print([each for each in ('pulumi_aws', 'pulumi_kubernetes') if each in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert result.stdout.strip() == "[]"
