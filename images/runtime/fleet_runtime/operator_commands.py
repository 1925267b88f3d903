"""`python -m fleet_runtime keys|tenants|workers|dead-letters|workspaces …`: an operator's way in, with no restart."""

import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence

from fleet_runtime.config import DatabaseSettings
from fleet_runtime.database import Database, DatabaseAway
from fleet_runtime.dead_letters_command import dead_letters_command
from fleet_runtime.keys_command import keys_command
from fleet_runtime.tenants_command import tenants_command
from fleet_runtime.workers_command import workers_command
from fleet_runtime.workspaces_command import workspaces_command

Work = Callable[[Database], Awaitable[int]]

# Each takes its arguments, and exits with 2 if they are wrong, before there is a connection.
_COMMANDS: Mapping[str, Callable[[Sequence[str]], Work]] = {
    "keys": keys_command,
    "tenants": tenants_command,
    "workers": workers_command,
    "dead-letters": dead_letters_command,
    "workspaces": workspaces_command,
}
OPERATOR_COMMANDS = frozenset(_COMMANDS)


async def run_operator_command(name: str, settings: DatabaseSettings, arguments: Sequence[str]) -> int:
    """Run one command and return its exit code: 0, 1 (it could not be done) or 2 (called wrongly)."""
    work = _COMMANDS[name](arguments)
    database = Database(
        settings.database_url.get_secret_value(),
        application_name=f"fleet-{name}",
        connections=2,
        timeout_seconds=settings.database_timeout_seconds,
    )
    await database.open()
    try:
        return await work(database)
    except DatabaseAway as error:
        sys.stderr.write(f"the database cannot be reached: {error}\n")
        return 1
    finally:
        await database.close()
