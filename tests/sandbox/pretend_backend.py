"""A backend that makes nothing, for tests of the pool's rules."""

import asyncio
from collections.abc import Collection, Mapping
from typing import Any

from fleet_runtime.sandboxd.backend import BackendError, Sandbox
from fleet_runtime.sandboxd.config import SandboxTemplate
from fleet_runtime.sandboxd.frames import encode_frame
from fleet_runtime.sandboxd.metrics import Metrics
from fleet_runtime.sandboxd.pool import TemplatePool
from fleet_runtime.sandboxd.workspace import Workspace
from sandbox_daemon import MEBIBYTE, eventually
from structlog.contextvars import get_contextvars


class PretendSandbox:
    """Streams without anything behind them."""

    def __init__(self, name: str) -> None:
        """Be ready at once."""
        self.name = name
        self.output = asyncio.StreamReader()
        self.output.feed_data(encode_frame(b"R"))
        self.ended = asyncio.Event()

    def send(self, data: bytes) -> None:
        """Take it."""

    def abort(self) -> None:
        """End."""
        self.ended.set()

    def diagnostics(self) -> str:
        """Nothing to say."""
        return ""


class PretendBackend:
    """Counts what exists; fails where it is told to."""

    def __init__(self, *, shared: bool = False) -> None:
        """Begin with nothing."""
        self.shared = shared
        self.short: str | None = None
        self.existing: dict[str, PretendSandbox] = {}
        self.most = 0
        self.named: dict[str, Any] = {}
        """What a line that it writes to the log while it starts or removes one would have besides."""
        self.failures: list[BackendError] = []

    async def check(self, templates: Mapping[str, SandboxTemplate]) -> Mapping[str, str]:
        """All is well."""
        del templates
        return {}

    async def start(
        self, name: str, template_name: str, template: SandboxTemplate, workspace: Workspace | None = None
    ) -> Sandbox:
        """Make one, after a turn of the loop."""
        del template_name, template, workspace
        self.named |= get_contextvars()
        await asyncio.sleep(0)
        if self.failures:
            raise self.failures.pop()
        sandbox = self.existing[name] = PretendSandbox(name)
        self.most = max(self.most, len(self.existing))
        return sandbox

    def shortage(self) -> str | None:
        """What the test says."""
        return self.short

    async def remove(self, name: str) -> None:
        """Remove it, after a turn of the loop."""
        self.named |= get_contextvars()
        await asyncio.sleep(0)
        self.existing.pop(name, None)

    async def left_over(self, known: Collection[str]) -> list[str]:
        """Nothing is."""
        return [name for name in self.existing if name not in known]

    async def ran_out_of_memory(self, name: str) -> bool:
        """Nothing does."""
        del name
        return False

    def close(self) -> None:
        """Nothing to give up."""


def pool_of(backend: PretendBackend, **changes: Any) -> TemplatePool:
    """A pool of a small template."""
    numbers: dict[str, Any] = {
        "memory_bytes": 64 * MEBIBYTE,
        "scratch_bytes": MEBIBYTE,
        "start_timeout_seconds": 0.3,
        **changes,
    }
    template = SandboxTemplate(image="x", **numbers)
    return TemplatePool("fleet", "default", template, backend, Metrics())


async def settled(pool: TemplatePool) -> None:
    """Wait until nothing is being started or removed."""

    async def quiet() -> bool:
        counts = pool.counts
        return counts["starting"] == counts["removing"] == 0 and counts["warm"] >= min(
            pool.template.warm, pool.template.maximum - counts["running"]
        )

    await eventually(quiet, 5, f"the pool to settle: {pool.counts}")
