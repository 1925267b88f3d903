"""What a tenant may use: the same on every architecture."""

from typing import Annotated

from pydantic import Field

from settings.values import NOT_A_TRUTH_VALUE, Section


class Budget(Section):
    """A tenant's budget. Over it, jobs wait in the queue, and above `fleet.api.queue_limit` the API answers 429. What
    is left out is not limited. Tenants that have a budget here cannot be given another by `tenants set`."""

    max_concurrent: Annotated[int, Field(ge=1, le=100_000), NOT_A_TRUTH_VALUE] | None = None
    """Jobs that run at once, over all of the tenant's pools."""
    jobs_per_minute: Annotated[int, Field(ge=1, le=1_000_000), NOT_A_TRUTH_VALUE] | None = None
    """Jobs that begin: so many at once after a quiet minute, and so many a minute in the long run."""
    jobs_per_day: Annotated[int, Field(ge=1, le=1_000_000_000), NOT_A_TRUTH_VALUE] | None = None
    """Jobs that begin on one day (UTC). A job that runs again because the infrastructure failed counts once."""
    cpu_seconds_per_day: Annotated[int, Field(ge=1, le=1_000_000_000), NOT_A_TRUTH_VALUE] | None = None
    """Processor time of jobs that end on one day (UTC). Jobs that run when it is used up run on."""
