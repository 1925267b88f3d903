"""`make preview`: what `up` would change and what it would cost.

Builds nothing, pushes nothing, needs no credentials and no cluster.
"""

import shutil
import tempfile
from pathlib import Path

from engine import configuration
from engine.commands.session import Session
from engine.cost.estimate import estimate
from engine.cost.planned import Plan
from engine.cost.statement import statement
from engine.report import say
from engine.targets import choice


def preview(session: Session, settings_file: Path | None) -> None:
    """Preview a stack. One that was never deployed is previewed against a state that is thrown away."""
    source = configuration.source(session.paths, session.stack, settings_file)
    settings = configuration.fleet_settings(source)
    configuration.check(session.paths, session.stack, source)
    target = choice.of_settings(session, settings)
    with session.alone():
        temporary: Path | None = None
        if not session.deployed():
            session.paths.fleet.mkdir(parents=True, exist_ok=True)
            temporary = Path(tempfile.mkdtemp(prefix="preview-", dir=session.paths.fleet))
        try:
            cli = target.engine("preview", temporary)
            configuration.copy(session.paths, session.stack, settings_file)
            if temporary is not None:
                cli.checked("stack", "init", "--no-select")
            say(f"Previewing the stack {session.stack}.")
            plan = Plan()
            show = session.operate(cli, "preview", listener=plan.event)
            say(f"  {show.summary()}")
            for line in statement(estimate(plan)):
                say(line)
        finally:
            if temporary is not None:
                shutil.rmtree(temporary, ignore_errors=True)
                session.paths.configuration(session.stack).unlink(missing_ok=True)
