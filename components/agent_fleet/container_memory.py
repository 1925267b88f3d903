"""How many large requests and jobs fit in a container's memory. Stands alone: settings read it without Pulumi.

Measured in the runtime image with jobs of 16 MiB of files, the most that one may have: the API has
86 MB between such requests and peaks at 177 MB with one; the worker has 74 MB between such jobs and peaks at 122 MB
with one. The figures below are rounded up from these, so that small requests and a fragmented heap have room as well.
"""

API_IDLE_MEBIBYTES = 96
BODY_MEBIBYTES = 96
"""What one request with 16 MiB of files takes in the API: its bytes, and what is decoded from them."""
WORKER_IDLE_MEBIBYTES = 80
JOB_MEBIBYTES = 64
"""What one job with 16 MiB of files takes in its worker."""

API_LEAST_MEBIBYTES = API_IDLE_MEBIBYTES + BODY_MEBIBYTES
"""Under it one request with 16 MiB of files kills the API."""
WORKER_LEAST_MEBIBYTES = WORKER_IDLE_MEBIBYTES + JOB_MEBIBYTES
"""Under it one job with 16 MiB of files kills the worker."""

_DOORBELL_MEBIBYTES = {"redis": 16, "sqs": 8}
"""What the library of a doorbell takes in either: 14.5 MB for Redis, 4 MB for SQS and its connections."""


TRACING_MEBIBYTES = 16
"""What tracing takes in either: 7.6 MB for its libraries and their thread, and the spans that wait to be sent."""


def doorbell_memory(kind: str) -> int:
    """The mebibytes that a doorbell of this kind adds to the API and to the worker; PostgreSQL's adds none."""
    return _DOORBELL_MEBIBYTES.get(kind, 0)


def large_bodies(memory_mebibytes: int) -> int:
    """The large requests that an API with so much memory may take at once; at least 1."""
    return max(1, (memory_mebibytes - API_IDLE_MEBIBYTES) // BODY_MEBIBYTES)


def jobs_that_fit(memory_mebibytes: int) -> int:
    """The jobs with 16 MiB of files that a worker with so much memory holds at once; 0 if none fits."""
    return max(0, (memory_mebibytes - WORKER_IDLE_MEBIBYTES) // JOB_MEBIBYTES)


def memory_of_jobs(jobs: int) -> int:
    """The mebibytes that a worker needs to hold so many jobs at once."""
    return WORKER_IDLE_MEBIBYTES + jobs * JOB_MEBIBYTES
