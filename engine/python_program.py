"""How the language host starts a Pulumi program in Python: which interpreter, environment and arguments."""

import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

EXECUTOR = "pulumi-language-python-exec"


class ProgramError(Exception):
    """The program cannot be started; the text goes to the user as it is."""


@dataclass(frozen=True)
class Interpreter:
    """A Python and, when it belongs to one, its virtual environment."""

    executable: Path
    virtual_environment: Path | None

    def environment(self, base: Mapping[str, str]) -> dict[str, str]:
        """`base` with the virtual environment activated, as its `activate` script does."""
        environment = dict(base)
        if self.virtual_environment is not None:
            environment["VIRTUAL_ENV"] = str(self.virtual_environment)
            environment["PATH"] = f"{self.virtual_environment / 'bin'}{os.pathsep}{base.get('PATH', '')}"
            environment.pop("PYTHONHOME", None)
        return environment


def interpreter(virtual_environment: str, root: Path) -> Interpreter:
    """The Python of `options.virtualenv` in Pulumi.yaml, a path relative to `root`; without one, the host's own."""
    if not virtual_environment:
        command = os.environ.get("PULUMI_PYTHON_CMD", "")
        return Interpreter(Path(shutil.which(command) or command) if command else Path(sys.executable), None)
    folder = root / virtual_environment
    executable = folder / "bin" / "python"
    if not executable.exists():
        raise ProgramError(
            f"runtime.options.virtualenv of Pulumi.yaml is {virtual_environment!r}, but {executable} does not exist. "
            f"In a checkout of agent-fleet `sh engine/bootstrap.sh` makes it; elsewhere `pulumi install` does."
        )
    return Interpreter(executable, folder)


def executor() -> Path:
    """The SDK's script that runs a program against the engine; it stands beside the engine."""
    found = shutil.which(EXECUTOR)
    if found is None:
        raise ProgramError(f"{EXECUTOR} is not on PATH. `make shell` opens a shell in which it is.")
    return Path(found)


def configuration(config: Mapping[str, str], secret_keys: Sequence[str]) -> dict[str, str]:
    """The stack's configuration as the SDK reads it."""
    return {"PULUMI_CONFIG": json.dumps(dict(config)), "PULUMI_CONFIG_SECRET_KEYS": json.dumps(list(secret_keys))}


DEPENDENCIES_SCRIPT = """
import importlib.metadata as metadata, json, re, sys
normal = lambda name: re.sub(r"[-_.]+", "-", name).lower()
found = {normal(d.metadata["Name"]): d for d in metadata.distributions() if d.metadata["Name"]}
needed = {
    normal(re.match(r"[A-Za-z0-9._-]+", text).group())
    for d in found.values() for text in d.requires or () if "extra ==" not in text
}
names = found if sys.argv[1] == "all" else [name for name in found if name not in needed]
print(json.dumps(sorted((found[name].metadata["Name"], found[name].version) for name in names)))
"""

PLUGINS_SCRIPT = """
import json, pathlib, sys
for folder in map(pathlib.Path, sys.path):
    for path in folder.glob("*/pulumi-plugin.json") if folder.is_dir() else ():
        plugin = json.loads(path.read_text())
        if plugin.get("resource"):
            plugin.setdefault("name", path.parent.name.removeprefix("pulumi_").replace("_", "-"))
            print(json.dumps(plugin))
"""
