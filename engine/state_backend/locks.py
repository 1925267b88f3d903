"""Locks of a stack, whoever holds them: who, when, which process on which host; and their removal."""

import json
import socket
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from engine.convergence import alive
from engine.paths import PROJECT
from engine.stack_state import StackState
from engine.state_backend.account import client, told
from engine.state_backend.location import StateLocation
from engine.state_backend.remote_state import fetch


@dataclass(frozen=True)
class HeldLock:
    """One lock, as its holder wrote it."""

    name: str
    user: str
    host: str
    process: int
    since: datetime | None
    remove: Callable[[], None]

    def at_work_here(self) -> bool:
        """Whether its holder is a process of this machine that still runs."""
        return self.host == socket.gethostname() and self.process > 0 and alive(self.process)

    def described(self, now: datetime) -> str:
        """A line for people."""
        who = f"{self.user or 'somebody'} on {self.host or 'an unknown host'}, process {self.process or 'unknown'}"
        if self.since is None:
            return f"{who}, at an unknown time"
        return f"{who}, since {self.since:%Y-%m-%d %H:%M:%S} UTC ({_age((now - self.since).total_seconds())} ago)"


def on_s3(location: StateLocation, stack: str) -> list[HeldLock]:
    """The stack's locks in the bucket."""
    s3 = client("s3", location)
    prefix = f".pulumi/locks/organization/{PROJECT}/{stack}/"

    def remover(key: str) -> Callable[[], None]:
        def remove() -> None:
            with told(f"remove {key} in the bucket {location.bucket}"):
                s3.delete_object(Bucket=location.bucket, Key=key)

        return remove

    with told(f"list the locks in the bucket {location.bucket}"):
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=location.bucket, Prefix=prefix)
        keys = [str(entry["Key"]) for page in pages for entry in page.get("Contents", [])]
    # One that its holder has removed meanwhile is none.
    found = ((key, fetch(location, key)) for key in keys if key.endswith(".json"))
    return [_read(key, content, remover(key)) for key, content in found if content is not None]


def in_files(state: StackState) -> list[HeldLock]:
    """The stack's locks in the state beside the project."""
    return [
        _read(lock.path.name, lock.path.read_bytes(), lambda path=lock.path: path.unlink(missing_ok=True))
        for lock in state.locks()
        if lock.path.exists()
    ]


def _read(name: str, content: bytes, remove: Callable[[], None]) -> HeldLock:
    try:
        document: Any = json.loads(content)
    except ValueError:
        document = None
    given: dict[str, Any] = document if isinstance(document, dict) else {}
    process = given.get("pid")
    return HeldLock(
        name=name,
        user=str(given.get("username") or ""),
        host=str(given.get("hostname") or ""),
        process=process if isinstance(process, int) else 0,
        since=_time(str(given.get("timestamp") or "")),
        remove=remove,
    )


def _time(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)


def _age(seconds: float) -> str:
    for size, name in ((86_400, "days"), (3_600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{int(seconds // size)} {name}"
    return f"{max(0, int(seconds))} seconds"
