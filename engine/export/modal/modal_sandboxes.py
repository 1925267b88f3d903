"""Sandboxes on Modal: each a `modal.Sandbox` without a network, used once. Runs in the worker's container there.

Copied as it is into what `make export PLATFORM=modal` writes. Implements `fleet_runtime.sandboxd.backend.Backend`.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Collection, Mapping
from typing import Protocol, cast

import modal
from fleet_runtime.sandboxd.backend import BackendError, Sandbox
from fleet_runtime.sandboxd.config import SandboxTemplate
from fleet_runtime.sandboxd.flow import Flow
from fleet_runtime.sandboxd.posture import USER_ID, WORKING_FOLDER
from fleet_runtime.sandboxd.workspace import Workspace
from modal.container_process import ContainerProcess

_MEBIBYTE = 1024 * 1024
_DIAGNOSTIC_BYTES = 4096
_BUFFER_BYTES = 256 * 1024
_CHUNK_BYTES = 64 * 1024
_CHECK_SECONDS = 60.0
RUNNER = (
    "/usr/bin/setpriv",
    f"--reuid={USER_ID}",
    f"--regid={USER_ID}",
    "--clear-groups",
    "--no-new-privs",
    "--bounding-set=-all",
    "--inh-caps=-all",
    "/usr/bin/env",
    "-i",
    "PATH=/usr/local/bin:/usr/bin:/bin",
    "LANG=C.UTF-8",
    "HOME=/tmp",
    "/usr/bin/python3",
    "-c",
    # In a sandbox of the fleet's own the first process turns into the runner. Here Modal's is the first, and a Python
    # job comes back from `main` in a child that still has to be told what to run.
    "from fleet_sandbox.first import main; main(); import runpy; runpy.run_path('main.py', run_name='__main__')",
)


class Process(Protocol):
    """What is used of `modal.container_process.ContainerProcess`, by its asynchronous names."""

    def write(self, data: bytes) -> None:
        """Put into the standard input's buffer."""
        ...

    async def drain(self) -> None:
        """Send what is in that buffer."""
        ...

    def output(self) -> AsyncIterator[bytes]:
        """Yield standard output as it comes."""
        ...

    def errors(self) -> AsyncIterator[bytes]:
        """Yield standard error as it comes."""
        ...


class ModalProcess:
    """A command in a sandbox of Modal's; implements `Process`."""

    def __init__(self, process: ContainerProcess[bytes]) -> None:
        """The process must have been started with `text=False`."""
        self._process = process

    def write(self, data: bytes) -> None:
        """Put into the standard input's buffer."""
        self._process.stdin.write(data)

    async def drain(self) -> None:
        """Send what is in that buffer."""
        await self._process.stdin.drain.aio()

    async def output(self) -> AsyncIterator[bytes]:
        """Yield standard output as it comes."""
        async for part in self._process.stdout:
            yield part

    async def errors(self) -> AsyncIterator[bytes]:
        """Yield standard error as it comes."""
        async for part in self._process.stderr:
            yield part


class ModalAttachment:
    """A runner's streams over Modal's API, as asyncio sees them; implements `Sandbox`."""

    def __init__(self, name: str, process: Process) -> None:
        """Begin to read."""
        self.name = name
        self.output = asyncio.StreamReader(limit=_BUFFER_BYTES)
        self.ended = asyncio.Event()
        self._process = process
        self._flow = Flow()
        self.output.set_transport(cast("asyncio.Transport", self._flow))
        self._to_send: asyncio.Queue[bytes] = asyncio.Queue()
        self._diagnostics = bytearray()
        self._tasks = [asyncio.create_task(each) for each in (self._read(), self._write(), self._note())]

    def send(self, data: bytes) -> None:
        """Write to the runner's standard input; data for one that has died is dropped."""
        if not self.ended.is_set():
            self._to_send.put_nowait(data)

    def abort(self) -> None:
        """Stop reading at once; the sandbox itself is terminated when it is removed."""
        for task in self._tasks:
            task.cancel()
        self._flow.resume_reading()

    def diagnostics(self) -> str:
        """Return what came on standard error."""
        return self._diagnostics.decode(errors="replace").strip()

    async def _read(self) -> None:
        try:
            async for part in self._process.output():
                self.output.feed_data(part)
                await self._flow.wait()
        except modal.exception.Error as error:
            self._diagnostics += str(error).encode()
        finally:
            self.output.feed_eof()
            self.ended.set()

    async def _write(self) -> None:
        try:
            while True:
                data = await self._to_send.get()
                for start in range(0, len(data), _CHUNK_BYTES):
                    self._process.write(data[start : start + _CHUNK_BYTES])
                    await self._process.drain()
        except (modal.exception.Error, ValueError) as error:
            self._diagnostics += str(error).encode()

    async def _note(self) -> None:
        try:
            async for part in self._process.errors():
                self._diagnostics += part[: max(0, _DIAGNOSTIC_BYTES - len(self._diagnostics))]
        except modal.exception.Error:
            return


