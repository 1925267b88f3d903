"""What every command on a stack starts from."""

import os
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine import plugins
from engine.docker_endpoint import DEFAULT, endpoint
from engine.environment import engine_environment, ensure_passphrase
from engine.errors import UserFacingError
from engine.file_lock import held
from engine.paths import Paths
from engine.presentation import Presentation
from engine.pulumi_cli import PulumiCli, remedy_for
from engine.report import say
from engine.stack_state import StackState
from engine.state_backend.location import StateLocation, of_stack
from engine.state_backend.move import at, mirror
from engine.toolchain import ensure_toolchain
from engine.watch import Watch


@dataclass(frozen=True)
class Session:
    """One command on one stack. `started` is on the monotonic clock; `settings` is another settings file, if given."""

    paths: Paths
    stack: str
    started: float
    settings: Path | None = None

    @property
    def fleet(self) -> str:
        """The name and label of everything that the stack makes."""
        return f"agent-fleet-{self.stack}"

    @property
    def argument(self) -> str:
        """What a `make` command needs after its name to mean this stack."""
        return "" if self.stack == "local" else f" STACK={self.stack}"

    @property
    def location(self) -> StateLocation | None:
        """Where the stack's state is on S3; None where it is the checkout's own."""
        return of_stack(self.paths, self.stack, self.settings)

    @property
    def local_state(self) -> StackState:
        """The stack in the checkout's own state."""
        return StackState(self.paths.state, self.stack)

    @property
    def state(self) -> StackState:
        """The stack as it was deployed last: in the checkout's own state, or fetched from S3 as it is now."""
        location = self.location
        if location is None:
            return self.local_state
        if self.local_state.exists():
            raise UserFacingError(
                f"The settings put the state of the stack {self.stack} into s3://{location.bucket}, and it still is "
                "here.",
                f"`make state-bootstrap{self.argument}` moves it.",
            )
        return mirror(self.paths, self.stack, location)

    def deployed(self) -> bool:
        """Whether there is a state that can be seen: one on S3 cannot without credentials."""
        if self.location is not None and not plugins.aws_credentials_given(os.environ):
            return False
        return self.state.exists()

    def seconds(self) -> float:
        """Since the command began."""
        return time.monotonic() - self.started

    def log(self, command: str) -> Path:
        """Where the full output of this command goes."""
        return self.paths.logs / f"{self.stack}-{command}.log"

    def engine(
        self,
        kind: plugins.Plugins = "fleet",
        wanted: Iterable[str] = plugins.DOCKER_PROVIDERS,
        state: Path | None = None,
        **variables: str,
    ) -> PulumiCli:
        """The engine on the stack's state, made available first where need be; says which providers are stand-ins.

        `state` is another folder of a file backend; `variables` are what this place's plugins find in their
        environment.
        """
        cli = self.local_engine(kind, wanted, state, **variables)
        location = self.location if state is None else None
        return cli if location is None else at(cli, location)

    def local_engine(
        self,
        kind: plugins.Plugins = "fleet",
        wanted: Iterable[str] = plugins.DOCKER_PROVIDERS,
        state: Path | None = None,
        **variables: str,
    ) -> PulumiCli:
        """The same on the checkout's own state, wherever the stack's is."""
        ensure_toolchain(say, self.paths)
        if (line := plugins.describe(plugins.provide(self.paths, kind, say, wanted))) is not None:
            say(line)
        environment = engine_environment(self.paths, plugins=kind, state=state)
        if (address := endpoint()) != DEFAULT:
            environment["DOCKER_HOST"] = address
        return PulumiCli(self.paths, self.stack, environment | variables)

    def initialise(self, cli: PulumiCli) -> None:
        """Enter the stack into the state, if it is not there."""
        with held(self.paths.stacks_lock):
            # The `down` of another stack may have taken the passphrase away with what it thought the last stack.
            ensure_passphrase(self.paths.passphrase)
            location, state = self.location, self.state
            sealed = () if location is None else ("--secrets-provider", location.secrets_provider)
            if not state.exists():
                cli.checked("stack", "init", "--no-select", *sealed)
            elif location is not None and not state.resources():
                # An empty one does not say under which key its secrets go.
                cli.checked("stack", "change-secrets-provider", location.secrets_provider)

    @contextmanager
    def alone(self) -> Generator[None]:
        """Hold the stack against other commands that would change it."""
        busy = UserFacingError(
            f"Another command is changing the stack {self.stack} in this checkout.",
            "Wait until it has ended, or interrupt it, and run the command again.",
        )
        with held(self.paths.lock(self.stack), busy=busy):
            yield

    def operate(
        self,
        cli: PulumiCli,
        command: str,
        *arguments: str,
        troubles: Callable[[], str] = lambda: "",
        listener: Callable[[Mapping[str, Any]], None] | None = None,
        excused: Callable[[], bool] = lambda: False,
        listed: bool = True,
    ) -> Presentation:
        """Run `up`, `preview`, `refresh` or `destroy` and show it; raises UserFacingError with the engine's own errors.

        `troubles` is asked while it takes long, and when it failed: the place often knows why. `listener` gets each
        event of the engine too. `excused` says of a failure without errors that its reason is known and told otherwise.
        Not `listed`, resources have no lines of their own.
        """
        watch = Watch(troubles, say)
        show = Presentation(say, preview=command == "preview", look=command == "refresh", listed=listed)
        log = self.log(command)

        def tick() -> None:
            show.tick()
            watch.tick()

        def event(event: Mapping[str, Any]) -> None:
            show.event(event)
            if listener is not None:
                listener(event)

        code = cli.operate([command, *arguments], event, tick, log)
        if not show.errors and (code == 0 or excused()):
            return show
        errors = "\n".join([*(show.errors or [_last_words(log)]), *watch.unsaid()])
        again = "" if command in ("preview", "refresh") else " Run the command again: it goes on where it stopped."
        raise UserFacingError(
            errors,
            remedy_for(errors, f"The full output is in {log}.{again}"),
        )


def _last_words(log: Path) -> str:
    """What the engine said when it ended without an event."""
    lines = [line for line in log.read_text(errors="replace").splitlines() if line and not line.startswith("{")]
    return "\n".join(lines[-5:]).removeprefix("error: ") or "The engine ended without a word."
