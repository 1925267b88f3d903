"""Creates and changes objects by server-side apply, for real or as a dry run.

The official provider creates by POST and applies from the first update on. Here the first write is an apply too: then
the stack owns the fields that the program set and no others, and a replica count left out stays an autoscaler's.
That an object exists already is an error all the same, unless a killed run of this very resource left it.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine.standins.kubernetes import annotations, managers
from engine.standins.kubernetes.api import APPLY, ApiError, ApiServer
from engine.standins.kubernetes.errors import exists_already, explained, unknown_kind
from engine.standins.kubernetes.kinds import Kind
from engine.standins.kubernetes.objects import described, lives_in, name_of
from engine.standins.standin import Call, OperationError

_APPEARING_SECONDS = 20.0
"""How long a namespace or a kind may take to appear that is made in the same update."""
_METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"


@dataclass(frozen=True)
class Wanted:
    """One object as a program wants it, and how."""

    thing: dict[str, Any]
    manager: str
    patch: bool = False
    """Whether it is only a patch of an object that someone else made."""
    upsert: bool = False
    """Whether an object that exists already is taken over."""
    force: bool = False
    """Whether fields of other managers are taken over."""


@dataclass(frozen=True)
class Applied:
    """The object as the server has it now, where it is, and whether it was there before."""

    live: Mapping[str, Any]
    path: str
    existed: bool


class Applier:
    """Applies to one API server, for one resource."""

    def __init__(self, server: ApiServer, call: Call) -> None:
        """`call` is the operation that this is done for."""
        self._server = server
        self._call = call

    def create(self, wanted: Wanted, recorded: frozenset[str]) -> Applied:
        """Create the object; raises OperationError. `recorded` are the uids of objects that the state knows."""
        kind = self._appearing(wanted.thing)
        thing = placed(wanted.thing, kind)
        path = kind.path(lives_in(thing), name_of(thing))
        existing = self._server.get(path)
        if existing is not None and not (wanted.patch or wanted.upsert):
            left_behind = managers.applied_by(existing, wanted.manager)
            if not left_behind or existing["metadata"]["uid"] in recorded:
                raise OperationError(exists_already(thing))
            if existing["metadata"].get("deletionTimestamp"):
                raise OperationError(f"{described(thing)} is still being deleted. Run the command again.")
            self._call.log.info(
                f"{described(thing)} is there from an earlier run of this stack and is taken up.", self._call.urn
            )
        if annotations.is_true(thing, annotations.AUTONAMED) and existing is None:
            self._remove_orphans(kind, thing, wanted.manager, recorded)
        if existing is not None and wanted.upsert and managers.needs_transfer(existing, wanted.manager):
            managers.transfer(self._server, path, existing, wanted.manager)
        code, live = self._apply(path, thing, wanted)
        if code == 200 and existing is None and not (wanted.patch or wanted.upsert):
            # Another writer was faster by a moment.
            raise OperationError(exists_already(thing))
        return Applied(live, path, existing is not None)

    def update(self, wanted: Wanted, before: Mapping[str, Any], ignored: tuple[str, ...]) -> Applied:
        """Change the object; `before` is its state. One that is gone is made again."""
        kind = self._appearing(wanted.thing)
        thing = placed(wanted.thing, kind)
        path = kind.path(lives_in(thing) or lives_in(before), name_of(thing))
        existing = self._server.get(path)
        if existing is None:
            self._call.log.warning(f"{described(thing)} was gone and is made again.", self._call.urn)
        else:
            thing = managers.without_ignored(thing, existing, wanted.manager, ignored)
            if not wanted.patch and managers.needs_transfer(existing, wanted.manager):
                managers.transfer(self._server, path, existing, wanted.manager)
        _, live = self._apply(path, thing, wanted)
        earlier = before.get("__fieldManager")
        if earlier and earlier != wanted.manager:
            managers.relinquish(self._server, path, live, str(earlier))
            live = self._server.get(path) or live
        return Applied(live, path, existing is not None)

    def foretell(
        self, wanted: Wanted, ignored: tuple[str, ...] = (), *, exists: bool = False, replaces: bool = False
    ) -> Applied | None:
        """What the server would make of it; None when it cannot tell. Raises OperationError when it would refuse.

        `exists` says that this is a change of an object that the state has, `replaces` that the object of this name
        will be gone by then.
        """
        kind = self._server.kind(wanted.thing["apiVersion"], wanted.thing["kind"])
        if kind is None:
            return None
        thing = placed(wanted.thing, kind)
        path = kind.path(lives_in(thing), name_of(thing))
        existing = self._server.get(path)
        if existing is not None and replaces:
            thing = {**thing, "metadata": {**thing["metadata"], "name": f"{name_of(thing)[:240]}-preview"}}
            path, existing = kind.path(lives_in(thing), name_of(thing)), None
        if existing is not None and exists:
            thing = managers.without_ignored(thing, existing, wanted.manager, ignored)
        # The transfer of fields that precedes a real apply cannot be tried, so its conflicts are none here.
        free = existing is None or not exists or managers.needs_transfer(existing, wanted.manager)
        if existing is not None and not exists and not managers.applied_by(existing, wanted.manager):
            self._call.log.warning(exists_already(thing), self._call.urn)
        try:
            _, live = self._send(path, thing, wanted, free or wanted.force, {"dryRun": "All"})
        except ApiError as error:
            if error.missing_namespace or (error.code == 403 and "exceeded quota" not in error.message):
                # The namespace is made by the same update, or the user may not dry-run: the plan is all there is.
                return None
            raise OperationError(explained(error, thing, wanted.manager)) from None
        if replaces:
            live["metadata"]["name"] = name_of(wanted.thing)
        return Applied(live, path, existing is not None)

    def _apply(self, path: str, thing: Mapping[str, Any], wanted: Wanted) -> tuple[int, Any]:
        deadline = time.monotonic() + _APPEARING_SECONDS
        while True:
            try:
                return self._send(path, thing, wanted, wanted.force, {})
            except ApiError as error:
                waits = error.code == 404 and time.monotonic() < deadline and not self._call.cancelled.is_set()
                if not waits:
                    raise OperationError(explained(error, thing, wanted.manager)) from None
                self._call.log.status(f"waiting: {error.message}", self._call.urn)
                self._call.cancelled.wait(0.5)

    def _send(
        self, path: str, thing: Mapping[str, Any], wanted: Wanted, force: bool, more: Mapping[str, str]
    ) -> tuple[int, Any]:
        query = {
            "fieldManager": wanted.manager,
            "force": str(force).lower(),
            "fieldValidation": "Warn",
            **more,
        }
        return self._server.send(
            "PATCH",
            path,
            thing,
            query,
            content=APPLY,
            warned=lambda text: self._call.log.warning(f"{described(thing)}: {text}", self._call.urn),
        )

    def _appearing(self, thing: Mapping[str, Any]) -> Kind:
        """The object's kind; waits a while for one that a CustomResourceDefinition is just bringing."""
        deadline = time.monotonic() + _APPEARING_SECONDS
        while (kind := self._server.kind(thing["apiVersion"], thing["kind"])) is None:
            if time.monotonic() >= deadline or self._call.cancelled.is_set():
                raise OperationError(unknown_kind(thing))
            self._call.log.status(f"waiting for the API server to serve {thing['kind']}", self._call.urn)
            self._call.cancelled.wait(0.5)
        return kind

    def _remove_orphans(self, kind: Kind, thing: Mapping[str, Any], manager: str, recorded: frozenset[str]) -> None:
        """Remove what a killed run of this resource created under another made-up name."""
        collection = kind.collection(lives_in(thing))
        try:
            listed = self._server.get(collection, accept=_METADATA_ONLY) or {}
        except ApiError:
            return
        for item in listed.get("items") or []:
            own = managers.applied_by(item, manager) and annotations.is_true(item, annotations.AUTONAMED)
            metadata = item["metadata"]
            if own and metadata["uid"] not in recorded and not metadata.get("deletionTimestamp"):
                self._call.log.info(
                    f"{kind.name} {metadata['name']} was left by an interrupted run and is removed.", self._call.urn
                )
                options = {"propagationPolicy": "Background", "preconditions": {"uid": metadata["uid"]}}
                self._server.send("DELETE", f"{collection}/{metadata['name']}", options)


def placed(thing: dict[str, Any], kind: Kind) -> dict[str, Any]:
    """The object with the namespace that its kind takes: none, or `default` where none was given."""
    metadata = {key: value for key, value in thing["metadata"].items() if key != "namespace"}
    if kind.namespaced:
        metadata["namespace"] = lives_in(thing) or "default"
    return {**thing, "metadata": metadata}
