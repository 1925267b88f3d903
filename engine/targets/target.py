"""What the commands need of the place where a fleet runs, so that none of them asks which one it is."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from engine.pulumi_cli import PulumiCli
from engine.stack_state import StackState

Purpose = Literal["up", "preview", "down", "shell"]


@dataclass(frozen=True)
class Entrance:
    """An address at which the fleet's API answers now.

    `opening` is empty where it lasts; where the address ends with the command that asked for it, it is the command that
    makes another, which answers at `reopened`.
    """

    url: str
    opening: str = ""
    reopened: str = ""


@dataclass(frozen=True)
class LogSelection:
    """Which logs are wanted: of one role or all, of one team or all, how many lines of each, and whether to go on."""

    role: str
    team: str
    lines: int
    follow: bool


class Place(Protocol):
    """A reached place: Docker's daemon, or a cluster's API server. Objects are those with the fleet's label."""

    @property
    def packages(self) -> frozenset[str]:
        """Providers whose resources `remove_all` finds by their label, so that the engine is not needed for them."""
        ...

    def refuse_foreign_fleet(self, state: StackState) -> None:
        """Raise UserFacingError where a fleet of this name runs of which `state` knows nothing."""
        ...

    def refuse_foreign_removal(self, state: StackState) -> None:
        """The same for a removal, which would take the jobs of that fleet along."""
        ...

    def check_before(self, settings: Mapping[str, Any]) -> None:
        """Raise UserFacingError for what would make a deployment fail half-way."""
        ...

    def remove_orphans(self, state: StackState) -> None:
        """Remove what an interrupted run made and `state` does not know; what holds jobs stays."""
        ...

    def drifted(self, state: StackState) -> bool:
        """Whether the engine has to look at the place before it compares."""
        ...

    def remove_all(self) -> int:
        """Remove everything; return how many objects that were."""
        ...

    def what_stays(self) -> str:
        """What a removal leaves on purpose, told with how to remove it; empty where nothing does."""
        ...

    def entrance(self, outputs: Mapping[str, Any]) -> AbstractContextManager[Entrance]:
        """A way to the API for the length of the context. `outputs` are the stack's, or what was kept of them."""
        ...

    def troubles(self) -> str:
        """Why parts of the fleet do not run, as far as the place says it; empty where all is well."""
        ...

    def anything(self) -> bool:
        """Whether any object of the fleet is there."""
        ...

    def condition(self) -> list[str]:
        """A line for each part: what it is, and how it is."""
        ...

    def logs(self, selection: LogSelection) -> None:
        """Print logs until they end, or until Ctrl-C."""
        ...


class Target(Protocol):
    """Where a stack's settings want it to run."""

    @property
    def ready_seconds(self) -> float:
        """How long a deployed fleet may take until it is ready."""
        ...

    def reach(self) -> Place:
        """The place for `make up`, made ready where that can be done; raises UserFacingError where it cannot."""
        ...

    def occupy(self) -> None:
        """Write down which place `reach` reached, before anything is declared in it."""
        ...

    def find(self, state: StackState) -> Place | None:
        """The place as it is, nothing started. None where there is none and `state` says that nothing was left there.

        Raises UserFacingError where something was left in a place that does not answer, or in another.
        """
        ...

    def absent(self) -> str:
        """What `make status` says where `find` gives None."""
        ...

    def forsake(self, state: StackState) -> str:
        """What is left behind when `state` is forgotten because the place is gone for good; told to the user."""
        ...

    def prepare_images(self, place: Place) -> None:
        """Have what the stack's image builds need, if it builds any."""
        ...

    def engine(self, purpose: Purpose, state: Path | None = None) -> PulumiCli:
        """The engine with the plugins and the environment for this place. `state` is another backend's folder."""
        ...
