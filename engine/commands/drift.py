"""`make drift`: what exists against what the state says. Reads only: neither the place nor the state is changed."""

from collections.abc import Mapping
from typing import Any

from engine import configuration
from engine.commands.session import Session
from engine.errors import UserFacingError
from engine.presentation import is_real
from engine.preview.result import counted
from engine.report import say
from engine.state_backend.location import emulator
from engine.targets import choice
from engine.targets.aws_account import require_provider

_DIFFERENT = ("update", "delete", "replace")


def drift(session: Session) -> bool:
    """Tell every resource that differs from the state; return whether any does. Raises UserFacingError."""
    state = session.state
    target = choice.of_stack(session)
    # Also what must be reachable: a place that cannot be seen would look as if everything were gone, or well.
    place = target.find(state)
    if place is None or not state.resources():
        raise UserFacingError(
            f"{session.fleet} was never deployed from here, so there is nothing that could have drifted.",
            f"`make preview{session.argument}` shows what `make up{session.argument}` would make.",
        )
    if state.holds("aws") and not emulator():
        require_provider(session)
    with session.alone():
        cli = target.engine("up")
        if not session.paths.configuration(session.stack).exists():
            configuration.copy(session.paths, session.stack, session.settings)
        configuration.project(session.paths)
        say(f"Looking at what the stack {session.stack} has made; nothing is changed.")
        found: dict[str, str] = {}

        def event(event: Mapping[str, Any]) -> None:
            outcome = event.get("resOutputsEvent")
            if outcome is not None and outcome["metadata"]["op"] in _DIFFERENT:
                found[outcome["metadata"]["urn"]] = outcome["metadata"]["op"]

        session.operate(cli, "refresh", "--preview-only", listener=event)
    if not found:
        number = sum(1 for each in state.resources() if is_real({**each, "new": each}))
        say(f"No drift: {counted(number, 'resource')} of {session.fleet} as deployed.")
        return False
    say(
        f"Drift: {counted(len(found), 'resource differs', 'resources differ')} from what was deployed. "
        f"`make preview{session.argument}` shows what `make up{session.argument}` would put right; `pulumi refresh` in "
        f"`make shell{session.argument}` takes the changes into the state."
    )
    return True
