"""What a sandbox is to the pool and to a job, whichever way it is made."""

import asyncio
from collections.abc import Collection, Mapping
from typing import Protocol

from fleet_runtime.sandboxd.config import SandboxTemplate
from fleet_runtime.sandboxd.workspace import Workspace


class BackendError(Exception):
    """The backend cannot do what was asked; the text is for an operator.

    `lasting` is true where trying again cannot help before somebody changes something, such as loads the image;
    `shortage` where nothing is wrong but that all there are is in use.
    """

    def __init__(self, message: str, *, lasting: bool = False, shortage: bool = False) -> None:
        """Keep the message and what can be done about it."""
        super().__init__(message)
        self.lasting = lasting
        self.shortage = shortage


def says_disk_is_full(said: str) -> bool:
    """Say whether words of the kernel, Docker or a runtime are about a full disk; the kernel's come through both."""
    return "no space left on device" in said.lower()


class Sandbox(Protocol):
    """One started sandbox and the two streams of its runner."""

    name: str
    output: asyncio.StreamReader
    """The runner's frames; at its end the sandbox is gone or going."""
    ended: asyncio.Event
    """Set when the sandbox's output has ended."""

    def send(self, data: bytes) -> None:
        """Write to the runner; data for one that has died is dropped."""
        ...

    def abort(self) -> None:
        """Break the streams at once, so that whoever reads them sees the end."""
        ...

    def diagnostics(self) -> str:
        """Return what the runner itself had to say, for the log; empty where all went well."""
        ...


class Backend(Protocol):
    """Makes and removes sandboxes; the contract suite in tests/sandbox is run against each implementation."""

    shared: bool
    """Whether others take their sandboxes from the same stock."""

    async def check(self, templates: Mapping[str, SandboxTemplate]) -> Mapping[str, str]:
        """Return by template why sandboxes of it cannot be made; raises BackendError where nothing can."""
        ...

    async def start(
        self, name: str, template_name: str, template: SandboxTemplate, workspace: Workspace | None = None
    ) -> Sandbox:
        """Create and start a sandbox whose runner has yet to say that it is ready; raises BackendError.

        The workspace is made if there is none yet, and mounted; only templates with workspaces are given one.
        """
        ...

    def shortage(self) -> str | None:
        """Say why a start that is under way still waits, where that is only because all there are is in use."""
        ...

    async def remove(self, name: str) -> None:
        """Destroy a sandbox by name; one that does not exist is as good as removed. Raises BackendError."""
        ...

    async def left_over(self, known: Collection[str]) -> list[str]:
        """Return the names of this fleet's sandboxes that are not known; raises BackendError."""
        ...

    async def ran_out_of_memory(self, name: str) -> bool:
        """Say whether the kernel killed in this sandbox for memory; False where that cannot be told."""
        ...

    def close(self) -> None:
        """Give up the backend's connections and threads."""
        ...
