"""The runtime's image: who it runs as, what it carries, and its health check."""

import contextlib
import json
import re
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
from containers import Start, ended, run_inside, state, wait_for
from docker import DockerClient
from docker.errors import NotFound
from image_builds import CHECKOUT, build
from image_layers import Entry, read

CONTEXT = CHECKOUT / "images" / "runtime"
PROGRAMS = Path(sys.executable).parent


def test_requirements_are_what_the_lock_file_says() -> None:
    """An image built from an old list would run other versions than those that were tested."""
    options = ["--frozen", "-q", "--no-dev", "--no-emit-workspace", "--no-annotate", "--no-header"]
    command = [str(PROGRAMS / "uv"), "export", "--package", "fleet-runtime", *options]
    fresh = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=60, check=True).stdout
    kept = (CONTEXT / "requirements.txt").read_text()
    assert "".join(line for line in kept.splitlines(True) if not line.startswith("#")) == fresh


def test_it_runs_as_the_fleets_user_and_starts_a_role(daemon: DockerClient, built: dict[str, str]) -> None:
    """Without a user in the image, a container whose definition forgets it runs as root."""
    configuration = daemon.images.get(built["runtime"]).attrs["Config"]
    assert configuration["User"] == "1001:1001"
    assert configuration["Entrypoint"] == ["/opt/fleet/bin/python", "-m", "fleet_runtime"]


@pytest.mark.parametrize("role", ["api", "worker", "sandboxd", "migrate"])
def test_a_role_without_its_settings_says_which_are_missing(built: dict[str, str], start: Start, role: str) -> None:
    """A file that a slimmed image lacks shows as a stack trace at start, on the user's machine."""
    code, said = ended(start(built["runtime"], [role]))
    assert code == 1
    assert "FLEET_" in said
    assert "Traceback" not in said


@pytest.fixture(scope="module")
def layers(daemon: DockerClient, built: dict[str, str]) -> list[Entry]:
    """Every file of every layer of the image."""
    return read(daemon, built["runtime"])[2]


def test_the_only_programs_are_python_and_two_that_wait(layers: list[Entry]) -> None:
    """A shell, a package manager or a tool in the image serves whoever breaks into it, and nobody else."""
    programs = re.compile(r"^/(usr/)?(local/)?s?bin/|^/opt/fleet/bin/")
    named = {entry.path for entry in layers if programs.match(entry.path) and not entry.path.endswith("/")}
    python = {f"/usr/bin/{name}" for name in ("python3", "python3.11")}
    service = {f"/opt/fleet/bin/{name}" for name in ("python", "python3", "python3.11")}
    assert named == {*python, *service, "/usr/bin/true", "/usr/bin/sleep"}
    loader = re.compile(r"^/usr/lib/[^/]+/ld-linux-[^/]+$|^/usr/lib64/ld-linux-|^/usr/lib/ld-linux-")
    executable = {
        entry.path for entry in layers if entry.is_file and entry.mode & 0o111 and entry.content[:4] == b"\x7fELF"
    }
    assert {path for path in executable if ".so" not in path} <= named
    assert [path for path in executable if loader.match(path)]


def test_python_is_a_layer_of_its_own(layers: list[Entry]) -> None:
    """Else a change of what the service depends on is pulled together with an interpreter that did not change (P1)."""
    of_python = {entry.layer for entry in layers if entry.path.startswith("/usr/lib/python3.11/") and entry.is_file}
    of_service = {entry.layer for entry in layers if entry.path.startswith("/opt/fleet/") and entry.is_file}
    assert len(of_python) == 1
    assert not of_python & of_service
    assert max(of_python) < min(of_service)


def test_what_was_taken_from_debian_is_written_down_for_scanners(layers: list[Entry]) -> None:
    """A scanner that finds no packages calls an image clean whose C library has a hole."""
    described = {
        entry.path: entry.content.decode() for entry in layers if entry.path.startswith("/var/lib/dpkg/status.d/")
    }
    for package in ("libc6", "libssl3", "python3.11-minimal", "zlib1g"):
        text = described[f"/var/lib/dpkg/status.d/{package}"]
        assert f"Package: {package}\n" in text
        assert "\nVersion: " in text


def test_time_zones_names_and_certificates_are_there(built: dict[str, str], start: Start) -> None:
    """PostgreSQL's answers carry time zones, hosts are found by name, and TLS needs to know whom to trust."""
    script = """
import os, pwd, socket, ssl, zoneinfo
print(zoneinfo.ZoneInfo("Europe/Berlin"), pwd.getpwuid(1001).pw_name, os.access("/tmp", os.W_OK))
print(socket.gethostbyname("localhost"), len(ssl.create_default_context().get_ca_certs()) > 100)
"""
    code, said = ended(start(built["runtime"], ["-c", script], entrypoint="python"))
    assert (code, said) == (0, "Europe/Berlin fleet True\n127.0.0.1 True\n")


def test_every_module_of_pythons_library_that_is_there_can_be_imported(built: dict[str, str], start: Start) -> None:
    """A module whose library was left out fails only when a rare path of some dependency asks for it."""
    script = """
import pathlib, sysconfig
folder = pathlib.Path(sysconfig.get_path("stdlib"))
found = {path.name.partition(".")[0] for path in (folder / "lib-dynload").iterdir()}
known = {"asyncio", "ctypes", "email", "http.server", "logging.config", "multiprocessing", "tarfile"}
for name in sorted(found | known):
    __import__(name)
"""
    command = ["-W", "ignore::DeprecationWarning", "-c", script]
    assert ended(start(built["runtime"], command, entrypoint="python")) == (0, "")


