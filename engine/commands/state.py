"""`make state-bootstrap` and `make state-unlock`: the state of an AWS stack on S3, and the locks of any stack."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from engine import configuration
from engine.commands.session import Session
from engine.errors import UserFacingError
from engine.report import say
from engine.state_backend import bucket as state_bucket
from engine.state_backend import locks
from engine.state_backend.location import StateLocation, emulator, of_stack, region
from engine.state_backend.move import move
from engine.state_backend.settings_text import with_bucket
from engine.versions import PROVIDERS

_TARGETS = ("ec2", "eks")


def bootstrap(session: Session, settings_file: Path | None, chosen: str = "") -> None:
    """Make bucket and key, write the bucket's name into the settings file, and move the stack there."""
    source = configuration.source(session.paths, session.stack, settings_file)
    settings = configuration.fleet_settings(source)
    if settings.get("target") not in _TARGETS:
        raise UserFacingError(
            f"The stack {session.stack} has target {settings.get('target')!r}: its state stays beside the project.",
            f"A bucket is for the stacks on AWS, those with fleet.target {' or '.join(_TARGETS)}.",
        )
    place = of_stack(session.paths, session.stack, source) or StateLocation("", region(settings), emulator())
    if chosen and place.bucket and chosen != place.bucket:
        raise UserFacingError(
            f"BUCKET={chosen} is not {source.name}'s fleet.aws.state_bucket, {place.bucket}.",
            "Leave BUCKET out. To move on to another bucket, see docs/state.md.",
        )
    with session.alone():
        if place.endpoint:
            say(f"AWS_ENDPOINT_URL is set: everything is made in the emulator at {place.endpoint}, nothing in AWS.")
        account = state_bucket.account_id(place)
        name = place.bucket or chosen or state_bucket.default_bucket(account, place.region)
        location = StateLocation(name, place.region, place.endpoint)
        say(f"The state of the stack {session.stack} goes to s3://{name} (account {account}, {place.region}).")
        state_bucket.ensure(location, account, say)
        text = with_bucket(source, name)
        move(session.local_engine(wanted=PROVIDERS), session.local_state, location, say)
        # Last: with the name in it, every command looks for the stack there.
        if text != source.read_text():
            source.write_text(text)
            say(f"Wrote fleet.aws.state_bucket into {source.name}: commit it, so that everybody finds the state.")
    say(f"The state of the stack {session.stack} is in s3://{name}.")


def unlock(session: Session, confirm: Callable[[str], bool]) -> None:
    """Explain each lock of the stack, and remove those that may go once `confirm` says so."""
    location = session.location
    held = locks.on_s3(location, session.stack) if location is not None else locks.in_files(session.local_state)
    if not held:
        say(f"The stack {session.stack} is not locked.")
        return
    now = datetime.now(UTC)
    say(f"The stack {session.stack} is locked by:")
    for lock in held:
        say(f"  {lock.described(now)}")
    if any(lock.at_work_here() for lock in held):
        raise UserFacingError(
            "That process runs on this machine: the lock is not stale.",
            "Let it end, or interrupt it once (Ctrl-C), and it takes its lock away.",
        )
    say("A lock is stale when its process was killed or its host is gone. Ask its holder: two engines at once on one")
    say("stack lose what one of them writes.")
    if not confirm(f"Remove {'this lock' if len(held) == 1 else f'these {len(held)} locks'}?"):
        say("Nothing was removed.")
        return
    for lock in held:
        lock.remove()
    say(f"Removed. The next `make up{session.argument}` looks at what the cut off run had begun, and goes on.")
