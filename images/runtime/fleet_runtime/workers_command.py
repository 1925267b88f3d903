"""`python -m fleet_runtime workers list|drain|undrain`: an operator's way to empty one worker without ending it."""

import sys
from collections.abc import Awaitable, Callable, Sequence

from fleet_runtime.database import Database
from fleet_runtime.store.fleet import Fleet

_USAGE = """usage: python -m fleet_runtime workers list
       python -m fleet_runtime workers drain ID      it takes no more jobs within 5 s; those it has go on
       python -m fleet_runtime workers undrain ID    it takes jobs again within 5 s
"""
_FRESH_SECONDS = 15.0


def workers_command(arguments: Sequence[str]) -> Callable[[Database], Awaitable[int]]:
    """Return what the command does, which gives the exit code."""
    return lambda database: _run(Fleet(database), arguments)


async def _run(fleet: Fleet, arguments: Sequence[str]) -> int:
    match arguments:
        case ["list"]:
            wanted = await fleet.drains_requested()
            for worker in await fleet.workers(_FRESH_SECONDS):
                drains = "drained by an operator" if worker.id in wanted else "draining" if worker.draining else ""
                state = drains or (worker.reason or "not healthy" if not worker.healthy else "takes jobs")
                jobs = f"{worker.running} of {worker.concurrency} jobs"
                sys.stdout.write(f"{worker.id}  {worker.template}  {jobs}  {state}\n")
        case ["drain" | "undrain" as action, worker_id]:
            if not await fleet.request_drain(worker_id, action == "drain"):
                sys.stderr.write(f"no worker has the id {worker_id!r}; `workers list` shows them\n")
                return 1
            told = "takes no more jobs within 5 s" if action == "drain" else "takes jobs again within 5 s"
            sys.stdout.write(f"{worker_id} {told}\n")
        case _:
            sys.stderr.write(_USAGE)
            return 2
    return 0
