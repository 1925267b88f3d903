"""The doorbell that a role's settings name."""

from collections.abc import Sequence

from prometheus_client import CollectorRegistry

from fleet_runtime.config import ApiSettings, WorkerSettings
from fleet_runtime.doorbell import Doorbell
from fleet_runtime.doorbell.postgres import PostgresDoorbell
from fleet_runtime.doorbell.rings import Failures


def make_doorbell(
    settings: ApiSettings | WorkerSettings, *, role: str, templates: Sequence[str], registry: CollectorRegistry
) -> Doorbell:
    """Return the doorbell of a role that rings for the jobs of `templates`; a worker's own is the first.

    Failures are counted in `registry`.
    """
    failures = Failures(registry)
    # Each is imported where it is used: their libraries take 15 and 4 MB of memory.
    if settings.doorbell == "redis" and settings.redis_url is not None:
        from fleet_runtime.doorbell.redis import RedisDoorbell

        return RedisDoorbell(settings.redis_url.get_secret_value(), fleet=settings.name, failures=failures)
    by_database = PostgresDoorbell(
        settings.database_url.get_secret_value(),
        application_name=f"{settings.name}-{role}-doorbell",
        failures=failures,
    )
    if settings.doorbell == "sqs" and settings.sqs_queue_url is not None and settings.queue_region is not None:
        from fleet_runtime.doorbell.aws_credentials import AwsCredentials
        from fleet_runtime.doorbell.sqs import SqsDoorbell
        from fleet_runtime.doorbell.sqs_requests import SqsRequests

        requests = SqsRequests(settings.queue_region, AwsCredentials())
        return SqsDoorbell(requests, settings.sqs_queue_url, by_database, templates=templates, failures=failures)
    return by_database