class ModalBackend:
    """Makes sandboxes in one Modal app for one worker. All methods belong to one event loop."""

    shared = False

    def __init__(self, app_name: str, worker: str, lifetime_seconds: int) -> None:
        """Nothing is asked yet. A worker that dies leaves its sandboxes, which end after `lifetime_seconds`."""
        self._app_name = app_name
        self._tags = {"agent-fleet-worker": worker}
        self._lifetime = lifetime_seconds
        self._app: modal.App | None = None
        self._checked = -_CHECK_SECONDS
        self._images: dict[str, modal.Image] = {}
        self._sandboxes: dict[str, modal.Sandbox] = {}

    async def check(self, templates: Mapping[str, SandboxTemplate]) -> Mapping[str, str]:
        """Look the app up, about every minute; raises BackendError where Modal does not answer."""
        del templates
        if self._app is None or time.monotonic() - self._checked > _CHECK_SECONDS:
            try:
                self._app = await modal.App.lookup.aio(self._app_name)
            except modal.exception.Error as error:
                raise BackendError(f"Modal's app {self._app_name} cannot be looked up: {error}") from error
            self._checked = time.monotonic()
        return {}

    async def start(
        self, name: str, template_name: str, template: SandboxTemplate, workspace: Workspace | None = None
    ) -> Sandbox:
        """Create a sandbox without a network and start the runner in it."""
        del workspace
        memory = template.memory_bytes // _MEBIBYTE
        try:
            sandbox = await modal.Sandbox.create.aio(
                "sleep",
                "infinity",
                app=self._app,
                image=self._image(template.image),
                tags={**self._tags, "agent-fleet-sandbox": name},
                timeout=self._lifetime,
                workdir=WORKING_FOLDER,
                cpu=(template.cpus, template.cpus),
                memory=(memory, memory),
                block_network=True,
            )
            self._sandboxes[name] = sandbox
            process = await sandbox.exec.aio(*RUNNER, workdir=WORKING_FOLDER, text=False)
        except modal.exception.Error as error:
            raise BackendError(f"template {template_name}: Modal made no sandbox: {error}") from error
        return ModalAttachment(name, ModalProcess(process))

    def shortage(self) -> str | None:
        """Return None: sandboxes are made, not waited for."""
        return None

    async def remove(self, name: str) -> None:
        """Terminate it."""
        sandbox = self._sandboxes.get(name) or (await self._listed()).get(name)
        if sandbox is None:
            return
        try:
            await sandbox.terminate.aio()
        except modal.exception.NotFoundError:
            pass
        except modal.exception.Error as error:
            raise BackendError(f"Modal did not terminate sandbox {name}: {error}") from error
        self._sandboxes.pop(name, None)

    async def left_over(self, known: Collection[str]) -> list[str]:
        """Return those of this worker that it does not know: others' are theirs."""
        return [name for name in await self._listed() if name not in known]

    async def ran_out_of_memory(self, name: str) -> bool:
        """Return False: Modal does not say it of a command."""
        del name
        return False

    def close(self) -> None:
        """Nothing is open but Modal's own client, which ends with the process."""

    def _image(self, reference: str) -> modal.Image:
        if reference not in self._images:
            # Modal builds as the image's user, and adds nothing to an image as a stranger to it.
            self._images[reference] = modal.Image.from_registry(
                reference, setup_dockerfile_commands=["USER root", "ENTRYPOINT []"], add_python="3.11"
            )
        return self._images[reference]

    async def _listed(self) -> dict[str, modal.Sandbox]:
        if self._app is None:
            return {}
        found: dict[str, modal.Sandbox] = {}
        try:
            async for sandbox in modal.Sandbox.list.aio(app_id=self._app.app_id, tags=self._tags):
                tags = await sandbox.get_tags.aio()
                if name := tags.get("agent-fleet-sandbox"):
                    found[name] = sandbox
        except modal.exception.Error as error:
            raise BackendError(f"Modal does not list its sandboxes: {error}") from error
        return found
