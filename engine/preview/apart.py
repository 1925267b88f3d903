"""A state that is thrown away, for previews that compare with nothing: of stacks never deployed, and of `make check`.

It has a folder of its own under `.fleet`, so that nothing of a deployed stack is touched, and needs no secret: where
the settings have one, a placeholder stands in its place.
"""

import shutil
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import yaml

from engine import configuration
from engine.commands.session import Session
from engine.paths import Paths
from engine.pulumi_cli import PulumiCli
from engine.report import private_file

PLACEHOLDER = "in-place-of-a-secret"
_SEAL = ("encryptionsalt", "encryptedkey", "secretsprovider")


@dataclass(frozen=True)
class ApartPaths(Paths):
    """The checkout's files, but for what belongs to a stack: that is in `apart`."""

    apart: Path = field(default_factory=Path)

    @property
    def project(self) -> Path:
        """The copies of settings."""
        return self.apart

    @property
    def state(self) -> Path:
        """An empty file backend."""
        return self.apart / "state"

    @property
    def passphrase(self) -> Path:
        """Its own, which opens nothing else."""
        return self.apart / "passphrase"

    def lock(self, stack: str) -> Path:
        """Nobody else is in this folder."""
        return self.apart / f"{stack}.lock"

    def engine_process(self, stack: str) -> Path:
        """Not the one of a deployment that may be going on."""
        return self.apart / f"{stack}.engine.pid"


@contextmanager
def apart(session: Session) -> Generator[Session]:
    """The same command with a state that is thrown away at the end."""
    fleet = session.paths.fleet
    fleet.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="preview-", dir=fleet))
    try:
        yield replace(session, paths=ApartPaths(session.paths.root, folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def enter(cli: PulumiCli, source: Path) -> None:
    """Enter the stack into the empty state, with the settings of `source`."""
    target = cli.paths.configuration(cli.stack)
    document: Any = yaml.safe_load(source.read_text())
    given = cast("dict[str, Any]", document) if isinstance(document, dict) else {}
    plain = {name: value for name, value in given.items() if name not in _SEAL}
    secrets = list(_secrets(plain.get("config") or {}, ""))
    private_file(target, yaml.safe_dump(plain, sort_keys=False) if secrets else _unsealed(source.read_text()))
    configuration.project(cli.paths)
    cli.checked("stack", "init", "--no-select")
    if secrets:
        values = (word for path in secrets for word in ("--secret", f"{path}={PLACEHOLDER}"))
        cli.checked("config", "set-all", "--path", *values)


def _unsealed(text: str) -> str:
    return "".join(
        line for line in text.splitlines(keepends=True) if not line.startswith(tuple(f"{name}:" for name in _SEAL))
    )


def _secrets(value: Any, path: str) -> Iterator[str]:
    """The paths, as `pulumi config set --path` takes them, of everything that is encrypted."""
    if isinstance(value, dict):
        fields = cast("dict[str, Any]", value)
        if set(fields) == {"secure"}:
            yield path
            return
        for name, inner in fields.items():
            yield from _secrets(inner, f'{path}["{name}"]' if path else str(name))
    elif isinstance(value, list):
        for index, inner in enumerate(cast("list[Any]", value)):
            yield from _secrets(inner, f"{path}[{index}]")
