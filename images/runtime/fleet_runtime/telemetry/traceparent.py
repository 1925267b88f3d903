"""The W3C's `traceparent`: read from a request, kept with the job, and named in logs, with or without an exporter."""

import re
from collections.abc import Iterable

_FORM = re.compile(r"(?!ff)[0-9a-f]{2}-(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})(?:-.*)?")


def incoming(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """Return the header's value in the form of version 00; None where there is none, or none that is valid."""
    values = [value for name, value in headers if name == b"traceparent"]
    found = _FORM.fullmatch(values[0].decode("latin-1").strip()) if len(values) == 1 else None
    if found is None or not int(found["trace"], 16) or not int(found["span"], 16):
        return None
    return f"00-{found['trace']}-{found['span']}-{found['flags']}"


def trace_id(traceparent: str | None) -> str | None:
    """Return the trace's id, as it stands in logs."""
    return traceparent[3:35] if traceparent is not None else None
