"""The client as others get it: a wheel in an environment that has nothing else, away from this checkout."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from client_command import Command, command_of
from runtime_processes import Stack

_CHECKOUT = Path(__file__).parents[2]
_UV = str(Path(sys.executable).parent / "uv")


def _run(*command: str, cwd: Path, environment: dict[str, str] | None = None) -> str:
    ended = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert ended.returncode == 0, f"{command}:\n{ended.stdout}\n{ended.stderr}"
    return ended.stdout


@pytest.fixture(scope="module")
def environment_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the wheel and what the wheel asks for, in the versions that are locked here."""
    folder = tmp_path_factory.mktemp("client")
    _run(
        _UV,
        "build",
        "--quiet",
        "--wheel",
        "--package",
        "agent-fleet-client",
        "--out-dir",
        "wheels",
        str(_CHECKOUT),
        cwd=folder,
    )
    (wheel,) = (folder / "wheels").glob("*.whl")
    options = ("--quiet", "--frozen", "--no-dev", "--no-hashes", "--no-annotate", "--no-header", "--no-emit-workspace")
    locked = _run(_UV, "export", *options, "--package", "agent-fleet-client", cwd=_CHECKOUT)
    (folder / "constraints.txt").write_text(locked)
    _run(_UV, "venv", "--quiet", "--python", sys.executable, "environment", cwd=folder)
    python = str(folder / "environment" / "bin" / "python")
    install = (_UV, "pip", "install", "--quiet", "--python", python, "--constraint", "constraints.txt")
    _run(*install, str(wheel), cwd=folder)
    return folder / "environment"


@pytest.fixture
def fleet(stack: Stack, environment_of_its_own: Path, tmp_path: Path) -> Command:
    """The installed command, with a tenant's key of this test's own."""
    command = command_of(stack, tmp_path)
    command.program = environment_of_its_own / "bin" / "fleet"
    return command


def test_the_installed_command_runs_a_program(fleet: Command) -> None:
    """A package that leaves a file or a dependency behind works in its own checkout only."""
    fleet.file("program.py", "print(6 * 7)\nraise SystemExit(3)")
    ended = fleet.run("run", "program.py")
    assert (ended.returncode, ended.stdout, ended.stderr) == (3, b"42\n", b"")
    assert fleet.run("--version").stdout.startswith(b"fleet, version ")


def test_the_installed_class_runs_a_program(fleet: Command, environment_of_its_own: Path) -> None:
    """What the documents show must be what works, for those who type it in."""
    readme = (_CHECKOUT / "client" / "README.md").read_text()
    shown = readme.split("```python\n")[1].split("```")[0]
    (fleet.folder / "program.py").write_text(
        "import os\nurl, key = os.environ['FLEET_URL'], os.environ['FLEET_KEY']\n" + shown
    )
    bare = {"PATH": os.environ["PATH"], **fleet.environment}
    python = str(environment_of_its_own / "bin" / "python")
    assert _run(python, "program.py", cwd=fleet.folder, environment=bare) == "1000\n\n"


def test_the_package_carries_its_types_and_nothing_of_this_checkout(
    environment_of_its_own: Path, tmp_path: Path
) -> None:
    """A type checker believes a package only if it says that it is typed."""
    program = textwrap.dedent("""
        import importlib.metadata, pathlib, agent_fleet_client
        folder = pathlib.Path(agent_fleet_client.__file__).parent
        print(folder, (folder / "py.typed").exists())
        print(*sorted(each.name for each in importlib.metadata.distributions()))
    """)
    where, names = _run(str(environment_of_its_own / "bin" / "python"), "-c", program, cwd=tmp_path).splitlines()
    folder, typed = where.split()
    assert Path(folder).is_relative_to(environment_of_its_own)
    assert typed == "True"
    assert {"agent-fleet-client", "click", "httpx"} <= set(names.split())
    assert not {"agent-fleet", "fleet-runtime", "pulumi"} & set(names.split())
