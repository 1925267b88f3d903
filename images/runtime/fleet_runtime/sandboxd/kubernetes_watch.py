"""Objects of one kind as the API server last told of them: listed once, then watched."""

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from typing import Generic, Protocol, TypeVar

import structlog

from fleet_runtime.sandboxd.backend import BackendError
from fleet_runtime.sandboxd.kubernetes_api import Object, RequestError

_PAUSES_SECONDS = (0.1, 0.5, 1.0, 2.0)

_log = structlog.get_logger(__name__)


class Named(Protocol):
    """What is asked of an object that is watched."""

    @property
    def name(self) -> str:
        """Its name in its namespace."""
        ...

    @property
    def uid(self) -> str:
        """What tells it from one that had its name before."""
        ...


T = TypeVar("T", bound=Named)


class WatchedObjects(Generic[T]):
    """What is known of some objects. It may be behind."""

    def __init__(
        self,
        kind: str,
        *,
        listing: Callable[[], Awaitable[tuple[list[Object], str]]],
        watching: Callable[[str], AsyncGenerator[tuple[str, Object]]],
        read: Callable[[Object], T | None],
        on_change: Callable[[T, bool], None],
    ) -> None:
        """Begin empty; `on_change(object, gone)` is called for each change. `run` fills it; `kind` is for the log.

        An object of which `read` makes nothing is as good as not there.
        """
        self._kind = kind
        self._listing = listing
        self._watching = watching
        self._read = read
        self._on_change = on_change
        self._objects: dict[str, T] = {}
        self._changed = asyncio.Event()
        self.problem: str | None = f"the {kind}s have not been listed yet"
        """Why the objects are not known, where they are not."""

    @property
    def objects(self) -> Mapping[str, T]:
        """Every one by its name."""
        return self._objects

    async def run(self) -> None:
        """List and watch until cancelled. A watch that ends or breaks is taken up again, or all is listed anew."""
        failures = 0
        version: str | None = None
        while True:
            try:
                if version is None:
                    version = await self._list()
                    failures = 0
                version = await self._watch(version)
            except BackendError as error:
                # 410: so much has happened since that version that it is not remembered any more.
                if not (isinstance(error, RequestError) and error.status == 410):
                    if self.problem is None:
                        _log.warning(f"{self._kind}_watch_broke", reason=str(error))
                    self.problem = str(error)
                    await asyncio.sleep(_PAUSES_SECONDS[min(failures, 3)] * random.uniform(0.5, 1))  # noqa: S311
                    failures += 1
                version = None
            except Exception as error:
                _log.exception(f"{self._kind}_watch_failed")
                version, self.problem = None, f"the watch over the {self._kind}s failed: {type(error).__name__}"
                await asyncio.sleep(_PAUSES_SECONDS[-1])

    def forget(self, one: T) -> None:
        """Take an object that was just deleted for gone, before the watch tells of it."""
        if one.name in self._objects and self._objects[one.name].uid == one.uid:
            del self._objects[one.name]

    async def change(self) -> None:
        """Wait for the next change of any of them."""
        changed = self._changed
        await changed.wait()

    async def _list(self) -> str:
        found, version = await self._listing()
        objects = {one.name: one for one in map(self._read, found) if one is not None}
        self.problem = None
        gone = [one for name, one in self._objects.items() if name not in objects or objects[name].uid != one.uid]
        self._objects = objects
        for one in gone:
            self._tell(one, True)
        for one in objects.values():
            self._tell(one, False)
        # That there is none is news too.
        self._wake()
        return version

    async def _watch(self, version: str) -> str:
        """Follow what happens after a version; returns the last one seen where the server ends the watch."""
        async for kind, described in self._watching(version):
            version = str(described["metadata"]["resourceVersion"])
            if kind == "BOOKMARK":
                continue
            one = self._read(described)
            if one is None:
                continue
            if kind == "DELETED":
                self._objects.pop(one.name, None)
            else:
                self._objects[one.name] = one
            self._tell(one, kind == "DELETED")
        return version

    def _tell(self, one: T, gone: bool) -> None:
        self._on_change(one, gone)
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
