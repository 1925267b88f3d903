"""Shows an operation of the engine as a line for each thing done, and keeps its errors for one message at the end."""

import re
import time
from collections.abc import Callable, Mapping
from typing import Any

from engine.report import Report

_DONE = {
    "create": "+ created",
    "create-replacement": "+ created anew",
    "update": "~ updated",
    "delete": "- deleted",
    "delete-replaced": "- deleted the old",
    "discard-replaced": "- forgot the old",
    "discard": "- forgot",
    "import": "= adopted",
    "import-replacement": "= adopted",
}
_PLANNED = {
    "create": "+ create",
    "create-replacement": "+ create anew",
    "update": "~ update",
    "delete": "- delete",
    "delete-replaced": "- delete the old",
}
_FOUND = {"update": "~ changed", "replace": "~ changed", "delete": "- gone"}
_DOING = {"create": "creating", "create-replacement": "creating", "update": "updating", "delete": "deleting"}
_AFTERMATH = re.compile(
    r"an unhandled error occurred: [Pp]rogram|^(update|preview|destroy|refresh) failed$|resource monitor shut down|"
    r"^BUG: ",
)
_STAND_IN_NOTICE = re.compile(r"this is agent-fleet's stand-in for the official")
_STILL_SECONDS = 15.0


def label(metadata: Mapping[str, Any]) -> str:
    """`Container agent-fleet-local-api`, from a resource's type and URN."""
    return f"{metadata['type'].rpartition(':')[2]} {metadata['urn'].rpartition('::')[2]}"


def plain(message: str) -> str:
    """An error as it is told: a Python stack trace gives its last line, the exception itself."""
    text = re.sub(r"<\{%[^%]*%\}>", "", message).strip()
    if "Traceback (most recent call last)" not in text:
        return text
    lines = [line for line in text.splitlines() if line.strip()]
    start = max(number for number, line in enumerate(lines) if re.match(r"^\s*(File \"|\^|~)", line)) + 1
    rest = [line for line in lines[start:] if line and not line.startswith((" ", "\t"))]
    return "\n".join(rest) or lines[-1].strip()


class Presentation:
    """Takes the engine's events; reports through `report` what a person wants to see."""

    def __init__(
        self,
        report: Report,
        *,
        preview: bool = False,
        look: bool = False,
        listed: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`preview` words the lines as plans, `look` as what was found; not `listed`, resources have none."""
        self._report = report
        self._listed = listed
        self._preview = preview
        self._words = _FOUND if look else _PLANNED if preview else _DONE
        self._clock = clock
        self._running: dict[str, tuple[str, float]] = {}
        self._said = clock()
        self.errors: list[str] = []
        self.changes: dict[str, int] = {}
        self.finished = False

    def event(self, event: Mapping[str, Any]) -> None:
        """Take one event of the engine's JSON stream."""
        if self._words is _DONE and _rehearsed(event):
            return
        if (pre := event.get("resourcePreEvent")) is not None:
            self._begun(pre["metadata"])
        elif (outputs := event.get("resOutputsEvent")) is not None:
            self._done(outputs["metadata"])
        elif (failed := event.get("resOpFailedEvent")) is not None:
            self._running.pop(failed["metadata"]["urn"], None)
        elif (diagnostic := event.get("diagnosticEvent")) is not None:
            self._told(diagnostic)
        elif (summary := event.get("summaryEvent")) is not None:
            self.changes = dict(summary.get("resourceChanges") or {})
            self.finished = True

    def _begun(self, metadata: Mapping[str, Any]) -> None:
        if metadata["op"] in _DOING and is_real(metadata):
            self._running[metadata["urn"]] = (f"{_DOING[metadata['op']]} {label(metadata)}", self._clock())
        if self._preview and metadata["op"] == "delete":
            # A preview deletes nothing, so that no event says that it is done.
            self._done(metadata)

    def _done(self, metadata: Mapping[str, Any]) -> None:
        _, since = self._running.pop(metadata["urn"], ("", self._clock()))
        words = self._words.get(metadata["op"])
        if words is None or not is_real(metadata) or not self._listed:
            return
        taken = self._clock() - since
        duration = f" ({taken:.1f} s)" if taken >= 0.5 and self._words is _DONE else ""
        detail = ""
        if metadata["op"] == "update" and metadata.get("diffs"):
            detail = f": {', '.join(metadata['diffs'])}"
        self._line(f"  {words:<14} {label(metadata)}{detail}{duration}")

    def _told(self, diagnostic: Mapping[str, Any]) -> None:
        severity, message = diagnostic.get("severity"), str(diagnostic.get("message", "")).strip()
        if not message or diagnostic.get("ephemeral"):
            return
        if severity == "error":
            text = plain(message)
            if not _AFTERMATH.search(text) and text not in self.errors:
                urn = str(diagnostic.get("urn") or "")
                name = urn.rpartition("::")[2]
                self.errors.append(
                    f"{name}: {text}" if name and name not in text and "pulumi:pulumi:Stack" not in urn else text
                )
        elif severity in ("info", "warning") and not _STAND_IN_NOTICE.search(message):
            prefix = "warning: " if severity == "warning" else ""
            self._line(f"  {prefix}{plain(message)}")

    def _line(self, text: str) -> None:
        self._said = self._clock()
        self._report(text)

    def tick(self) -> None:
        """Say what still runs when nothing has been said for a while."""
        now = self._clock()
        if now - self._said < _STILL_SECONDS:
            return
        running = [(what, now - since) for what, since in self._running.values() if now - since >= _STILL_SECONDS]
        if running:
            self._line("  still " + ", ".join(f"{what} ({seconds:.0f} s)" for what, seconds in running[:3]))

    def changed(self) -> int:
        """How many resources the operation created, updated, replaced or deleted."""
        return sum(count for op, count in self.changes.items() if op not in ("same", "read", "refresh"))

    def summary(self) -> str:
        """`3 to create, 1 to update, 12 unchanged`, or the same in the past."""
        words = {
            "create": "created",
            "update": "updated",
            "replace": "replaced",
            "delete": "deleted",
            "same": "unchanged",
        }
        if self._preview:
            words |= {"create": "to create", "update": "to update", "replace": "to replace", "delete": "to delete"}
        parts = [f"{self.changes[op]} {word}" for op, word in words.items() if self.changes.get(op)]
        return ", ".join(parts) or "nothing to do"


def _rehearsed(event: Mapping[str, Any]) -> bool:
    """Whether an update that is held to a plan only tries it so far: what it tells then is not done."""
    summary = event.get("summaryEvent") or {}
    steps = (event.get(name) or {} for name in ("resourcePreEvent", "resOutputsEvent", "resOpFailedEvent"))
    return bool(summary.get("isPreview")) or any(step.get("planning") for step in steps)


def is_real(metadata: Mapping[str, Any]) -> bool:
    """Whether this is a thing by itself, and no component, stack or provider."""
    state = metadata.get("new") or metadata.get("old") or {}
    return bool(state.get("custom")) and not metadata["type"].startswith("pulumi:providers:")
