"""The components as a package that other projects install."""

import ast
import inspect
import sys
from pathlib import Path

import agent_fleet
import pulumi
import pytest
from agent_fleet.sandbox_spec import SandboxSpec
from agent_fleet.workload import Hardening
from pulumi.provider.experimental.analyzer import Analyzer

PACKAGE = Path(agent_fleet.__file__).parent
COMPONENTS = [
    each
    for name in agent_fleet.__all__
    if inspect.isclass(each := getattr(agent_fleet, name)) and issubclass(each, pulumi.ComponentResource)
]
ALLOWED_IMPORTS = {
    "agent_fleet",
    "pulumi",
    "pulumi_aws",
    "pulumi_docker",
    "pulumi_docker_build",
    "pulumi_kubernetes",
    "pulumi_random",
}
FILES = sorted(PACKAGE.rglob("*.py"))


def imported(path: Path) -> set[str]:
    """The top-level packages that a file imports."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").split(".")[0])
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_the_package_imports_nothing_of_this_project(path: Path) -> None:
    """It could not be installed anywhere else."""
    assert imported(path) - set(sys.stdlib_module_names) <= ALLOWED_IMPORTS


@pytest.mark.parametrize("name", ["workload", "sandbox_spec", "execution_workloads", "labels"])
def test_what_describes_a_workload_names_no_provider(name: str) -> None:
    """It could not be rendered for anything but Docker."""
    assert not {each for each in imported(PACKAGE / f"{name}.py") if each.startswith("pulumi_")}


def test_no_file_has_annotations_that_the_schema_analyzer_cannot_read() -> None:
    """Programs in other languages could not use the components."""
    for path in FILES:
        assert "from __future__ import annotations" not in path.read_text(encoding="utf-8")


def test_the_components_can_be_used_from_other_languages() -> None:
    """Pulumi's analyzer refuses unions, literals and undocumented shapes only when somebody else needs the package."""
    result = Analyzer("agent-fleet").analyze(components=COMPONENTS)
    found = result["component_definitions"]
    assert set(found) == {each.__name__ for each in COMPONENTS}
    for name, definition in found.items():
        assert definition.description, name
        assert definition.outputs, name
        for inputs in definition.inputs.values():
            assert inputs.description, name


@pytest.mark.parametrize("component", COMPONENTS, ids=lambda each: each.__name__)
def test_a_component_takes_a_name_arguments_and_options(component: type) -> None:
    """The analyzer finds the arguments by the parameter's name."""
    assert list(inspect.signature(component).parameters) == ["name", "args", "opts"]


def test_the_package_is_typed() -> None:
    """Its users' type checkers would see nothing."""
    assert (PACKAGE / "py.typed").is_file()


def test_a_sandbox_says_for_each_field_who_enforces_it_in_each_architecture() -> None:
    """A limit that nobody enforces in one architecture would go unnoticed there."""
    enforcement = SandboxSpec.enforcement()
    assert set(enforcement) == set(SandboxSpec.__dataclass_fields__)
    for each in enforcement.values():
        by_architecture = each.by_architecture()
        assert set(by_architecture) == {"vm", "queue", "cluster"}
        assert all(by_architecture.values())


def test_a_sandbox_is_never_less_hardened_than_a_workload() -> None:
    """Strangers' code would get more than our own."""
    sandbox, workload = SandboxSpec.__dataclass_fields__, Hardening()
    assert sandbox["read_only_root"].default is workload.read_only_root is True
    assert set(workload.dropped_capabilities) <= set(sandbox["dropped_capabilities"].default)
    assert sandbox["privilege_escalation_allowed"].default is workload.privilege_escalation_allowed is False
    assert sandbox["network"].default == "none"
    assert sandbox["host_mounts_allowed"].default is False
    assert sandbox["uid"].default >= 10_000


def test_every_component_is_served_to_other_languages() -> None:
    """A new component would be missing for them."""
    served = (PACKAGE.parent / "__main__.py").read_text(encoding="utf-8")
    for each in COMPONENTS:
        assert f"agent_fleet.{each.__name__}," in served
