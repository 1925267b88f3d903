"""What an operator is shown of a dead letter's request, to send it again by hand."""

from datetime import UTC, datetime
from uuid import uuid4

import pytest
from fleet_runtime.agent_script import agent_program, agent_script
from fleet_runtime.dead_letters_command import request_body
from fleet_runtime.payload import PROGRAM, encode
from fleet_runtime.store.dead_letters import DeadLetter


def _letter(workspace: str | None) -> DeadLetter:
    now = datetime.now(UTC)
    return DeadLetter(
        seq=1, id=uuid4(), tenant="a", template="agent-a", language="agent", agent="app", workspace=workspace,
        status="lost", attempt=3, failures=3, error_code="worker_lost", error_message=None, created_at=now,
        ended_at=now, expires_at=now, replayed_as=None, replayed_from=None,
    )  # fmt: skip


@pytest.mark.parametrize("folder", [None, "/workspace"])
@pytest.mark.parametrize("command", ["make\n\nmake test\n", "", ["pytest", "-k", "a b", ""]])
def test_an_agents_command_is_shown_as_it_was_given(command: str | list[str], folder: str | None) -> None:
    """Prevents a request that runs as bash what the runner is told of a program, or enters the workspace twice."""
    payload = (
        encode("bash", agent_script(command, folder), b"in", {"a": b"b"})
        if isinstance(command, str)
        else encode(PROGRAM, agent_program(command, folder), b"in", {"a": b"b"})
    )
    workspace = {} if folder is None else {"workspace": "app"}
    shown = request_body(_letter(workspace.get("workspace")), payload)
    assert shown == {"agent": "app", "command": command, "stdin": "in", "files": {"a": "b"}, **workspace}