@pytest.mark.parametrize("command", [["/bin/true"], ["/bin/sleep", "0"]])
def test_a_clusters_nodes_can_hold_the_image(built: dict[str, str], start: Start, command: list[str]) -> None:
    """ImagePrepull keeps images on nodes by containers that run these two, as a user that the image does not know."""
    container = start(built["runtime"], command[1:], entrypoint=command[0], user="65532:65532")
    assert ended(container) == (0, "")


def test_every_module_of_the_runtime_was_compiled_in_the_build(built: dict[str, str], start: Start) -> None:
    """The root is read-only, so what has no byte code is compiled again at every start."""
    script = """
import importlib.util, pathlib, sys
import fleet_runtime
root = pathlib.Path(fleet_runtime.__file__).parents[1]
assert str(root).startswith("/opt/fleet/"), root
print(*[path for path in root.rglob("*.py") if not pathlib.Path(importlib.util.cache_from_source(path)).exists()])
"""
    assert ended(start(built["runtime"], ["-c", script], entrypoint="python")) == (0, "\n")


def test_a_source_edit_changes_the_last_layer_only(
    daemon: DockerClient, built: dict[str, str], run_name: str, tmp_path: Path
) -> None:
    """Dependencies above the code would be installed again, and pulled again by every host, at each edit (P1)."""
    context = tmp_path / "runtime"
    shutil.copytree(CONTEXT, context, ignore=shutil.ignore_patterns("__pycache__"))
    with (context / "fleet_runtime" / "__init__.py").open("a") as source:
        source.write('\nEDITED = "yes"\n')
    tag = f"{run_name}/edited:1"
    try:
        edited = daemon.images.get(build(context, tag)).attrs["RootFS"]["Layers"]
    finally:
        with contextlib.suppress(NotFound):
            daemon.images.remove(tag)
    before = daemon.images.get(built["runtime"]).attrs["RootFS"]["Layers"]
    assert edited[:-1] == before[:-1]
    assert edited[-1] != before[-1]


@contextmanager
def _answering(listener: socket.socket, answer: Callable[[socket.socket], None]) -> Generator[None]:
    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            answer(connection)

    server = threading.Thread(target=serve, daemon=True)
    server.start()
    with listener:
        yield
        server.join(5)


def _check(target: str) -> tuple[int, str]:
    ended = subprocess.run(
        [sys.executable, "-S", str(CONTEXT / "healthcheck.py"), target],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    return ended.returncode, ended.stderr


@pytest.mark.parametrize(
    ("answer", "healthy"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", True),
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\n", False),
        (b"HTTP/1.1 301 Moved\r\n\r\n", False),
        (b"200", False),
        (b"", False),
    ],
)
def test_the_health_check_believes_only_status_200(answer: bytes, healthy: bool) -> None:
    """A role that answers "not ready" and counts as healthy gets traffic that it cannot serve."""
    listener = socket.create_server(("127.0.0.1", 0))

    def respond(connection: socket.socket) -> None:
        request = connection.recv(4096)
        assert request.startswith(b"GET /health HTTP/1.1\r\n")
        connection.sendall(answer)

    with _answering(listener, respond):
        code, reason = _check(f"http://127.0.0.1:{listener.getsockname()[1]}/health")
    assert code == (0 if healthy else 1)
    assert bool(reason) is not healthy
    assert "Traceback" not in reason


def _framed(header: object) -> bytes:
    body = json.dumps(header, separators=(",", ":")).encode()
    return len(body).to_bytes(4, "big") + body


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (_framed({"event": "count", "healthy": True, "reason": None, "templates": {}}), ""),
        (_framed({"event": "count", "healthy": False, "reason": "Docker does not answer", "templates": {}}), "Docker"),
        (_framed({"event": "refused", "code": "shutting_down", "message": "going down"}), "going down"),
        (b"\xff\xff\xff\xff", "4294967295 bytes"),
        (b"\x00\x00\x00\x09{", "closed"),
        (b"\x00\x00\x00\x02[]", "[]"),
        (b"\x00\x00\x00\x02{{", "Expecting"),
    ],
)
def test_the_health_check_asks_sandboxd_for_its_own_judgement(tmp_path: Path, answer: bytes, reason: str) -> None:
    """A sandboxd that accepts connections and has lost Docker must not count as healthy."""
    place = str(tmp_path / "s")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(place)
    listener.listen()

    def respond(connection: socket.socket) -> None:
        assert connection.recv(4096) == _framed({"op": "count"})
        connection.sendall(answer)

    with _answering(listener, respond):
        code, said = _check(f"unix:{place}")
    assert code == (1 if reason else 0)
    assert reason in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    "target", ["http://127.0.0.1:1/health", "unix:/nonexistent/socket", "ftp://x", "http://127.0.0.1/health", ""]
)
def test_the_health_check_names_what_it_could_not_reach(target: str) -> None:
    """`docker inspect` shows the health check's words, and they are all that an operator sees."""
    code, said = _check(target)
    assert code == 1
    assert len(said.splitlines()) == 1
    assert target in said


def test_the_health_check_runs_inside_the_image(built: dict[str, str], start: Start) -> None:
    """It is run with -S and the image's own interpreter, which sees none of the installed packages."""
    container = start(built["runtime"], ["60"], entrypoint="/bin/sleep")
    wait_for(lambda: state(container)["Running"], "the container runs")
    code, said = run_inside(
        container, "/opt/fleet/bin/python", "-S", "/opt/fleet/healthcheck.py", "http://127.0.0.1:8080/health"
    )
    assert code == 1
    assert "Connection refused" in said
