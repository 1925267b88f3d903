"""What a user sees of an operation: a line for each thing done, and errors without stack traces."""

from typing import Any

import pytest

from engine.presentation import Presentation, plain
from engine.pulumi_cli import remedy_for

_PREFIX = "urn:pulumi:local::agent-fleet::docker:index/container:Container::"


class _Seen:
    """A presentation with a clock of its own."""

    def __init__(self, *, preview: bool = False) -> None:
        self.lines: list[str] = []
        self.now = 0.0
        self.show = Presentation(self.lines.append, preview=preview, clock=lambda: self.now)

    def operation(self, kind: str, op: str, name: str = "api", *, custom: bool = True, **extra: Any) -> None:
        self.show.event({kind: {"metadata": _metadata(op, name, custom=custom) | extra}})

    def say(self, severity: str, message: str, **extra: Any) -> None:
        self.show.event({"diagnosticEvent": {"severity": severity, "message": message} | extra})


def _metadata(op: str, name: str, *, custom: bool) -> dict[str, Any]:
    return {"op": op, "urn": _PREFIX + name, "type": "docker:index/container:Container", "new": {"custom": custom}}


def test_each_thing_done_is_one_line_with_its_time() -> None:
    """Prevents pages of output in which nobody finds what has changed."""
    seen = _Seen()
    seen.operation("resourcePreEvent", "create")
    seen.now = 3.2
    seen.operation("resOutputsEvent", "create")
    seen.operation("resOutputsEvent", "update", "worker", diffs=["envs", "image"])
    seen.operation("resOutputsEvent", "same", "database")
    seen.operation("resOutputsEvent", "create", "a component", custom=False)
    assert [line.split() for line in seen.lines] == [
        ["+", "created", "Container", "api", "(3.2", "s)"],
        ["~", "updated", "Container", "worker:", "envs,", "image"],
    ]


def test_a_preview_speaks_of_what_would_be() -> None:
    """Prevents a preview that reads as if it had been done."""
    seen = _Seen(preview=True)
    seen.operation("resOutputsEvent", "create")
    seen.show.event({"summaryEvent": {"resourceChanges": {"create": 1, "same": 20}}})
    assert "+ create " in seen.lines[0]
    assert seen.show.summary() == "1 to create, 20 unchanged"


def test_what_takes_long_is_named_while_it_runs() -> None:
    """Prevents minutes of silence during a build, after which people press Ctrl-C."""
    seen = _Seen()
    seen.operation("resourcePreEvent", "create", "runtime")
    seen.show.tick()
    assert seen.lines == []
    seen.now = 20
    seen.show.tick()
    seen.show.tick()
    assert seen.lines == ["  still creating Container runtime (20 s)"]


def test_an_unchanged_stack_counts_no_changes() -> None:
    """Prevents a second `make up` that claims to have done something."""
    seen = _Seen()
    seen.show.event({"summaryEvent": {"resourceChanges": {"same": 21, "refresh": 3, "read": 1}}})
    assert seen.show.changed() == 0
    assert seen.show.summary() == "21 unchanged"


def test_an_error_is_kept_once_and_its_aftermath_dropped() -> None:
    """Prevents three messages for one mistake, of which the last one says nothing."""
    seen = _Seen()
    for message in (
        "1 setting is refused",
        "1 setting is refused",
        "an unhandled error occurred: Program exited with non-zero exit code: 1",
        "update failed",
    ):
        seen.say("error", message)
    assert seen.show.errors == ["1 setting is refused"]


def test_an_error_of_a_resource_names_it() -> None:
    """Prevents "port is already allocated" without a word on which container."""
    seen = _Seen()
    seen.say("error", "port is already allocated", urn=_PREFIX + "agent-fleet-local-api")
    assert seen.show.errors == ["agent-fleet-local-api: port is already allocated"]


def test_debug_chatter_and_stand_in_notices_are_not_repeated() -> None:
    """Prevents the SDK's debug messages from drowning what matters; stand-ins are named once, at the start."""
    seen = _Seen()
    seen.say("debug", "registering resource")
    seen.say("info", "docker: this is agent-fleet's stand-in for the official provider.")
    seen.say("info", "progress of a build", ephemeral=True)
    seen.say("info", "a notice of the program")
    seen.say("warning", "something to know")
    assert seen.lines == ["  a notice of the program", "  warning: something to know"]


def test_a_stack_trace_becomes_its_last_line() -> None:
    """Prevents a stack trace on a user's screen; the log keeps it."""
    trace = (
        "Program failed with an unhandled exception:\nTraceback (most recent call last):\n"
        '  File "__main__.py", line 3, in <module>\n    main()\n    ~~~~^^\n'
        "ValueError: the first line\nand the second\n"
    )
    assert plain(trace) == "ValueError: the first line\nand the second"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Bind for 127.0.0.1:8080 failed: port is already allocated", "fleet.api.port"),
        ("write /var/lib/docker/x: no space left on device", "disk is full"),
        ("error: incorrect passphrase", "make down"),
        ("2 settings are refused; nothing was changed.", "settings file"),
        ("anything else", "Run the command again"),
    ],
)
def test_known_errors_come_with_their_remedy(text: str, told: str) -> None:
    """Prevents a user who knows what happened but not what to do."""
    assert told in remedy_for(text)
