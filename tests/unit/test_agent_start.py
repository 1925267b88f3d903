"""The first process of an agent's container: what it refuses to start with."""

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

_PROGRAM = Path(__file__).parents[2] / "images" / "agent" / "program"
_AS_ANOTHER_USER = """
import os, sys
sys.path.insert(0, sys.argv[1])
import start
os.setgroups([])
os.setresgid(*3 * [int(sys.argv[2])])
os.setresuid(*3 * [int(sys.argv[2])])
sys.exit(start.main(["/bin/true"]))
"""


@pytest.fixture
def user() -> Iterator[int]:
    """A user that nobody else is, so that its home in /tmp is this test's own."""
    # The one who reads must not be the one who closed the folder, and only root can be two. CI is root.
    if os.geteuid() != 0:
        pytest.skip("only root may become another user")
    chosen = 1_000_000 + secrets.randbelow(1_000_000_000)
    yield chosen
    shutil.rmtree(f"/tmp/home-{chosen}", ignore_errors=True)


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that every user may look into and none may write to; pytest's own are closed to others."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        path.chmod(0o755)
        (path / ".claude").mkdir(mode=0o755)
        yield path


def started(user: int, home: Path, **variables: str) -> tuple[int, str]:
    """The exit code, and what is said. Where a container would have its workspace is a folder of everybody's."""
    ended = subprocess.run(
        [sys.executable, "-c", _AS_ANOTHER_USER, str(_PROGRAM), str(user)],
        env={"PATH": os.environ["PATH"], "HOME": str(home), "AGENT_WORKSPACE": "/tmp", **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return ended.returncode, ended.stderr


@pytest.mark.parametrize("closed", [".claude", ".claude/.credentials.json"])
def test_credentials_that_it_cannot_look_at_are_named(user: int, place: Path, closed: str) -> None:
    """Prevents an agent without a login because the mounted folder is closed to it, and nothing was said."""
    (place / ".claude" / ".credentials.json").write_text("{}")
    (place / closed).chmod(0)
    code, said = started(user, place)
    assert (code, len(said.splitlines())) == (84, 1), said
    assert f"{place}/.claude/.credentials.json cannot be read by user {user} (Permission denied)" in said


def test_without_credentials_it_starts_and_with_them_it_has_them(user: int, place: Path) -> None:
    """Prevents a refusal where none were mounted, and a link to nothing, through which none could be written."""
    linked = Path(f"/tmp/home-{user}/.claude/.credentials.json")
    assert started(user, place)[0] == 0
    assert not linked.is_symlink()
    (place / ".claude" / ".credentials.json").write_text("{}")
    assert started(user, place)[0] == 0
    assert linked.read_text() == "{}"


@pytest.mark.parametrize(("count", "code"), [("two", 85), ("-1", 85), ("1", 0), ("", 0)])
def test_a_count_for_git_that_is_no_number_is_refused(user: int, place: Path, count: str, code: int) -> None:
    """Prevents a stack trace, which tells nobody what to change, and a count that git refuses later."""
    given, said = started(user, place, GIT_CONFIG_COUNT=count)
    assert given == code, said
    assert "Traceback" not in said
    if code:
        assert f"GIT_CONFIG_COUNT: '{count}' was given; allowed is a whole number from 0" in said
