"""The resource limits of a job that Docker sets on its containers, for places that cannot: pods have none."""

import resource

LIMITS = {
    resource.RLIMIT_NOFILE: (1024, 4096),
    resource.RLIMIT_CORE: (0, 0),
    resource.RLIMIT_MEMLOCK: (65_536, 65_536),
}
"""The same as in fleet_runtime/sandboxd/posture.py; soft and hard."""


def lower(child: int) -> None:
    """Set the limits of the process that becomes the job; where they are lower already, they stay.

    A kernel that does not let them be set (OSError) gets no job: it would run with more than others have.
    """
    for limit, wanted in LIMITS.items():
        now = resource.prlimit(child, limit)
        soft, hard = (
            most if there == resource.RLIM_INFINITY else min(most, there)
            for most, there in zip(wanted, now, strict=True)
        )
        if (soft, hard) != now:
            resource.prlimit(child, limit, (soft, hard))
