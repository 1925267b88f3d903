"""A host that has come: its group is told so once jobs can run on it, and not because it was switched on."""

import asyncio
import random
import time

import structlog

from fleet_runtime.config import WorkerSettings
from fleet_runtime.sandboxd.client import Sandboxes, SandboxLost, SandboxRefused
from fleet_runtime.worker.instance_metadata import InstanceMetadata
from fleet_runtime.worker.lifecycle_hook import HookAwayError, LifecycleHook, NothingWaitsError

log = structlog.get_logger()

_ASK_SECONDS = 5.0
_RETRY_SECONDS = 2.0
_LONGEST_RETRY_SECONDS = 15.0
_GRACE_SECONDS = 120.0
"""How long nothing may wait at the hook yet: a host from a warm pool is up within seconds, maybe before its group."""


class HostArrival:
    """Waits for sandboxes, then completes the group's hook for instances that launch.

    Until then the group counts the host as one that is coming. A host on which nothing ever runs is ended when the
    hook's time is over, and no working one has gone for it; one that is to wait stopped in a warm pool is not stopped
    while it is still being set up.
    """

    def __init__(
        self, settings: WorkerSettings, sandboxes: Sandboxes, *, metadata: InstanceMetadata, hook: LifecycleHook
    ) -> None:
        """Nothing is asked yet."""
        self._template = settings.template
        self._sandboxes = sandboxes
        self._metadata = metadata
        self._hook = hook

    @classmethod
    def of(cls, settings: WorkerSettings, sandboxes: Sandboxes) -> "HostArrival | None":
        """Return the arrival that the settings describe; None where no hook waits for it."""
        from fleet_runtime.doorbell.aws_credentials import AwsCredentials

        if settings.lifecycle_group is None or settings.launch_hook is None:
            return None
        metadata = InstanceMetadata(settings.metadata_endpoint)
        hook = LifecycleHook(
            settings.lifecycle_group,
            settings.launch_hook,
            metadata=metadata,
            credentials=AwsCredentials(f"{settings.metadata_endpoint.rstrip('/')}/"),
            endpoint=settings.autoscaling_endpoint,
        )
        return cls(settings, sandboxes, metadata=metadata, hook=hook)

    async def run(self) -> None:
        """Return when the hook is completed, or when none waits: a process that starts again finds it so."""
        while not await self._can_run_jobs():  # noqa: ASYNC110 - sandboxd tells nobody that it has begun
            await asyncio.sleep(_RETRY_SECONDS)
        delay, failed, began = _RETRY_SECONDS, False, time.monotonic()
        while True:
            try:
                await self._hook.complete()
                log.info("launch_hook_completed")
                return
            except NothingWaitsError:
                if time.monotonic() - began >= _GRACE_SECONDS:
                    return
            except HookAwayError as error:
                if not failed:
                    log.warning("launch_hook_not_completed", reason=str(error))
                failed = True
            # Spread out, as hosts that start together ask the same service.
            await asyncio.sleep(delay * random.uniform(0.5, 1.0))  # noqa: S311
            delay = min(_LONGEST_RETRY_SECONDS, 2 * delay)

    async def close(self) -> None:
        """Close the connections."""
        await self._metadata.aclose()
        await self._hook.aclose()

    async def _can_run_jobs(self) -> bool:
        try:
            async with asyncio.timeout(_ASK_SECONDS):
                found = await self._sandboxes.count()
        except (SandboxLost, SandboxRefused, TimeoutError, OSError):
            return False
        return found.healthy and self._template in found.templates
