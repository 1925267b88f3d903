"""Locks and engines that a killed run left: those of the dead go, those of the living are respected."""

import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import Mock

import pytest
from stack_states import state_of

from engine import convergence
from engine.errors import UserFacingError
from engine.stack_state import StackState


def _silent(text: str) -> None:
    del text


def _lock(state: StackState, folder: Path, process: int, host: str | None = None) -> Path:
    path = folder / ".pulumi" / "locks" / "organization" / "agent-fleet" / state.stack / "one.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"pid": process, "hostname": host or socket.gethostname()}))
    return path


@pytest.fixture
def engine_like(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process whose name is pulumi."""
    program = tmp_path / "pulumi"
    program.symlink_to("/bin/sleep")
    with subprocess.Popen([program, "300"]) as process:
        yield process
        process.kill()


def test_the_lock_of_a_dead_process_is_cleared(tmp_path: Path) -> None:
    """Prevents "the stack is currently locked" after a kill -9, also when another program has the number by now."""
    state = state_of(tmp_path, [])
    for process in (2**22 - 1, os.getpid()):
        path = _lock(state, tmp_path, process)
        assert convergence.clear_locks(Mock(), state, _silent)
        assert not path.exists()
    assert not convergence.clear_locks(Mock(), state, _silent)


def test_the_lock_of_a_living_engine_is_respected(tmp_path: Path, engine_like: subprocess.Popen[bytes]) -> None:
    """Prevents two engines from writing one state."""
    state = state_of(tmp_path, [])
    path = _lock(state, tmp_path, engine_like.pid)
    with pytest.raises(UserFacingError, match=f"process {engine_like.pid}"):
        convergence.clear_locks(Mock(), state, _silent)
    assert path.exists()


def test_the_engine_of_a_killed_run_is_ended_first(tmp_path: Path, engine_like: subprocess.Popen[bytes]) -> None:
    """Prevents an engine that nobody watches from working against the next run."""
    pid_file = tmp_path / "engine.pid"
    pid_file.write_text(str(engine_like.pid))
    convergence.end_abandoned_engine(pid_file, _silent)
    assert engine_like.wait(5) == -signal.SIGINT
    assert not pid_file.exists()


def test_a_number_that_another_program_has_by_now_is_left_alone(tmp_path: Path) -> None:
    """Prevents `make up` from ending a stranger's process whose number an old file names."""
    pid_file = tmp_path / "engine.pid"
    with subprocess.Popen(["sleep", "300"]) as other:
        pid_file.write_text(str(other.pid))
        convergence.end_abandoned_engine(pid_file, _silent)
        assert other.poll() is None
        other.kill()
    assert not pid_file.exists()


@pytest.mark.parametrize("left", ["", '{"user.cache_control":"","user.con'])
def test_attributes_that_a_kill_cut_off_are_removed(tmp_path: Path, left: str) -> None:
    """Prevents "failed to load checkpoint: EOF" from every command after a kill -9, with a checkpoint that is whole."""
    state = state_of(tmp_path, [])
    torn = [path.with_name(f"{path.name}.attrs") for path in (state.checkpoint, state.backup)]
    torn.append(tmp_path / ".pulumi" / "meta.yaml.attrs")
    for path in torn:
        path.write_text(left)
    whole = state.checkpoint.with_name("other.json.attrs")
    whole.write_text('{"md5":"EaRWdV65"}\n')
    said: list[str] = []
    assert convergence.mend_attributes(state, said.append)
    assert said
    assert whole.exists()
    assert not [path for path in torn if path.exists()]
    assert not convergence.mend_attributes(state, _silent)


def test_a_checkpoint_is_there_at_every_moment_of_its_mending(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prevents a second kill from making the fleet look like one that another checkout deployed."""
    state = state_of(tmp_path, [])
    state.backup.write_text(state.checkpoint.read_text())
    state.checkpoint.write_text("")

    def full(source: Path, target: Path) -> None:
        if source == state.backup:
            raise OSError(28, "No space left on device", str(target))

    monkeypatch.setattr("engine.stack_state.shutil.copyfile", full)
    with pytest.raises(OSError, match="No space left"):
        convergence.mend_checkpoint(state, _silent)
    assert state.exists()
    assert not state.readable()
