"""The lines of a preview, of a look for drift, and of an update that tries its plan first."""

from typing import Any

import pytest

from engine.presentation import Presentation


def step(event: str, operation: str, *, planning: bool = False) -> dict[str, Any]:
    """An event of the engine about a queue."""
    metadata = {
        "op": operation,
        "type": "aws:sqs/queue:Queue",
        "urn": "urn:pulumi:dev::agent-fleet::aws:sqs/queue:Queue::jobs",
        "old": {"custom": True},
    }
    return {event: {"metadata": metadata, **({"planning": True} if planning else {})}}


def told(events: list[dict[str, Any]], *, preview: bool = False, look: bool = False) -> list[str]:
    """What a person sees of them."""
    lines: list[str] = []
    show = Presentation(lines.append, preview=preview, look=look)
    for event in events:
        show.event(event)
    return [" ".join(line.split()) for line in lines]


def test_a_preview_tells_what_would_be_deleted() -> None:
    """Prevents a plan that hides its worst line: the engine says of no deletion in a preview that it is done."""
    assert told([step("resourcePreEvent", "delete", planning=True)], preview=True) == ["- delete Queue jobs"]


@pytest.mark.parametrize(("operation", "line"), [("update", "~ changed Queue jobs"), ("delete", "- gone Queue jobs")])
def test_a_look_tells_what_it_found_and_not_that_it_did_it(operation: str, line: str) -> None:
    """Prevents a fright: "updated", said by a command that changes nothing."""
    assert told([step("resOutputsEvent", operation)], look=True) == [line]


def test_what_an_update_only_tries_is_not_told_as_done() -> None:
    """Prevents lines twice, the first time of what may still be refused."""
    tried = [step("resourcePreEvent", "create", planning=True), step("resOutputsEvent", "create", planning=True)]
    summary = {"summaryEvent": {"isPreview": True, "resourceChanges": {"create": 1}}}
    assert told([*tried, summary]) == []
    assert told([*tried, summary, step("resourcePreEvent", "create"), step("resOutputsEvent", "create")]) == [
        "+ created Queue jobs"
    ]
