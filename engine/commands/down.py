"""`make down`: removes a stack and everything that it made, whatever state it is in."""

import contextlib
import shutil

from engine import configuration, convergence
from engine.commands.session import Session
from engine.errors import UserFacingError
from engine.file_lock import held
from engine.pulumi_cli import PulumiCli
from engine.report import say
from engine.targets import choice
from engine.targets.target import Place, Target


def down(session: Session, *, force: bool = False) -> None:
    """Destroy the stack, remove what carries its label, and forget its secrets. Nothing to do is fine too.

    `force` removes a running fleet too of which this checkout has no state, and forgets one whose place is gone.
    """
    with session.alone():
        target = choice.of_stack(session)
        place = _find(session, target, force=force)
        if place is not None and not force:
            place.refuse_foreign_removal(session.state)
        convergence.end_abandoned_engine(session.paths.engine_process(session.stack), say)
        convergence.mend_attributes(session.state, say)
        with contextlib.suppress(UserFacingError):  # not to be mended: then what the label finds is removed
            convergence.mend_checkpoint(session.state, say)
        existed = session.state.exists()
        cli = _destroy(session, target, place) if existed else None
        removed = place.remove_all() if place is not None else 0
        if existed:
            # Last: without a state, what a removal that was cut off leaves would look like another checkout's.
            _drop_state(session, cli)
        _forget(session)
        if place is not None and (existed or removed) and (notice := place.what_stays()):
            say(notice)
    say(f"{session.fleet} is down." if existed or removed else f"{session.fleet} was not up: nothing to remove.")


def _find(session: Session, target: Target, *, force: bool) -> Place | None:
    try:
        return target.find(session.state)
    except UserFacingError:
        if not force:
            raise
        say(target.forsake(session.state))
        return None


def _destroy(session: Session, target: Target, place: Place | None) -> PulumiCli | None:
    """Have the engine destroy the stack; where it cannot, do without it for what the fleet's label finds.

    Returns the engine; None where nothing needs one.
    """
    state = session.state
    cli = target.engine("down") if state.resources() or not state.readable() else None
    try:
        if cli is not None and place is not None:
            tracked = session.paths.configuration(session.stack)
            if not tracked.exists():
                configuration.project(session.paths)
                tracked.write_text("config: {}\n")
            dirty = convergence.clear_locks(cli, state, say)
            dirty = convergence.clear_pending(cli, state, say) or dirty
            say(f"Destroying the stack {session.stack}.")
            refresh = place.drifted(state) or dirty
            arguments = ["--yes", "--skip-preview", *(["--refresh"] if refresh else [])]
            show = session.operate(cli, "destroy", *arguments)
            say(f"  {show.summary()}")
    except UserFacingError as error:
        if foreign := state.foreign_types(place.packages if place is not None else frozenset()):
            raise UserFacingError(
                f"The stack could not be destroyed: {error.message}\nIt holds {', '.join(sorted(foreign))}.",
                error.remedy,
            ) from error
        say(f"The engine could not destroy the stack ({error.message.splitlines()[0]}): removing its objects by label.")
    return cli


def _drop_state(session: Session, cli: PulumiCli | None) -> None:
    """Remove the stack from the state."""
    configuration.project(session.paths)
    if cli is None or cli.run("stack", "rm", "--yes", "--force").returncode:
        for path in session.state.checkpoint.parent.glob(f"{session.stack}.json*"):
            path.unlink(missing_ok=True)


def _forget(session: Session) -> None:
    """Remove the stack's files with secrets; with the last stack, the state and its passphrase."""
    paths = session.paths
    for path in (
        paths.endpoint(session.stack),
        paths.configuration(session.stack),
        paths.kubeconfig(session.stack),
        paths.cluster_identity(session.stack),
    ):
        path.unlink(missing_ok=True)
    with held(paths.stacks_lock):
        stacks = paths.state / ".pulumi" / "stacks"
        if any(path.name.endswith((".json", ".json.gz")) for path in stacks.glob("*/*")):
            return
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(paths.state)
        paths.passphrase.unlink(missing_ok=True)
