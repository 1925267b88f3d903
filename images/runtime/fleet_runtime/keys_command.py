"""`python -m fleet_runtime keys create|revoke|list`: an operator's way to keys, with no restart."""

import re
import sys
from collections.abc import Awaitable, Callable, Sequence

from fleet_runtime.database import Database
from fleet_runtime.keys import KeyStore

_USAGE = """usage: python -m fleet_runtime keys create TENANT    prints the new key, once
       python -m fleet_runtime keys revoke KEY_ID    the key is refused within 2 seconds
       python -m fleet_runtime keys list
"""


def keys_command(arguments: Sequence[str]) -> Callable[[Database], Awaitable[int]]:
    """Return what the command does, which gives the exit code."""
    return lambda database: _run(KeyStore(database), arguments)


async def _run(store: KeyStore, arguments: Sequence[str]) -> int:
    match arguments:
        case ["create", tenant]:
            if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", tenant):
                sys.stderr.write(f"{tenant!r} is no tenant's name: 1 to 63 of a-z, 0-9 and -, with no - at an end\n")
                return 2
            sys.stdout.write(await store.create(tenant) + "\n")
        case ["revoke", key_id]:
            tenant = await store.revoke(key_id)
            if tenant is None:
                sys.stderr.write(f"no valid key has the id {key_id!r}; `keys list` shows them\n")
                return 1
            sys.stdout.write(f"revoked {key_id} of tenant {tenant}\n")
        case ["list"]:
            for key_id, tenant, created, valid in await store.all():
                sys.stdout.write(f"{key_id}  {tenant}  {created}  {'valid' if valid else 'revoked'}\n")
        case _:
            sys.stderr.write(_USAGE)
            return 2
    return 0
