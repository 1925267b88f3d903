"""The files that agents' sandboxes are to have, looked at before a deployment."""

import os
from pathlib import Path
from typing import Any

import pytest
from fleet_runtime.sandboxd.posture import USER_ID

from engine import credentials_check
from engine.errors import UserFacingError

LOCAL = "unix:///var/run/docker.sock"


def said(credentials: Path, endpoint: str = LOCAL) -> list[str]:
    """What is told about one file."""
    lines: list[str] = []
    credentials_check.check({"agents": {"a": {"credentials": str(credentials)}, "b": {}}}, endpoint, lines.append)
    return lines


@pytest.mark.parametrize("kind", ["missing", "folder"])
def test_what_cannot_be_mounted_is_refused_before_anything_is_changed(tmp_path: Path, kind: str) -> None:
    """It would be found out by the first job, whose attempts it uses up."""
    path = tmp_path / "credentials.json"
    if kind == "folder":
        path.mkdir()
    with pytest.raises(UserFacingError, match=r"fleet\.agents\.a\.credentials"):
        said(path)
    assert said(path, "tcp://elsewhere:2376") == [], "the file of another host"


def test_a_file_that_sandboxes_cannot_read_is_told_with_what_mends_it(tmp_path: Path) -> None:
    """The CLI would only say that nobody has logged in."""
    assert credentials_check.SANDBOX_USER == USER_ID
    path = tmp_path / "credentials.json"
    path.write_text("sk-never-told")
    path.chmod(0o600)
    (line,) = said(path)
    assert "chown 10001 and chmod 0400" in line
    assert "sk-never-told" not in line
    path.chmod(0o644)
    assert said(path) == []
    if os.geteuid() == 0:
        path.chmod(0o400)
        os.chown(path, USER_ID, 0)
        assert said(path) == []


@pytest.mark.parametrize(
    "given", [{}, {"agents": None}, {"agents": {"a": None}}, {"agents": {"a": {"credentials": 1}}}]
)
def test_settings_that_the_program_refuses_are_left_to_it(given: dict[str, Any]) -> None:
    """Two programs would refuse one key in two ways, one of them by a stack trace."""
    credentials_check.check(given, LOCAL, print)
