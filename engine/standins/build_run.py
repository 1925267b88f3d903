"""Runs a build: shows its progress, hands secrets over without a file on disk, and explains a failure."""

import os
import re
import signal
import subprocess
import tempfile
import threading
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

from engine.standins.build_command import BuildCommand
from engine.standins.engine_log import StatusLine
from engine.standins.standin import OperationError

_KEPT_LINES = 2000
_SHOWN_LINES = 25
_STOP_SECONDS = 10


class BuildRunner:
    """Runs builds, and ends those under way when the engine cancels."""

    def __init__(self) -> None:
        """No build is under way."""
        self._running: set[subprocess.Popen[str]] = set()
        self._lock = threading.Lock()
        self._stopped = False

    def run(
        self,
        command: BuildCommand,
        status: StatusLine,
        hidden: set[str],
        explained: Callable[[list[str]], str] | None = None,
    ) -> list[str]:
        """Build, and return the output's last lines; raises OperationError, by default with the failing step's lines.

        `hidden` texts are shown nowhere.
        """
        with ExitStack() as stack:
            words = list(command.words)
            for name, content in sorted(command.secrets.items()):
                words[-1:-1] = ["--secret", f"id={name},src={_secret_file(stack, content)}"]
            with self._lock:
                if self._stopped:
                    raise OperationError("Cancelled before the build began.")
                process = subprocess.Popen(
                    words,
                    env={**os.environ, **command.environment},
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                    errors="replace",
                    start_new_session=True,
                )
                self._running.add(process)
            try:
                lines = _follow(process, command.input, status, hidden)
                code = process.wait()
            finally:
                with self._lock:
                    self._running.discard(process)
        if self._stopped:
            raise OperationError("The build was cancelled.")
        if code != 0:
            raise OperationError((explained or explain)(lines))
        return lines

    def stop(self) -> None:
        """End every build under way, and let none begin."""
        with self._lock:
            self._stopped = True
            running = list(self._running)
        for process in running:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
        for process in running:
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)


def explain(lines: list[str]) -> str:
    """A failed build's output as an error: the failing step, its last lines, and what to do where that is known."""
    text = "\n".join(lines)
    failing = next((found for line in reversed(lines) if (found := re.match(r"#(\d+) ERROR:? (.*)", line))), None)
    if failing is None:
        shown = [line for line in lines if line.strip() and not line.startswith("#")] or lines
        message = "\n".join(["The build failed:", *(f"  {line}" for line in shown[-_SHOWN_LINES:])])
    else:
        prefix = f"#{failing[1]} "
        step = [line.removeprefix(prefix) for line in lines if line.startswith(prefix) and "ERROR" not in line]
        title = next((line for line in step if line.startswith("[")), "")
        output = [re.sub(r"^\d+\.\d+ ", "", line) for line in step if re.match(r"\d+\.\d+ ", line)]
        message = "\n".join(
            [
                f"The build failed at {title or 'a step'}: {failing[2]}",
                *(f"  {line}" for line in output[-_SHOWN_LINES:]),
            ]
        )
    if "no space left on device" in text.lower():
        return f"{message}\nThe disk is full: free some space (`docker system df` shows what Docker holds)."
    if "failed to solve with frontend" in text and "docker.io" in text and "resolve" in text:
        remedy = "a base image must be on this host already, and no `# syntax` line may be used."
        return f"{message}\nNo registry answers here: {remedy}"
    return message


def _follow(process: subprocess.Popen[str], content: bytes, status: StatusLine, hidden: set[str]) -> list[str]:
    assert process.stdin is not None  # noqa: S101 - both were asked for as pipes
    assert process.stdout is not None  # noqa: S101
    with suppress(BrokenPipeError):
        process.stdin.write(content.decode())
        process.stdin.close()
    lines: deque[str] = deque(maxlen=_KEPT_LINES)
    pieces = sorted({piece for text in hidden for piece in (text, *text.splitlines()) if len(piece) >= 8}, key=len)
    for line in process.stdout:
        shown = line.rstrip()
        for piece in reversed(pieces):
            shown = shown.replace(piece, "[secret]")
        lines.append(shown)
        if shown:
            status.show(shown)
    return list(lines)


def _secret_file(stack: ExitStack, content: bytes) -> str:
    """A path from which programs of this user can read `content` while this process lives."""
    if hasattr(os, "memfd_create"):
        # In memory: even a kill -9 leaves nothing on disk.
        descriptor = os.memfd_create("secret", os.MFD_CLOEXEC)
        stack.callback(os.close, descriptor)
        os.write(descriptor, content)
        return f"/proc/{os.getpid()}/fd/{descriptor}"
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="build-secret-"))
    path = Path(folder) / "secret"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    return str(path)
