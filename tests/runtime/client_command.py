"""The command `fleet` as a process, as a script or a terminal starts it."""

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from runtime_processes import Stack

_PROGRAM = Path(sys.executable).parent / "fleet"
_LIMIT_SECONDS = 60


@dataclass
class Command:
    """`fleet` with a key of a tenant of its own, in a folder of its own."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict[str, str])
    program: Path = _PROGRAM

    def file(self, name: str, content: str | bytes) -> str:
        """Write a file beside it and return its name."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return name

    def run(
        self, *arguments: str, given: bytes = b"", environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        """Run it to its end."""
        return subprocess.run(
            [str(self.program), *arguments],
            input=given,
            capture_output=True,
            cwd=self.folder,
            env=self._environment(environment),
            timeout=_LIMIT_SECONDS,
            check=False,
        )

    def start(self, *arguments: str, stderr: int = subprocess.PIPE) -> subprocess.Popen[bytes]:
        """Start it, with pipes."""
        return subprocess.Popen(
            [str(self.program), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            cwd=self.folder,
            env=self._environment(None),
            start_new_session=True,
        )

    def _environment(self, given: Mapping[str, str] | None) -> dict[str, str]:
        own = {name: value for name, value in os.environ.items() if not name.startswith("FLEET_")}
        return {**own, **(self.environment if given is None else given)}


def command_of(stack: Stack, folder: Path) -> Command:
    """Return the command, with a key that no other test has."""
    key = stack.keys.pop(next(iter(stack.keys)))
    return Command(folder, {"FLEET_URL": stack.url, "FLEET_KEY": key})
