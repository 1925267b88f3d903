"""What the API's handlers work with."""

import asyncio
from dataclasses import dataclass, field
from typing import Annotated, cast

from fastapi import Depends, Request, Security
from fastapi.security import HTTPBearer

from fleet_runtime.api.body import BodyReader
from fleet_runtime.api.budget import QueueBudget
from fleet_runtime.api.output_desk import OutputDesk
from fleet_runtime.api.pools import Routes
from fleet_runtime.api.problems import unauthorised, unavailable
from fleet_runtime.api.waiting import Waiters
from fleet_runtime.api.workspace_limits import WorkspaceLimits
from fleet_runtime.config import ApiSettings
from fleet_runtime.database import Database
from fleet_runtime.doorbell import Doorbell
from fleet_runtime.keys import Authenticator, Identity, KeyStore
from fleet_runtime.store.acceptance import Acceptance
from fleet_runtime.store.budgets import Budgets
from fleet_runtime.store.fleet import Fleet
from fleet_runtime.store.live_output import LiveOutput
from fleet_runtime.store.results import Results
from fleet_runtime.store.space import DatabaseSpace
from fleet_runtime.store.workspaces import Workspaces
from fleet_runtime.telemetry.metrics import ApiMetrics
from fleet_runtime.telemetry.tracing import Tracing


@dataclass
class ApiRuntime:
    """One API process's parts."""

    settings: ApiSettings
    database: Database
    doorbell: Doorbell
    metrics: ApiMetrics
    tracing: Tracing | None = None
    prepared: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once the schema, the bootstrap keys and the deployment's budgets are in place."""

    def __post_init__(self) -> None:
        """Put the parts together."""
        settings = self.settings
        self.keys = KeyStore(self.database)
        self.authenticator = Authenticator(self.keys, cache_seconds=settings.key_cache_seconds)
        self.acceptance = Acceptance(self.database)
        self.results = Results(self.database)
        self.fleet = Fleet(self.database)
        self.waiters = Waiters(self.results)
        self.live_output = LiveOutput(self.database)
        self.desk = OutputDesk(
            self.live_output,
            self.doorbell,
            streams=settings.output_streams,
            streams_per_tenant=settings.output_streams_per_tenant,
        )
        self.bodies = BodyReader(settings.large_bodies)
        self.routes = Routes(settings)
        self.budgets = Budgets(self.database)
        self.space = DatabaseSpace(self.database)
        self.workspaces = WorkspaceLimits(settings, Workspaces(self.database))
        self.budget = QueueBudget(self.acceptance, self.budgets, limit=settings.queue_limit)


def runtime_of(request: Request) -> ApiRuntime:
    """Return the process's parts."""
    return cast(ApiRuntime, request.app.state.runtime)


_bearer = HTTPBearer(auto_error=False, scheme_name="ApiKey", description="fleet_<key id>_<64 hexadecimal digits>")


async def _identify(request: Request, _: Annotated[object, Security(_bearer)]) -> Identity:
    runtime = runtime_of(request)
    if not runtime.prepared.is_set():
        raise unavailable("The service is starting: its database cannot be reached yet.")
    identity = await runtime.authenticator.identify(request.headers.get("authorization"))
    if identity is None or runtime.settings.tenant not in (None, identity.tenant):
        raise unauthorised()
    request.scope["fleet.tenant"] = identity.tenant
    return identity


Caller = Annotated[Identity, Depends(_identify)]
Runtime = Annotated[ApiRuntime, Depends(runtime_of)]
