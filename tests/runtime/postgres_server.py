"""A PostgreSQL server for tests: the project's own image where Docker runs, else the programs of this machine."""

import os
import pwd
import shutil
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import psycopg

from tests.runtime.free_ports import free_port

ROOT = Path(__file__).parents[2]
IMAGE = "agent-fleet/postgres"
_BUILD_SECONDS = 280
_START_SECONDS = 60
_PASSWORD = "only-for-tests"
_SETTINGS = ["-c", "max_connections=300", "-c", "shared_buffers=64MB"]
# The tests stop the server in order, so they need no flush to disk; a machine that loses power runs them again.
_FAST = ["-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off"]
_DATA = "/var/lib/postgresql/data"
LABEL = "agent-fleet.test=runtime"


class NoServerError(Exception):
    """No server can be had; the text says why."""


class Server(Protocol):
    """A running server."""

    url: str
    """Of the database `fleet`, as a role that may create databases."""

    def stop(self) -> None:
        """Stop it as an operator would, leaving its data."""
        ...

    def start(self) -> None:
        """Start it again, with the same data and URL."""
        ...

    def remove(self) -> None:
        """Stop it and remove its data."""
        ...


def start_server(folder: Path) -> Server:
    """Start a server; raises NoServerError."""
    if _docker("version", "--format", "{{.Server.Version}}").returncode == 0:
        return ContainerServer.create()
    return LocalServer.create(folder)


@dataclass
class ContainerServer:
    """A server in a container of the project's image."""

    name: str
    url: str

    @classmethod
    def create(cls, *, durable: bool = False, data_mebibytes: int | None = None) -> "ContainerServer":
        """Start one, building the image if it is not there; `durable` if it is to be killed.

        `data_mebibytes` is the size of its disk, which is then one of its own, in memory, and gone with a restart.
        """
        image = _image()
        name = f"agent-fleet-test-{uuid.uuid4().hex[:12]}"
        # A port of our own choice, because one of Docker's changes with every start.
        port = free_port()
        started = _docker(
            *("run", "--detach", "--name", name, "--label", LABEL, "--read-only", "--cap-drop=ALL"),
            *("--security-opt=no-new-privileges", "--publish", f"127.0.0.1:{port}:5432", "--shm-size=128m"),
            *("--tmpfs", "/run/postgresql:mode=1777", "--tmpfs", "/tmp:mode=1777"),
            *("--env", "POSTGRES_USER=fleet", "--env", f"POSTGRES_PASSWORD={_PASSWORD}", "--env", "POSTGRES_DB=fleet"),
            *(
                []
                if data_mebibytes is None
                else ["--tmpfs", f"{_DATA}:size={data_mebibytes}m,mode=0700,uid=999,gid=999"]
            ),
            *(image, *_SETTINGS, *([] if durable else _FAST)),
        )
        if started.returncode != 0:
            raise NoServerError(f"docker run failed: {started.stderr.strip()}")
        server = cls(name, f"postgresql://fleet:{_PASSWORD}@127.0.0.1:{port}/fleet")
        try:
            _wait_until_ready(server.url)
            role = "ALTER ROLE fleet CREATEDB"
            altered = _docker("exec", name, "psql", "--username=postgres", "--dbname=postgres", "--command", role)
            if altered.returncode != 0:
                raise NoServerError(f"the role cannot be altered: {altered.stderr.strip()}")
        except Exception:
            server.remove()
            raise
        return server

    def stop(self) -> None:
        """Stop the container."""
        _docker("stop", "--time", "20", self.name)

    def start(self) -> None:
        """Start the container again."""
        _docker("start", self.name)
        _wait_until_ready(self.url)

    def remove(self) -> None:
        """Remove the container and its volume."""
        _docker("rm", "--force", "--volumes", self.name)


