"""`python -m fleet_runtime workspaces list|remove`: an operator's way to tenants' workspaces, where sandboxd is."""

import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from pydantic_settings import BaseSettings, SettingsConfigDict

from fleet_runtime.database import Database
from fleet_runtime.sandboxd.client import SandboxdClient, SandboxLost, SandboxRefused
from fleet_runtime.store.workspaces import Workspaces
from fleet_runtime.workspaces import TENANT_NAME, WORKSPACE_NAME

_USAGE = """usage: python -m fleet_runtime workspaces list                     tenant, name, size, last use
       python -m fleet_runtime workspaces remove TENANT NAME      with all its files; refused while a job has it
where sandboxd's socket is: in a worker's container, or on the host of a sandboxd without one
"""
_MEBIBYTE = 1024 * 1024


class SandboxdSocket(BaseSettings):
    """Where sandboxd is, from the environment (prefix FLEET_), as a worker is told."""

    model_config = SettingsConfigDict(env_prefix="FLEET_", extra="ignore", hide_input_in_errors=True)

    sandboxd_socket: Path = Path("/run/fleet/sandboxd.sock")


def workspaces_command(arguments: Sequence[str]) -> Callable[[Database], Awaitable[int]]:
    """Return what the command does, which gives the exit code."""
    return lambda database: _run(Workspaces(database), SandboxdClient(SandboxdSocket().sandboxd_socket), arguments)


async def _run(store: Workspaces, sandboxd: SandboxdClient, arguments: Sequence[str]) -> int:
    try:
        match arguments:
            case ["list"]:
                return await _list(store, sandboxd)
            case ["remove", tenant, name] if TENANT_NAME.fullmatch(tenant) and WORKSPACE_NAME.fullmatch(name):
                return await _remove(store, sandboxd, tenant, name)
            case _:
                sys.stderr.write(_USAGE)
                return 2
    except SandboxLost as error:
        sys.stderr.write(f"sandboxd cannot be asked: {error}\n")
    except SandboxRefused as error:
        sys.stderr.write(f"sandboxd refused: {error.message}\n")
    return 1


async def _list(store: Workspaces, sandboxd: SandboxdClient) -> int:
    sizes = await sandboxd.workspace_sizes()
    await store.record(sizes, ())
    used = {(each.tenant, each.name): each.used_at for each in await store.all()}
    for (tenant, name), size in sorted(sizes.items()):
        at = used.get((tenant, name))
        last = at.isoformat(timespec="seconds") if at else "not known"
        measured = f"{size / _MEBIBYTE:.1f} MiB" if size >= 0 else "cannot be measured"
        sys.stdout.write(f"{tenant}  {name}  {measured}  last used {last}\n")
    return 0


async def _remove(store: Workspaces, sandboxd: SandboxdClient, tenant: str, name: str) -> int:
    if (job := await store.writer(tenant, name)) is not None:
        sys.stderr.write(f"job {job} has it; wait for its end, or cancel it\n")
        return 1
    removed = await sandboxd.remove_workspace(tenant, name)
    await store.forget(tenant, name)
    if not removed:
        sys.stderr.write(f"tenant {tenant} has no workspace {name} here; `workspaces list` shows them\n")
        return 1
    sys.stdout.write("removed; a job that names it begins with an empty one\n")
    return 0
