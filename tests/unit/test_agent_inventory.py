"""What is noted of an agent image's tools while it is built, and that starting them leaves nothing behind."""

import json
import runpy
from pathlib import Path
from typing import Any

import pytest

PROGRAM = Path(__file__).parents[2] / "images" / "agent" / "inventory.py"
TOOL = """#!/bin/sh
mkdir -p "$HOME/.cache" "${TMPDIR:-/tmp}/compile-cache"
echo x > "$HOME/.cache/one"
echo x > "${TMPDIR:-/tmp}/compile-cache/$$"
echo "$HOME $TMPDIR" >> "$0.places"
echo tool 1.2.3
"""


def test_a_tool_that_is_started_leaves_nothing_in_the_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prevents a tool's caches in every image, which the scan finds, so that nothing is published any more."""
    tool, home = tmp_path / "tool", tmp_path / "home"
    tool.write_text(TOOL)
    tool.chmod(0o755)
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("TMPDIR", str(home))
    program: dict[str, Any] = runpy.run_path(str(PROGRAM))
    program["main"].__globals__["INVENTORY"] = str(tmp_path / "inventory.json")
    program["main"]("node", [str(tool)])
    assert json.loads((tmp_path / "inventory.json").read_text())["tools"]["tool"]["version"] == "tool 1.2.3"
    assert list(home.iterdir()) == []
    places = Path(f"{tool}.places").read_text().split()
    assert [place for place in places if Path(place).exists()] == []
