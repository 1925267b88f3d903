"""Which fleet, and with which key: from options, the environment, or the file that `make up` writes."""

import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from agent_fleet_client.errors import FleetError
from agent_fleet_client.fleet import Fleet

DEFAULT_FILE = Path(".fleet") / "local.json"
_KEY_BYTES = 4096


@dataclass(frozen=True)
class Deployment:
    """A fleet's address and a key. Neither is ever shown: an address may be an internal one, a key is a secret."""

    url: str
    key: str
    opening: str | None = None
    """The command that opens a way into a cluster where the fleet has no address outside."""

    def __repr__(self) -> str:
        """Nothing that a log or an error could give away."""
        return "Deployment(…)"

    @property
    def remedy(self) -> str:
        """What to do where it does not answer."""
        if self.opening is not None:
            return f"It has no address outside its cluster; this opens one, as long as it runs: {self.opening}"
        return "Check the address (FLEET_URL), or see `make status` where it was deployed."

    def open(self, *, patience_seconds: float, on_retry: Callable[[str], None]) -> Fleet:
        """Return a client of it."""
        return Fleet(self.url, self.key, patience_seconds=patience_seconds, on_retry=on_retry)


@dataclass(frozen=True)
class Choice:
    """What the user gave. `url` and `deployment` exclude each other; `key_file` is a path, or `-`."""

    url: str | None
    deployment: Path | None
    key_file: str | None
    team: str | None


def find(choice: Choice, environment: Mapping[str, str] = os.environ) -> Deployment:
    """Return the fleet that is meant; raises FleetError with what to set where that is not clear.

    A key is used with the address that it was given with, and no other.
    """
    given = None if choice.key_file is None else _read_key(choice.key_file)
    if choice.deployment is not None:
        if choice.url is not None:
            raise FleetError("Both --url and --deployment were given: give one, each says where the fleet is.")
        return _from_file(choice.deployment, choice.team, given)
    key = given or environment.get("FLEET_KEY") or None
    url = choice.url or environment.get("FLEET_URL") or None
    if url is not None:
        if key is None:
            raise FleetError(
                "There is an address but no key: set FLEET_KEY, or give --key-file FILE (- reads standard input)."
            )
        return Deployment(url, key)
    if key is not None:
        raise FleetError("There is a key but no address: set FLEET_URL, or give --url.")
    if not DEFAULT_FILE.is_file():
        raise FleetError(f"No fleet is known here. {_others()}")
    return _from_file(DEFAULT_FILE, choice.team, None)


def _others() -> str:
    found = sorted(path for path in DEFAULT_FILE.parent.glob("*.json") if path.is_file())
    ways = f"Set FLEET_URL and FLEET_KEY, or run this where {DEFAULT_FILE} is (`make up` writes it)"
    if found:
        return f"{ways}, or choose one: --deployment {found[0]}."
    return f"{ways}, or name such a file: --deployment FILE."


def _read_key(path: str) -> str:
    try:
        if path == "-":
            data = sys.stdin.buffer.read(_KEY_BYTES)
        else:
            with Path(path).open("rb") as file:
                data = file.read(_KEY_BYTES)
    except OSError as error:
        raise FleetError(f"--key-file: {path} cannot be read: {error.strerror}.") from None
    key = data.decode(errors="replace").strip()
    if not key:
        raise FleetError(f"--key-file: {'standard input' if path == '-' else path} is empty.")
    return key


def _from_file(path: Path, team: str | None, key: str | None) -> Deployment:
    try:
        content = json.loads(path.read_bytes())
        if not isinstance(content, dict):
            raise TypeError
        fields = cast("dict[str, Any]", content)
        url, opening = str(fields["url"]), fields.get("opening")
    except OSError as error:
        raise FleetError(f"{path} cannot be read: {error.strerror}. `make up` writes it.") from None
    except (ValueError, KeyError, TypeError):
        raise FleetError(f"{path} is not a file that `make up` writes: it must have `url` and `api_key`.") from None
    return Deployment(url, key or _team_key(path, fields, team), None if opening is None else str(opening))


def _team_key(path: Path, fields: Mapping[str, Any], team: str | None) -> str:
    keys = fields.get("api_keys")
    if not isinstance(keys, dict) or not keys:
        if team is not None:
            raise FleetError(f"--team: the fleet of {path} has one key for all; leave the option out.")
        if not isinstance(fields.get("api_key"), str):
            raise FleetError(f"{path} has no `api_key`: run `make up` again, which writes it.")
        return str(fields["api_key"])
    by_team = cast("dict[str, Any]", keys)
    if team is None and len(by_team) == 1:
        return str(next(iter(by_team.values())))
    if team not in by_team:
        wrong = "The fleet has several teams" if team is None else f"--team: there is no {team!r}"
        raise FleetError(f"{wrong}: choose one by --team or FLEET_TEAM ({', '.join(sorted(by_team))}).")
    return str(by_team[team])
