"""`make status`: what runs, whether it is ready, and where."""

import json

from engine import first_job
from engine.commands.session import Session
from engine.errors import UserFacingError
from engine.report import say
from engine.targets import choice
from engine.targets.target import Place


def status(session: Session) -> bool:
    """Print the stack's state; return whether it is up and ready."""
    target = choice.of_stack(session)
    place = target.find(session.state)
    if place is None:
        say(target.absent())
        return False
    if not place.anything() and not session.state.exists():
        say(f"{session.fleet} is not up. `make up{session.argument}` deploys it.")
        return False
    ready = _readiness(session, place)
    for line in place.condition():
        say(line)
    # A fleet that is ready may still lack the pods that a quota refuses.
    if troubles := place.troubles():
        say("  what is wrong:")
        say("    " + troubles.replace("\n", "\n    "))
    return ready


def _readiness(session: Session, place: Place) -> bool:
    endpoint = session.paths.endpoint(session.stack)
    if not endpoint.exists():
        say(f"{session.fleet} was never ready; `make up{session.argument}` goes on where it stopped.")
        return False
    kept = json.loads(endpoint.read_text())
    try:
        with place.entrance(kept) as entrance:
            found = first_job.readiness(entrance.url)
    except UserFacingError as error:
        say(f"{session.fleet}: not ready: {error.message}")
        return False
    where = f"inside the cluster ({entrance.opening})" if entrance.opening else entrance.url
    say(f"{session.fleet}: {where}, {'ready' if found.ready else f'not ready: {found.reasons}'}")
    if found.draining:
        say(f"  draining: {found.draining}")
    return found.ready
