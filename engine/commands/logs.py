"""`make logs`: the logs of the fleet's containers, each line with what wrote it."""

from engine.commands.session import Session
from engine.errors import UserFacingError
from engine.targets import choice
from engine.targets.target import LogSelection


def logs(session: Session, *, role: str | None, lines: int, follow: bool, team: str | None = None) -> None:
    """Print the last `lines` of each container and, when asked, go on until Ctrl-C or until all have ended."""
    target = choice.of_stack(session)
    place = target.find(session.state)
    if place is None:
        raise UserFacingError(target.absent())
    place.logs(LogSelection(role or "", team or "", lines, follow))
