"""A small Pulumi program in a folder of its own, with state of its own, run on the real engine."""

import json
import os
import re
import signal
import subprocess
import textwrap
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

_LIMIT_SECONDS = 120


@dataclass(frozen=True)
class Outcome:
    """What one engine operation said and did."""

    code: int
    text: str

    @property
    def changes(self) -> dict[str, int]:
        """Counts of the summary: `{"created": 2, "unchanged": 1}`."""
        _, _, summary = self.text.rpartition("\nResources:\n")
        return {
            words: int(number)
            for number, words in re.findall(
                r"^\s*(?:[-+~]{1,2}\s*)?(?:\d+ changes\. )?(\d+) ([a-z ]+)$", summary, re.MULTILINE
            )
        }

    def succeeded(self) -> "Outcome":
        """This outcome, once it is known to be a success."""
        assert self.code == 0, self.text
        return self

    def failed(self) -> "Outcome":
        """This outcome, once it is known to be a failure."""
        assert self.code != 0, self.text
        return self


class StackProgram:
    """One project with one stack."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        """`environment` carries the engine and the stack's own state, which `init` makes if there is none."""
        self.folder = folder
        # By name: which stack is selected is kept by the project's path, and a copied one has never been selected.
        self.environment = {**environment, "PULUMI_STACK": "test"}
        folder.mkdir(parents=True, exist_ok=True)

    def init(self) -> Self:
        """Make the project with its empty stack."""
        (self.folder / "Pulumi.yaml").write_text("name: probe\nruntime: python\n")
        self.run("stack", "init", "test").succeeded()
        return self

    def write(self, source: str) -> None:
        """Replace the program."""
        (self.folder / "__main__.py").write_text(textwrap.dedent(source))

    def run(self, *arguments: str) -> Outcome:
        """Run one engine command to its end."""
        with self.start(*arguments) as process:
            try:
                text, _ = process.communicate(timeout=_LIMIT_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                text, _ = process.communicate()
                raise AssertionError(f"pulumi {arguments} took over {_LIMIT_SECONDS} s:\n{text}") from None
        return Outcome(process.returncode, text)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start an engine command in a session of its own."""
        return subprocess.Popen(
            ["pulumi", *arguments, "--non-interactive", "--color", "never"],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def preview(self, *arguments: str) -> Outcome:
        """`pulumi preview`."""
        return self.run("preview", *arguments)

    def up(self, *arguments: str) -> Outcome:
        """`pulumi up` without asking."""
        return self.run("up", "--yes", "--skip-preview", *arguments)

    def refresh(self) -> Outcome:
        """`pulumi refresh` without asking."""
        return self.run("refresh", "--yes", "--skip-preview")

    def destroy(self) -> Outcome:
        """`pulumi destroy` without asking."""
        return self.run("destroy", "--yes", "--skip-preview")

    def outputs(self) -> dict[str, Any]:
        """The stack's outputs, secrets revealed."""
        return json.loads(self.run("stack", "output", "--json", "--show-secrets").succeeded().text)

    def stored_files(self) -> dict[Path, str]:
        """Everything that the backend keeps."""
        root = Path(self.environment["PULUMI_BACKEND_URL"].removeprefix("file://"))
        return {path: path.read_text(errors="replace") for path in root.rglob("*") if path.is_file()}

    def kill_up(self, seconds: float) -> None:
        """Start `pulumi up`, and after `seconds` kill the engine with signal 9; waits until its plugins are gone."""
        with self.start("up", "--yes", "--skip-preview") as process:
            try:
                process.wait(seconds)
            except subprocess.TimeoutExpired:
                os.kill(process.pid, signal.SIGKILL)
            process.communicate()
        wait_until(lambda: not self.plugins(), 15, "the engine's plugins to end with it")

    def plugins(self) -> list[int]:
        """The processes of this stack's provider plugins."""
        found: list[int] = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    words = (entry / "cmdline").read_bytes()
                    folder = (entry / "cwd").readlink()
                except OSError:
                    continue
                if b"engine.standins" in words and folder == self.folder:
                    found.append(int(entry.name))
        return found


def wait_until(holds: Callable[[], bool], seconds: float, what: str) -> None:
    """Wait for a condition; fails the test when it does not come true in time."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while not holds():
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        pause.wait(0.05)
