"""`--file` of the command `fleet`: whatever is given, a job's files are exactly those, or an error names them."""

import contextlib
import os
from pathlib import Path, PurePosixPath

import pytest
from agent_fleet_client import FleetError
from agent_fleet_client.command.job_files import read_job_files, split
from agent_fleet_client.jobs import MAXIMUM_FILE_BYTES
from fleet_runtime.payload import path_problems
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

_NAMES = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=12).filter(
    lambda name: name not in (".", "..")
)
_PATHS = st.lists(_NAMES, min_size=1, max_size=4).map("/".join)
_TREES = st.dictionaries(_PATHS, st.binary(max_size=50), min_size=1, max_size=6)
_SETTINGS = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to be in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _lay_out(root: Path, tree: dict[str, bytes]) -> None:
    for path, content in tree.items():
        file = root / path
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        except OSError:
            # A file where another has a folder, or a name that is too long here.
            assume(False)


@_SETTINGS
@given(tree=_TREES, number=st.integers(0, 10**9))
def test_a_folder_arrives_as_it_is(folder: Path, tree: dict[str, bytes], number: int) -> None:
    """A file left out or renamed on the way would show as a program's fault."""
    root = folder / f"case-{number}-{len(list(folder.iterdir()))}"
    root.mkdir()
    _lay_out(root, tree)
    name = root.name
    assert read_job_files([name]) == {f"{name}/{path}": content for path, content in tree.items()}
    assert read_job_files([f"{name}=in/side"]) == {f"in/side/{path}": content for path, content in tree.items()}
    assert read_job_files([str(root)]) == read_job_files([f"./{name}/"])


@_SETTINGS
@given(path=_PATHS, content=st.binary(max_size=50))
def test_a_file_without_a_target_keeps_its_path_or_its_name(folder: Path, path: str, content: bytes) -> None:
    """What is named must be what is read, also with `=`, spaces or line ends in it, and the fleet must take it."""
    root = folder / f"case-{len(list(folder.iterdir()))}"
    root.mkdir()
    os.chdir(root)
    _lay_out(root, {path: content})
    try:
        found = read_job_files([path])
    except FleetError:
        # Two files can be meant, or none: only a name with `=` leaves that open.
        assert "=" in path
    else:
        assert found == {path: content}
    assert read_job_files([f"{path}=target"]) == {"target": content}
    last = PurePosixPath(path).name
    if "=" not in path:
        assert read_job_files([str(root / path)]) == {last: content}
    assert path_problems([path]) == []


@_SETTINGS
@given(argument=st.text(max_size=30))
def test_any_argument_is_a_file_or_an_error_of_one_kind(folder: Path, argument: str) -> None:
    """No argument may end in a stack trace, or in a target that leads out of the job's folder."""
    assume(not argument.startswith("/"))
    try:
        path, target = split(argument)
    except FleetError:
        return
    assert path
    if path == argument:
        assert not target.startswith("/")
        assert ".." not in target.split("/")
    with contextlib.suppress(FleetError):
        read_job_files([argument])


def test_both_meanings_of_an_equals_sign_are_asked_about(folder: Path) -> None:
    """A guess would send another file than was meant."""
    (folder / "a").write_text("short")
    (folder / "a=b").write_text("long")
    with pytest.raises(FleetError, match="to be clear"):
        read_job_files(["a=b"])
    assert read_job_files(["a=b=c"]) == {"c": b"long"}
    (folder / "a").unlink()
    assert read_job_files(["a=b"]) == {"a=b": b"long"}


def test_no_more_is_read_than_a_job_may_have(folder: Path) -> None:
    """A terabyte must not be read before it is refused, nor a device without end."""
    with (folder / "sparse").open("wb") as file:
        file.truncate(MAXIMUM_FILE_BYTES * 1000)
    for argument in ("sparse", "/dev/zero"):
        with pytest.raises(FleetError, match="16777216 bytes"):
            read_job_files([argument])
    (folder / "all").write_bytes(b"x" * MAXIMUM_FILE_BYTES)
    (folder / "one").write_bytes(b"x")
    (folder / "none").write_bytes(b"")
    assert len(read_job_files(["all", "none"])) == 2
    with pytest.raises(FleetError, match="reached at one"):
        read_job_files(["all", "one"])


def test_what_is_no_file_below_a_folder_is_named(folder: Path) -> None:
    """A FIFO would hang the command, a broken link or a loop of links is no input."""
    (folder / "in").mkdir()
    (folder / "in" / "loop").symlink_to(".")
    os.mkfifo(folder / "in" / "pipe")
    with pytest.raises(FleetError, match="in/pipe is no regular file"):
        read_job_files(["in"])
    (folder / "in" / "pipe").unlink()
    assert read_job_files(["in"]) == {}
    (folder / "in" / "broken").symlink_to("absent")
    with pytest.raises(FleetError, match="in/broken cannot be read"):
        read_job_files(["in"])


def test_one_target_is_one_file(folder: Path) -> None:
    """The one that came last would silently win."""
    (folder / "a").write_text("1")
    (folder / "b").write_text("2")
    with pytest.raises(FleetError, match="given twice"):
        read_job_files(["a=same", "b=same"])
