"""Checkpoints of a stack, as the engine leaves them."""

import json
from pathlib import Path
from typing import Any

from engine.stack_state import StackState


def state_of(folder: Path, resources: list[dict[str, Any]], *, capitals: bool = False, **latest: Any) -> StackState:
    """The state of the stack `probe` with these resources; `capitals` writes names as an import does."""
    state = StackState(folder, "probe")
    state.checkpoint.parent.mkdir(parents=True, exist_ok=True)
    names = ("Stack", "Latest") if capitals else ("stack", "latest")
    checkpoint = {names[0]: "probe", names[1]: {"resources": resources, **latest}}
    state.checkpoint.write_text(json.dumps({"version": 3, "checkpoint": checkpoint}))
    return state
