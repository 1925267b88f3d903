"""Calls an OCI runtime, and tells when a process that is no child of ours has ended."""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path

from fleet_runtime.sandboxd.backend import BackendError

_DELETE_SECONDS = 15.0
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_SAID_BYTES = 2048


class Runtime:
    """One runtime's program and the folder where it keeps what it knows of its containers."""

    def __init__(self, program: Path, state: Path) -> None:
        """Nothing is called yet."""
        self._program = program
        self._state = state

    async def run(self, name: str, bundle: Path, connection: socket.socket, errors: int) -> int:
        """Create and start a container on these streams and return the process ID of its first process.

        Raises BackendError. Where this is cancelled, something of the container may be there.
        """
        pid_file = bundle / "pid"
        words = ["run", "--detach", "--bundle", str(bundle), "--pid-file", str(pid_file), name]
        code = await self._call(words, connection.fileno(), errors)
        try:
            if code == 0:
                return int(pid_file.read_text())
        except (OSError, ValueError):
            pass
        raise BackendError(f"{self._program} ended with {code}")

    async def delete(self, name: str) -> None:
        """Kill and forget a container; one that it does not know is as good. Raises BackendError."""
        reading, writing = os.pipe()
        try:
            async with asyncio.timeout(_DELETE_SECONDS):
                code = await self._call(["delete", "--force", name], subprocess.DEVNULL, writing)
            os.set_blocking(reading, False)
            said = b""
            with contextlib.suppress(BlockingIOError):
                said = os.read(reading, _SAID_BYTES)
        except TimeoutError:
            raise BackendError(f"{self._program} delete {name} took more than {_DELETE_SECONDS:g} s") from None
        finally:
            os.close(reading)
            os.close(writing)
        if code != 0 and b"does not exist" not in said:
            raise BackendError(f"{self._program} delete {name} ended with {code}: {said.decode(errors='replace')}")

    async def _call(self, words: list[str], stream: int, errors: int) -> int:
        command = [str(self._program), "--root", str(self._state), *words]
        try:
            # Python forks so that the memory of this process is shared until the program is executed.
            process = subprocess.Popen(  # noqa: ASYNC220 - asyncio's way would copy its page tables each time
                command,
                stdin=stream,
                stdout=stream,
                stderr=errors,
                env={"PATH": _PATH},
            )
        except OSError as error:
            raise BackendError(f"{self._program} cannot be executed: {error.strerror}") from error
        try:
            with Process(process.pid) as ending:
                await ending.wait()
        except BaseException:
            process.kill()
            raise
        finally:
            code = process.wait()
        return code


class Process:
    """A process by a descriptor, which no other process can take over as it can a number."""

    def __init__(self, pid: int) -> None:
        """Take hold of it; raises ProcessLookupError where it has gone."""
        self._descriptor = os.pidfd_open(pid)

    def __enter__(self) -> "Process":
        """Hold it until the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let go."""
        self.close()

    async def wait(self) -> None:
        """Return when it has ended."""
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[None] = loop.create_future()
        loop.add_reader(self._descriptor, _note, ended)
        try:
            await ended
        finally:
            loop.remove_reader(self._descriptor)

    def kill(self) -> None:
        """End it now."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._descriptor, signal.SIGKILL)

    def close(self) -> None:
        """Let go of it."""
        os.close(self._descriptor)


def program_of(runtime: str, named: Mapping[str, Path]) -> Path:
    """Return the program of a runtime: the one that was named for it, or what is found by its name; BackendError."""
    given = named.get(runtime)
    found = shutil.which(str(given or runtime), path=_PATH)
    if found is None:
        where = f"{given} is no program" if given else f"there is no {runtime} in {_PATH}"
        raise BackendError(f"runtime {runtime!r} cannot be used: {where}; install it, or name it in FLEET_OCI_RUNTIMES")
    return Path(found)


def _note(ended: asyncio.Future[None]) -> None:
    if not ended.done():
        ended.set_result(None)
