"""engine/bootstrap.sh: from a bare python3 to .venv, after any interruption; without touching the network here."""

import os
import re
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

_CHECKOUT = Path(__file__).parents[2]
_SCRIPT = _CHECKOUT / "engine" / "bootstrap.sh"
_UV = re.search(r"uv_version=(\S+)", _SCRIPT.read_text())


def _program(path: Path, script: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


class _Machine:
    """A copy of what the script reads, with tools on PATH that only write down that they were called."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "a checkout"
        for name in ("engine/bootstrap.sh", "uv.lock", "pyproject.toml"):
            (self.root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(_CHECKOUT / name, self.root / name)
        for name in ("client", "components", "images/runtime"):
            (self.root / name).mkdir(parents=True)
            (self.root / name / "pyproject.toml").touch()
        self.bin = folder / "bin"
        self.calls = folder / "calls"
        self.cache = folder / "cache"
        assert _UV is not None
        self.uv = self.cache / "agent-fleet" / "uv" / _UV[1] / "bin" / "uv"
        self.python("3.12")
        self.tool_uv("exit 0")

    def python(self, version: str) -> None:
        """The only python3 on PATH."""
        # -c with the version question is answered; anything else succeeds.
        _program(self.bin / "python3", f'case "$2" in *version_info*) echo {version};; esac')

    def tool_uv(self, after: str) -> None:
        """A uv that makes .venv as the real one does, then runs `after`."""
        make = f'mkdir -p "{self.root}/.venv/bin"; cp "{self.bin}/python3" "{self.root}/.venv/bin/python"'
        record = f'echo "uv $*" >> "{self.calls}"'
        _program(self.uv, f'case "$1" in --version) exit 0;; esac\n{record}\n{make}\n{after}')

    def start(self, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["/bin/sh", self.root / "engine" / "bootstrap.sh"],
            env={"PATH": f"{self.bin}:/usr/bin:/bin", "HOME": "/nowhere", "XDG_CACHE_HOME": str(self.cache)}
            | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, **environment: str) -> tuple[int, str]:
        with self.start(**environment) as process:
            output, _ = process.communicate(timeout=60)
        return process.returncode, output

    def syncs(self) -> int:
        return len(self.calls.read_text().splitlines()) if self.calls.exists() else 0


@pytest.fixture
def machine(tmp_path: Path) -> _Machine:
    """A machine whose uv is in the cache already."""
    return _Machine(tmp_path)


def test_the_second_run_does_nothing_and_is_quick(machine: _Machine) -> None:
    """Prevents every `make` from waiting for a resolver; a changed lock file is noticed."""
    code, output = machine.run()
    assert (code, machine.syncs()) == (0, 1), output

    def seconds() -> float:
        begun = time.monotonic()
        assert machine.run() == (0, "")
        return time.monotonic() - begun

    assert min(seconds() for _ in range(5)) < 1.0, "0.05 s on a quiet machine"
    with (machine.root / "uv.lock").open("a") as lock:
        lock.write("\n# changed\n")
    assert machine.run()[0] == 0
    assert machine.syncs() == 2


def test_a_failed_run_is_told_in_one_message_and_repeated_by_the_next(machine: _Machine) -> None:
    """Prevents a .venv without half of its packages from passing for a whole one."""
    machine.tool_uv("echo 'error: Failed to fetch: dns error: failed to lookup address' >&2; exit 2")
    code, output = machine.run()
    assert code == 1
    assert "dns error" in output
    assert "Check that this machine reaches PyPI" in output
    machine.tool_uv("exit 0")
    assert machine.run()[0] == 0
    assert machine.syncs() == 2


def test_an_environment_whose_python_is_gone_is_made_anew(machine: _Machine) -> None:
    """Prevents "bad interpreter" for ever after an update of the system's Python."""
    machine.run()
    _program(machine.root / ".venv" / "bin" / "python", "exit 127")
    (machine.root / ".venv" / ".agent-fleet-stamp").unlink()
    code, output = machine.run()
    assert code == 0
    assert "Removing .venv, which does not run" in output


def test_a_moved_checkout_is_noticed(machine: _Machine) -> None:
    """Prevents scripts that point to the folder where the checkout was before."""
    machine.run()
    machine.root.rename(machine.root.with_name("elsewhere"))
    machine.root = machine.root.with_name("elsewhere")
    machine.tool_uv("exit 0")
    machine.run()
    assert machine.syncs() == 2


@pytest.mark.parametrize("version", ["3.10", "3.14", "2.7"])
def test_a_python_that_will_not_do_is_named_with_what_will(machine: _Machine, version: str) -> None:
    """Prevents a syntax error deep inside a package as the answer to an old Python."""
    machine.python(version)
    for name in ("python3.11", "python3.12", "python3.13"):
        _program(machine.bin / name, "exit 1")
    code, output = machine.run()
    assert code == 1
    assert f"python3 is {version}" in output
    assert "3.11, 3.12 or 3.13" in output
    assert machine.syncs() == 0


def test_a_suitable_python_beside_an_unsuitable_one_is_found(machine: _Machine) -> None:
    """Prevents a refusal where `python3.12` is installed beside a newer default."""
    machine.python("3.14")
    _program(machine.bin / "python3.11", "exit 1")
    _program(machine.bin / "python3.13", "exit 1")
    _program(machine.bin / "python3.12", 'case "$2" in *version_info*) echo 3.12;; esac')
    assert machine.run()[0] == 0
    assert f"--python {machine.bin / 'python3.12'}" in machine.calls.read_text()


def test_a_missing_venv_module_is_one_message_without_root(machine: _Machine) -> None:
    """Prevents Debian's page of advice about ensurepip for users who cannot follow it."""
    machine.uv.unlink()
    _program(machine.bin / "python3", 'case "$2" in *version_info*) echo 3.11;; *ensurepip*) exit 1;; esac')
    _program(machine.bin / "id", "echo 1000")
    code, output = machine.run()
    assert code == 1
    assert "sudo apt-get install python3-venv" in output


def test_a_missing_venv_module_is_installed_by_root_after_saying_so(machine: _Machine) -> None:
    """Prevents a dead end on Debian's minimal images, whose python3 has no venv."""
    machine.uv.unlink()
    flag = machine.calls.with_name("installed")
    _program(
        machine.bin / "python3",
        f'case "$2" in *version_info*) echo 3.11;; *ensurepip*) test -e "{flag}";; venv) echo offline; exit 1;; esac',
    )
    _program(machine.bin / "id", "echo 0")
    _program(machine.bin / "apt-get", f'case "$*" in *install*python3-venv*) : > "{flag}";; esac')
    code, output = machine.run()
    assert "installing python3-venv with apt-get (you are root)" in output
    assert flag.exists()
    assert code == 1, "this machine's python3 makes no environment"
    assert "python3 -m venv failed: offline" in output


def test_two_runs_at_once_make_one_environment(machine: _Machine) -> None:
    """Prevents two installers in one .venv when `make up` and `make test` start together."""
    machine.tool_uv("sleep 1")
    first, second = machine.start(), machine.start()
    for process in (first, second):
        process.communicate(timeout=60)
    assert (first.returncode, second.returncode) == (0, 0)
    assert machine.syncs() == 1


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_an_interrupted_run_is_no_obstacle_for_the_next(machine: _Machine, how: signal.Signals) -> None:
    """Prevents a lock that nobody holds, and a half made environment that counts as done."""
    machine.tool_uv("sleep 60")
    process = machine.start()
    deadline = time.monotonic() + 20
    while not machine.syncs():
        assert time.monotonic() < deadline
        threading.Event().wait(0.05)
    os.killpg(process.pid, how)
    process.communicate(timeout=30)
    machine.tool_uv("exit 0")
    code, output = machine.run()
    assert (code, machine.syncs()) == (0, 2), output


def test_the_machines_own_certificates_are_trusted(machine: _Machine, tmp_path: Path) -> None:
    """Prevents a failure behind a proxy that inspects TLS where pip works: uv has a list of its own."""
    bundle = tmp_path / "ca.pem"
    bundle.touch()
    machine.tool_uv(f'echo "$UV_SYSTEM_CERTS $SSL_CERT_FILE" >> "{machine.calls}"')
    machine.run(PIP_CERT=str(bundle))
    assert machine.calls.read_text().splitlines()[-1] == f"true {bundle}"
