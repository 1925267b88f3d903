"""Job ids: UUIDs of version 7 (RFC 9562), so that new rows lie together in the primary key's index."""

import secrets
import time
from collections.abc import Callable
from uuid import UUID


def new_job_id(milliseconds: Callable[[], int] = lambda: time.time_ns() // 1_000_000) -> UUID:
    """Return a new id: 48 bits of time, 74 random ones."""
    value = (milliseconds() & (1 << 48) - 1) << 80 | secrets.randbits(80)
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return UUID(int=value)
