"""`make preview`: what `up` would change. Builds nothing, pushes nothing, needs no credentials."""

import os
import shutil
import tempfile
from pathlib import Path

from engine import configuration, plugins, versions
from engine.commands.session import Session
from engine.report import say


def preview(session: Session, settings_file: Path | None) -> None:
    """Preview a stack. One that was never deployed is previewed against a state that is thrown away."""
    source = configuration.source(session.paths, session.stack, settings_file)
    settings = configuration.fleet_settings(source)
    configuration.check(session.paths, session.stack, source)
    on_docker = settings.get("architecture", "vm") == "vm" and settings.get("target", "docker") == "docker"
    with session.alone():
        temporary: Path | None = None
        if not session.state.exists():
            session.paths.fleet.mkdir(parents=True, exist_ok=True)
            temporary = Path(tempfile.mkdtemp(prefix="preview-", dir=session.paths.fleet))
        try:
            if on_docker:
                cli = session.engine("fleet", state=temporary)
            elif plugins.aws_credentials_given(os.environ):
                cli = session.engine("fleet", versions.PROVIDERS, state=temporary)
            else:
                cli = session.engine("stand-ins", versions.PROVIDERS, state=temporary)
            configuration.copy(session.paths, session.stack, settings_file)
            if temporary is not None:
                cli.checked("stack", "init", "--no-select")
            say(f"Previewing the stack {session.stack}.")
            show = session.operate(cli, "preview")
            say(f"  {show.summary()}")
        finally:
            if temporary is not None:
                shutil.rmtree(temporary, ignore_errors=True)
                session.paths.configuration(session.stack).unlink(missing_ok=True)
