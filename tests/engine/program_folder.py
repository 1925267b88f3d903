"""A checkout in little, for the project's own commands: a small program, with a toolchain and a state of its own."""

import json
import time
from pathlib import Path
from typing import Any

import yaml

from engine import configuration, versions
from engine.commands.session import Session
from engine.paths import CHECKOUT, PROJECT, Paths
from engine.plugins import Choice
from engine.presentation import Presentation
from engine.preview.run import CONFIGURATION, Request


class ProgramFolder:
    """One stack of one program, in a folder that the test gives."""

    def __init__(self, folder: Path, stack: str = "probe") -> None:
        """The stack is not entered into the state yet."""
        self.root = folder / "program"
        self.root.mkdir(parents=True)
        for name in (".venv", "engine", "policies"):
            (self.root / name).symlink_to(CHECKOUT / name)
        (self.root / "Pulumi.yaml").write_text(
            f"name: {PROJECT}\nruntime: {{name: python, options: {{virtualenv: .venv}}}}\n"
        )
        self.paths = Paths(self.root)
        self.stack = stack
        plugins = self.paths.fleet / "engine" / "plugins.json"
        plugins.parent.mkdir(parents=True)
        # Chosen beforehand: else each folder would look for the official ones.
        plugins.write_text(json.dumps(dict.fromkeys(versions.PROVIDERS, Choice.STAND_IN)))
        self.settings(architecture="vm")

    @property
    def session(self) -> Session:
        """A command, begun now."""
        return Session(self.paths, self.stack, time.monotonic())

    @property
    def source(self) -> Path:
        """The settings file."""
        return self.paths.tracked_configuration(self.stack)

    def settings(self, **fleet: Any) -> None:
        """Replace what the settings file says."""
        self.source.write_text(yaml.safe_dump({"config": {configuration.KEY: fleet}}))

    def program(self, text: str) -> None:
        """Replace the program."""
        (self.root / "__main__.py").write_text(text)

    def request(self, policies: Path | None = None) -> Request:
        """A preview, unchecked: the settings are no fleet's."""
        settings = configuration.fleet_settings(self.source)
        return Request(self.session, self.source, settings, policies or CHECKOUT / CONFIGURATION)

    def up(self, *arguments: str) -> Presentation:
        """`pulumi up` as the command runs it; enters the stack into the state where it is not there."""
        session = self.session
        cli = session.engine()
        configuration.copy(self.paths, self.stack)
        session.initialise(cli)
        return session.operate(cli, "up", *(arguments or ("--yes", "--skip-preview")))

    def texts(self) -> dict[Path, str]:
        """All files of the state, all settings and all logs."""
        found = (path for path in self.paths.fleet.rglob("*") if path.is_file())
        own = (path for path in found if self.paths.fleet / "engine" not in path.parents)
        return {path: path.read_text(errors="replace") for path in own}
