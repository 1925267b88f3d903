"""`python -m fleet_runtime dead-letters list|show|replay`: jobs that the infrastructure failed for good."""

import argparse
import base64
import json
import re
import sys
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from fleet_runtime.agent_script import given_arguments, given_script
from fleet_runtime.database import Database
from fleet_runtime.payload import PROGRAM, PayloadError, decode
from fleet_runtime.store.dead_letters import DeadLetter, DeadLetters

_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_LONGEST_SECONDS = 100.0 * 365 * 86_400
"""Longer ago than any dead letter; what is far more cannot be taken from a moment of PostgreSQL's."""
_HELP = {
    "list": "one line for each, oldest first",
    "show": "one of them; its input only with --with-input",
    "replay": "queue new jobs that repeat them, with new ids and the same inputs; prints OLD_ID NEW_ID",
}


def dead_letters_command(arguments: Sequence[str]) -> Callable[[Database], Awaitable[int]]:
    """Return what the command does, which gives the exit code; exits with 2 if it is called wrongly."""
    parser = argparse.ArgumentParser(prog="python -m fleet_runtime dead-letters", allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True)
    parsers = {name: commands.add_parser(name, help=text, allow_abbrev=False) for name, text in _HELP.items()}
    for name in ("list", "replay"):
        parsers[name].add_argument("--tenant", help="only this tenant's")
        parsers[name].add_argument(
            "--since", type=_since, help="ended at the earliest: 90s, 30m, 2h or 1d ago, or a time as 2026-01-31T12:00Z"
        )
    parsers["show"].add_argument("id", type=_id)
    parsers["show"].add_argument("--with-input", action="store_true", help="print code, standard input and files too")
    parsers["replay"].add_argument("ids", nargs="*", type=_id, metavar="ID")
    parsers["replay"].add_argument("--all", action="store_true", help="all of the tenant that --tenant names")
    parsers["replay"].add_argument("--again", action="store_true", help="also those that were replayed before")
    given = parser.parse_args(arguments)
    if given.command == "replay":
        if given.all and (given.ids or given.tenant is None):
            parser.error("--all goes with --tenant TENANT and without ids")
        if not given.all and (not given.ids or given.tenant is not None or given.since is not None):
            parser.error("give ids alone, or --all with --tenant TENANT")
    return lambda database: _run(DeadLetters(database), given)


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no job's id; `dead-letters list` shows them") from None


def _since(text: str) -> datetime | float:
    if ago := re.fullmatch(r"([0-9]{1,30})([smhd])", text):
        return min(_LONGEST_SECONDS, float(int(ago[1]) * _SECONDS[ago[2]]))
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is neither a time such as 2026-01-31T12:00Z nor 90s, 30m, 2h or 1d"
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


async def _run(letters: DeadLetters, given: argparse.Namespace) -> int:
    match given.command:
        case "list":
            async for letter in letters.list(tenant=given.tenant, since=given.since):
                sys.stdout.write(_line(letter) + "\n")
            return 0
        case "show":
            return await _show(letters, given.id, given.with_input)
        case _:
            ids = given.ids
            if given.all:
                ids = [
                    letter.id
                    async for letter in letters.list(tenant=given.tenant, since=given.since)
                    if given.again or letter.replayed_as is None
                ]
            return await _replay(letters, ids, given.again)


async def _show(letters: DeadLetters, id_: UUID, with_input: bool) -> int:
    letter = await letters.get(id_)
    if letter is None:
        return _unknown(id_)
    sys.stdout.write("".join(f"{name + ':':<16}{_shown(value)}\n" for name, value in vars(letter).items() if value))
    if not with_input:
        return 0
    payload = await letters.payload(id_)
    try:
        # As a body of POST /execute, in ASCII: a terminal must not obey what a stranger's program says.
        sys.stdout.write(json.dumps(request_body(letter, payload or b""), indent=2) + "\n")
    except (PayloadError, KeyError, ValueError) as error:
        sys.stderr.write(f"the input cannot be shown: {error}\n")
        return 1
    return 0


async def _replay(letters: DeadLetters, ids: Sequence[UUID], again: bool) -> int:
    code = 0
    for id_ in ids:
        new_id = await letters.replay(id_, again=again)
        if new_id is not None:
            sys.stdout.write(f"{id_} {new_id}\n")
            continue
        code = 1
        letter = await letters.get(id_)
        if letter is None:
            _unknown(id_)
        else:
            sys.stderr.write(f"{id_} was replayed before, as {letter.replayed_as}; --again does it once more\n")
    return code


def _unknown(id_: UUID) -> int:
    sys.stderr.write(
        f"{id_} is no dead letter: no job has this id, or it did not fail by the infrastructure, or it has expired\n"
    )
    return 1


def _shown(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _line(letter: DeadLetter) -> str:
    replayed = f"replayed as {letter.replayed_as}" if letter.replayed_as else "not replayed"
    ended = letter.ended_at.isoformat(timespec="seconds")
    return f"{letter.id}  {ended}  {letter.tenant}  {letter.status}  {letter.error_code}  {replayed}"


def request_body(letter: DeadLetter, payload: bytes) -> dict[str, Any]:
    """Return what POST /execute is sent to have the same done; a prompt is the input of the command that took it.

    Raises PayloadError, KeyError, ValueError.
    """
    job = decode(payload)
    body: dict[str, Any] = {"language": job.language, "code": job.code}
    if letter.agent is not None:
        command = given_arguments(job.code) if job.language == PROGRAM else given_script(job.code)
        body = {"agent": letter.agent, "command": command}
        if letter.workspace is not None:
            body["workspace"] = letter.workspace
    if job.stdin is not None:
        body["stdin"] = job.stdin.decode(errors="replace")
    if job.files:
        body["files"] = {path: _content(content) for path, content in job.files.items()}
    return body


def _content(content: bytes) -> str | dict[str, str]:
    try:
        return content.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(content).decode()}
