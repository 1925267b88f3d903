"""Waits for an object to become ready or to be gone; says meanwhile what it waits for, and in the end why not."""

import json
import re
import time
from collections.abc import Mapping
from typing import Any

from engine.standins.kubernetes import annotations, readiness
from engine.standins.kubernetes.api import ApiError, ApiServer, UnreachableError
from engine.standins.kubernetes.objects import described
from engine.standins.kubernetes.readiness import READY, Look, Verdict
from engine.standins.standin import Call, OperationError

_FIRST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 1.0
_DOUBTFUL_SECONDS = 30.0
"""How long a refusal of pods (a quota) may last: pods that are ending elsewhere may still make room."""
_CONDITION = re.compile(r"condition=([\w./-]+?)(?:=(\w+))?$")
_JSON_PATH = re.compile(r"jsonpath=\{?\.?([\w.-]+)\}?(?:=(.+))?$")


class NotReadyError(Exception):
    """The object is there and did not become ready; `live` is its last known state."""

    def __init__(self, message: str, live: Mapping[str, Any]) -> None:
        """`message` says what was awaited and what is wrong."""
        super().__init__(message)
        self.live = live


def until_ready(
    server: ApiServer, call: Call, path: str, inputs: Mapping[str, Any], live: Mapping[str, Any]
) -> Mapping[str, Any]:
    """The object once it is ready; raises NotReadyError. Warnings about its pods are shown while it waits."""
    rule = annotations.value(inputs, annotations.WAIT_FOR)
    if annotations.is_true(inputs, annotations.SKIP_AWAIT) or not (rule or readiness.awaited(live)):
        return live
    seconds = annotations.timeout_seconds(call.timeout_seconds, inputs)
    begun, pause, shown, warned = time.monotonic(), _FIRST_PAUSE_SECONDS, "", set[str]()
    sound = begun
    while True:
        elapsed = time.monotonic() - begun
        verdict = _judge(Look(server, live, elapsed), rule)
        if not verdict.doubtful:
            sound = time.monotonic()
        if verdict.ready:
            return live
        for text in verdict.problems:
            if text not in warned:
                warned.add(text)
                call.log.warning(f"{described(live)}: {text}", call.urn)
        problems = "".join(f"\n  - {text}" for text in verdict.problems)
        if verdict.hopeless or time.monotonic() - sound > _DOUBTFUL_SECONDS:
            raise NotReadyError(f"{described(live)} did not become ready:{problems}", live)
        if call.cancelled.is_set():
            raise NotReadyError(f"{described(live)}: cancelled before it was ready: {verdict.awaited}.{problems}", live)
        if elapsed >= seconds:
            raise NotReadyError(
                f"{described(live)} was not ready after {seconds:g} s: {verdict.awaited}.{problems}\n"
                "It is kept in the state; the next `pulumi up` goes on waiting for it.",
                live,
            )
        if verdict.awaited != shown:
            shown = verdict.awaited
            call.log.status(shown, call.urn)
        call.cancelled.wait(min(pause, max(seconds - elapsed, 0.01)))
        pause = min(pause * 1.5, _LONGEST_PAUSE_SECONDS)
        live = _again(server, path, live)


def until_gone(server: ApiServer, call: Call, path: str, live: Mapping[str, Any], seconds: float) -> None:
    """Wait until the object is gone; raises OperationError with what holds it."""
    uid, begun, pause = (live.get("metadata") or {}).get("uid"), time.monotonic(), _FIRST_PAUSE_SECONDS
    shown = ""
    while True:
        try:
            found = server.get(path)
        except UnreachableError as error:
            raise OperationError(f"{described(live)}: {error}") from None
        if found is None or found["metadata"].get("uid") != uid:
            return
        elapsed = time.monotonic() - begun
        held = _held(found)
        if call.cancelled.is_set() or elapsed >= seconds:
            why = "cancelled" if call.cancelled.is_set() else f"not gone after {seconds:g} s"
            raise OperationError(
                f"{described(live)}: {why}. It is being deleted, and {held}. "
                "Run the command again to go on waiting, or give the resource a longer delete timeout."
            )
        if held != shown:
            shown = held
            call.log.status(f"waiting until it is gone: {held}", call.urn)
        call.cancelled.wait(min(pause, max(seconds - elapsed, 0.01)))
        pause = min(pause * 1.5, _LONGEST_PAUSE_SECONDS)


def _again(server: ApiServer, path: str, live: Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        found = server.get(path)
    except (UnreachableError, ApiError) as error:
        raise NotReadyError(f"{described(live)}: {error}", live) from None
    if found is None and live.get("kind") == "Job" and "ttlSecondsAfterFinished" in (live.get("spec") or {}):
        # A Job that ended may be gone before it is looked at again.
        return {**live, "status": {"conditions": [{"type": "Complete", "status": "True"}]}}
    if found is None:
        raise NotReadyError(f"{described(live)} was deleted while it was awaited.", live)
    return found


def _judge(look: Look, rule: str) -> Verdict:
    if not rule:
        try:
            return readiness.judge(look)
        except (UnreachableError, ApiError) as error:
            return Verdict(False, "waiting for the API server", [str(error)])
    try:
        listed: Any = json.loads(rule)
    except ValueError:
        listed = [rule]
    open_rules = [item for item in listed if not _holds(look.live, str(item))]
    return Verdict(False, f"waiting for {', '.join(open_rules)}") if open_rules else READY


def _holds(live: Mapping[str, Any], rule: str) -> bool:
    """Whether a `pulumi.com/waitFor` expression is true of the object."""
    if found := _CONDITION.match(rule):
        wanted = (found[2] or "True").lower()
        conditions: list[Mapping[str, Any]] = (live.get("status") or {}).get("conditions") or []
        return any(item.get("type") == found[1] and str(item.get("status")).lower() == wanted for item in conditions)
    if found := _JSON_PATH.match(rule):
        value: Any = live
        for step in found[1].split("."):
            value = value.get(step) if isinstance(value, Mapping) else None
        return value is not None and (found[2] is None or str(value).lower() == found[2].lower())
    raise OperationError(
        f"pulumi.com/waitFor: {rule!r} is not served by the kubernetes stand-in; it takes `condition=Type`, "
        "`condition=Type=Status`, `jsonpath={.path.to.field}` and `jsonpath={.path.to.field}=value`."
    )


def _held(live: Mapping[str, Any]) -> str:
    """What still holds an object that is being deleted."""
    if live.get("kind") == "Namespace":
        conditions: list[Mapping[str, Any]] = (live.get("status") or {}).get("conditions") or []
        texts = [str(item.get("message")) for item in conditions if item.get("status") == "True"]
        return "; ".join(texts) or "its contents are being deleted"
    finalizers = live["metadata"].get("finalizers") or []
    if "foregroundDeletion" in finalizers:
        ready = (live.get("status") or {}).get("replicas")
        return f"the objects below it are ending{f' ({ready} pods)' if ready else ''}"
    if finalizers:
        return f"these finalizers hold it: {', '.join(finalizers)}"
    grace = live["metadata"].get("deletionGracePeriodSeconds")
    return f"it has {grace} s to end" if grace else "it has not gone yet"