@dataclass
class LocalServer:
    """A server from the machine's own programs, as a user who is not root."""

    programs: Path
    data: Path
    url: str

    @classmethod
    def create(cls, folder: Path) -> "LocalServer":
        """Start one in a folder of its own."""
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
        if not found:
            raise NoServerError("neither Docker nor PostgreSQL's programs in /usr/lib/postgresql are here")
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o755)
        data = folder / f"data-{uuid.uuid4().hex[:8]}"
        data.mkdir()
        if os.getuid() == 0:
            shutil.chown(data, "postgres")
            _open_way_to(data)
        port = free_port()
        server = cls(found[-1].parent, data, f"postgresql://fleet@127.0.0.1:{port}/fleet")
        server._run("initdb", "-D", str(data), "-U", "fleet", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8")
        options = (
            f"port={port}\nlisten_addresses='127.0.0.1'\nunix_socket_directories=''\nmax_connections=300\nfsync=off\n"
        )
        with (data / "postgresql.conf").open("a") as file:
            file.write(options)
        server.start()
        with psycopg.connect(server.url.replace("/fleet", "/postgres"), autocommit=True) as connection:
            connection.execute("CREATE DATABASE fleet")
        return server

    def stop(self) -> None:
        """Stop it in order."""
        self._run("pg_ctl", "-D", str(self.data), "-m", "fast", "-w", "stop")

    def start(self) -> None:
        """Start it."""
        self._run("pg_ctl", "-D", str(self.data), "-w", "-l", str(self.data / "log"), "start")

    def remove(self) -> None:
        """Stop it and remove its files."""
        self.stop()
        shutil.rmtree(self.data, ignore_errors=True)

    def _run(self, program: str, *arguments: str) -> None:
        user = pwd.getpwnam("postgres").pw_uid if os.getuid() == 0 else None
        subprocess.run(
            [str(self.programs / program), *arguments],
            check=True, user=user, cwd="/", stdout=subprocess.DEVNULL, timeout=_START_SECONDS,
        )  # fmt: skip


def _open_way_to(folder: Path) -> None:
    for parent in folder.parents:
        if parent.stat().st_uid == os.getuid() and parent != Path("/"):
            parent.chmod(parent.stat().st_mode | 0o011)


def _image() -> str:
    for tag in (IMAGE, f"{IMAGE}:test"):
        if _docker("image", "inspect", tag).returncode == 0:
            return tag
    base = "from images.base.ensure import ensure_base; ensure_base(print)"
    subprocess.run([sys.executable, "-c", base], cwd=ROOT, check=True, timeout=_BUILD_SECONDS)
    bundle = next((path for path in ("/etc/ssl/certs/ca-certificates.crt",) if Path(path).is_file()), None)
    secret = ["--secret", f"id=ca,src={bundle}"] if bundle else []
    built = _docker("build", "--network=host", *secret, "--tag", f"{IMAGE}:test", str(ROOT / "images/postgres"))
    if built.returncode != 0:
        raise NoServerError(f"the image images/postgres cannot be built: {built.stderr[-1000:]}")
    return f"{IMAGE}:test"


def _docker(*arguments: str) -> subprocess.CompletedProcess[str]:
    # Debian's own client knows BuildKit by this variable; another one on PATH may be older than the daemon.
    program = "/usr/bin/docker" if Path("/usr/bin/docker").exists() else shutil.which("docker")
    if program is None:
        return subprocess.CompletedProcess(arguments, 127, "", "docker is not installed")
    environment = {**os.environ, "DOCKER_BUILDKIT": "1"}
    return subprocess.run(
        [program, *arguments], capture_output=True, text=True, check=False, env=environment, timeout=_BUILD_SECONDS
    )


def _wait_until_ready(url: str) -> None:
    limit = time.monotonic() + _START_SECONDS
    waited = psycopg.Error("not tried")
    while time.monotonic() < limit:
        try:
            with psycopg.connect(url, connect_timeout=2):
                return
        except psycopg.OperationalError as error:
            waited = error
            # Nothing tells when a container listens; asking again is all there is.
            subprocess.run(["sleep", "0.1"], check=False)
    raise NoServerError(f"the server did not come up within {_START_SECONDS} s: {waited}")
