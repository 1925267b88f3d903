"""Runs the engine's program: short commands to their end, operations as a stream of events."""

import json
import os
import re
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.errors import UserFacingError
from engine.paths import Paths
from engine.report import private_file, say

_INTERRUPT_SECONDS = 90.0


class Interrupted(Exception):  # noqa: N818 - not an error: the user asked for it
    """The user interrupted, and the engine has ended in good order."""


class PulumiCli:
    """The engine for one stack of one checkout."""

    def __init__(self, paths: Paths, stack: str, environment: Mapping[str, str]) -> None:
        """`environment` comes from `engine_environment`."""
        self.paths = paths
        self.stack = stack
        self.environment = dict(environment)

    def run(self, *arguments: str, seconds: float = 120, given: str | None = None) -> subprocess.CompletedProcess[str]:
        """A command that does not run the program; it works in `.fleet`, so that no tracked file changes."""
        return subprocess.run(
            [str(self.paths.engine_programs / "pulumi"), "--non-interactive", *arguments, "--stack", self.stack],
            cwd=self.paths.project,
            env=self.environment,
            input=given,
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
        )

    def checked(self, *arguments: str, seconds: float = 120, given: str | None = None) -> str:
        """The standard output of a command that has to succeed."""
        run = self.run(*arguments, seconds=seconds, given=given)
        if run.returncode:
            said = run.stderr.strip() or run.stdout.strip() or "no output"
            raise UserFacingError(f"`pulumi {' '.join(arguments)}` failed: {said}", remedy_for(said))
        return run.stdout

    def version(self) -> str:
        """The engine's own, as `v3.200.0`: the one on PATH may be newer than the one that is built here."""
        program = str(self.paths.engine_programs / "pulumi")
        run = subprocess.run(
            [program, "version"], env=self.environment, capture_output=True, text=True, check=True, timeout=30
        )
        return run.stdout.strip()

    def operate(
        self,
        arguments: Sequence[str],
        handle: Callable[[Mapping[str, Any]], None],
        tick: Callable[[], None],
        log: Path,
    ) -> int:
        """Run an operation of the program; `handle` gets each event, `tick` is called about every second.

        All output goes to `log` in full. Ctrl-C asks the engine to end in good order; raises Interrupted then.
        """
        private_file(log, "")
        command = [str(self.paths.engine_programs / "pulumi"), "--non-interactive", *arguments, "--json"]
        command += ["--stack", self.stack, "--config-file", str(self.paths.configuration(self.stack))]
        environment = self.environment | {"PULUMI_ENABLE_STREAMING_JSON_PREVIEW": "true"}
        with log.open("ab") as file:
            # A session of its own: Ctrl-C reaches this process only, which passes it on once. A second one given
            # directly to the engine would make it end without finishing what it has begun.
            process = subprocess.Popen(
                command,
                cwd=self.paths.root,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=file,
                start_new_session=True,
            )
            private_file(self.paths.engine_process(self.stack), str(process.pid))
            interrupted = 0.0
            lines = _Lines(process)
            while True:
                try:
                    for line in map(unrevealed, lines.next(1.0)):
                        file.write(line + b"\n")
                        file.flush()
                        if (event := _event(line)) is not None:
                            handle(event)
                    if lines.ended:
                        break
                    tick()
                    if interrupted and time.monotonic() - interrupted > _INTERRUPT_SECONDS:
                        _end(process, signal.SIGKILL)
                except KeyboardInterrupt:
                    if interrupted:
                        say("Interrupted again: ending the engine at once. The next run puts things right.")
                        _end(process, signal.SIGKILL)
                    else:
                        say("Interrupted: the engine finishes what it has begun (Ctrl-C again ends it at once).")
                        interrupted = time.monotonic()
                        _end(process, signal.SIGINT)
                except BaseException:
                    # Our own mistake must not leave an engine at work that nobody watches.
                    _end(process, signal.SIGKILL)
                    raise
            code = process.wait()
        self.paths.engine_process(self.stack).unlink(missing_ok=True)
        if interrupted:
            raise Interrupted
        return code


class _Lines:
    """The lines of a process, as they come, without blocking for longer than asked."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None  # noqa: S101 - asked for by the caller
        self._descriptor = process.stdout.fileno()
        self._rest = b""
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._descriptor, selectors.EVENT_READ)
        self.ended = False

    def next(self, seconds: float) -> list[bytes]:
        if not self._selector.select(seconds):
            return []
        chunk = os.read(self._descriptor, 1 << 16)
        if not chunk:
            self.ended = True
            return [self._rest] if self._rest else []
        *whole, self._rest = (self._rest + chunk).split(b"\n")
        return whole


def _event(line: bytes) -> dict[str, Any] | None:
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) else None


# The engine filters the secrets of the configuration that it has, and not those of the plan that it refuses.
_OF_A_PLAN = re.compile(rb"(violates plan: properties changed)(?:[^\"\\]|\\.)*")


def unrevealed(line: bytes) -> bytes:
    """A line of the engine without the values that it tells of a refused update plan."""
    return _OF_A_PLAN.sub(rb"\1", line)


def _end(process: subprocess.Popen[bytes], how: signal.Signals) -> None:
    """Signal the engine; when it must end at once, its plugins with it (they are its session)."""
    try:
        if how is signal.SIGKILL:
            os.killpg(process.pid, how)
        process.send_signal(how)
    except ProcessLookupError:
        pass


_REMEDIES = (
    (
        ("incorrect passphrase", "no such file or directory: passphrase"),
        "The passphrase in .fleet/passphrase is not the one that this stack's state was written with. Put the right "
        "one back, or give the stack up with `make down` and begin anew.",
    ),
    (
        ("no space left on device",),
        "The disk is full. Free space (docker system df shows what Docker takes) and run the command again.",
    ),
    (
        ("port is already allocated", "address already in use"),
        "Something else has the API's port. Stop it, or set another as fleet.api.port in the stack's settings file.",
    ),
    (
        ("is refused; nothing was changed", "are refused; nothing was changed"),
        "Correct the stack's settings file, Pulumi.<stack>.yaml, and run the command again.",
    ),
    (
        ("expected resource operations for",),
        "What the plan says and the update did not have to do counts as a fault for the engine. Everything else is "
        "done: `make up` without PLAN goes on from there.",
    ),
    (
        ("violates plan", "not allowed by the plan"),
        "The update would do what its plan does not say. What is not told above as done was not done. `make preview "
        "PLAN=1 REPORT=folder` with the same STACK makes a new plan: look at it, and run the command again with it.",
    ),
    (
        ("the stack is currently locked",),
        "Another pulumi is changing this stack. Let it end, or stop it, and run the command again. `make state-unlock` "
        "with the same STACK explains a lock that nobody holds any more, and clears it.",
    ),
)


def remedy_for(text: str, otherwise: str = "Run the command again: it goes on where it stopped.") -> str:
    """What the user does about an error that the engine reports."""
    lowered = text.lower()
    for signs, remedy in _REMEDIES:
        if any(sign in lowered for sign in signs):
            return remedy
    return otherwise
