"""Hosts on EC2 that the stack itself makes, as the place of a fleet: `vm` on one, `queue` on groups of them."""

import socket
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from engine.commands.session import Session
from engine.errors import UserFacingError
from engine.pulumi_cli import PulumiCli
from engine.stack_state import StackState
from engine.targets.aws_account import AwsTarget, aws_engine, require_credentials, require_provider
from engine.targets.target import Entrance, LogSelection, Place, Purpose

_LOGS = "aws logs tail /agent-fleet/{fleet} --follow"
_HOSTS = "aws:autoscaling/group:Group", "aws:ec2/instance:Instance"


class Ec2Place:
    """The fleet on its hosts, which may not be there yet; implements `target.Place`.

    What the stack made goes with the stack: nothing is looked for by label in an account.
    """

    def __init__(self, session: Session) -> None:
        """Nothing is asked yet."""
        self._session = session
        self._host = ""

    @property
    def packages(self) -> frozenset[str]:
        """None: whatever the engine cannot remove stays in the state."""
        return frozenset()

    def refuse_foreign_fleet(self, state: StackState) -> None:
        """A second fleet of its name is refused by AWS."""

    def refuse_foreign_removal(self, state: StackState) -> None:
        """Without a state there is nothing that could be removed."""

    def check_before(self, settings: Mapping[str, Any]) -> None:
        """Nothing beyond what the settings' own check has said."""

    def remove_orphans(self, state: StackState) -> None:
        """Nothing: what an interrupted run made is in the state as pending."""

    def drifted(self, state: StackState) -> bool:
        """Not asked on every run: reading a whole account takes minutes. `pulumi refresh` in `make shell` does."""
        del state
        return False

    def remove_all(self) -> int:
        """Nothing: the hosts have gone with the stack."""
        return 0

    def what_stays(self) -> str:
        """What AWS keeps on purpose."""
        return "What stays: the database's final snapshot, and for a week the secrets, where protection was on."

    @contextmanager
    def entrance(self, outputs: Mapping[str, Any]) -> Generator[Entrance]:
        """The load balancer's address, or the host's own."""
        url = str(outputs.get("url") or "")
        self._host = urlsplit(url).hostname or ""
        yield Entrance(url)

    def troubles(self) -> str:
        """What keeps a fleet that was deployed from being reached, as far as this machine can tell."""
        if self._host and not _resolves(self._host):
            return (
                f"{self._host} has no address: point it at the load balancer, whose own name is in the stack's outputs "
                "(docs/queue.md, docs/vm.md)."
            )
        return ""

    def anything(self) -> bool:
        """Whether any host, or group of them, was made."""
        return any(each["type"] in _HOSTS for each in self._session.state.resources())

    def condition(self) -> list[str]:
        """The hosts and groups that the state has; AWS's console has how they are."""
        found = [each for each in self._session.state.resources() if each["type"] in _HOSTS]
        return [f"  {each['type'].rpartition(':')[2]} {each['urn'].rpartition('::')[2]}" for each in found]

    def logs(self, selection: LogSelection) -> None:
        """They are in CloudWatch, whose own tool reads them."""
        del selection
        raise UserFacingError(
            "The logs of hosts on EC2 are in CloudWatch.",
            f"`{_LOGS.format(fleet=self._session.fleet)}` follows them; on queue the groups are "
            f"/agent-fleet/{self._session.fleet}-api and -workers.",
        )


class Ec2(AwsTarget):
    """Implements `target.Target` for `target: ec2`."""

    def reach(self) -> Place:
        """AWS, by credentials and the official provider; raises UserFacingError before anything is changed."""
        require_credentials()
        require_provider(self._session)
        return Ec2Place(self._session)

    def find(self, state: StackState) -> Place | None:
        """The stack's hosts; None where nothing was ever made."""
        if not state.exists():
            return None
        if state.holds("aws"):
            require_credentials()
        return Ec2Place(self._session)

    def engine(self, purpose: Purpose, state: Path | None = None) -> PulumiCli:
        """Without credentials stand-ins preview; with them the official plugins do everything."""
        return aws_engine(self._session, purpose, state)


def _resolves(host: str) -> bool:
    try:
        socket.getaddrinfo(host, None)
    except OSError:
        return False
    return True
