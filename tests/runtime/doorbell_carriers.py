"""What carries doorbells, for real: PostgreSQL, and the project's Redis image. SQS is in `sqs_carrier`."""

import contextlib
import os
import shutil
import subprocess
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import psycopg
from fleet_runtime.doorbell import Bell, Doorbell
from fleet_runtime.doorbell.postgres import PostgresDoorbell
from fleet_runtime.doorbell.redis import RedisDoorbell
from fleet_runtime.doorbell.rings import Failures
from postgres_server import LABEL, ROOT, NoServerError
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from redis import Redis
from redis.exceptions import RedisError
from runtime_processes import until

from images.base.ensure import ensure_base
from tests.runtime.free_ports import free_port

REDIS_IMAGE = "agent-fleet/redis:test"
REDIS_PASSWORD = "only-for-tests-0123456789"
TEMPLATE = "default"
FLEET = "agent-fleet"
RETRY_SECONDS = 0.1


class Carrier(Protocol):
    """One kind of doorbell, and what it hangs on."""

    kind: str

    @property
    def environment(self) -> dict[str, str]:
        """What a role is told of it, without FLEET_ before the names."""
        ...

    def doorbell(self, *, failures: Failures | None = None, templates: Sequence[str] = (TEMPLATE,)) -> Doorbell:
        """A doorbell of one more process."""
        ...

    def locked_out(self, failures: Failures) -> Doorbell:
        """A doorbell with the wrong password."""
        ...

    def kill(self) -> None:
        """End it as the kernel would; for PostgreSQL, which other tests use, only the doorbells' connections."""
        ...

    def revive(self) -> None:
        """Have it back, at the same address."""
        ...

    def say(self, text: str) -> None:
        """Send something to the listeners of QUEUED that no doorbell of ours would."""
        ...


@dataclass
class PostgresCarrier:
    """The database that the jobs are in."""

    url: str
    kind: str = "postgres"

    @property
    def environment(self) -> dict[str, str]:
        """Nothing: it is the default."""
        return {}

    def doorbell(self, *, failures: Failures | None = None, templates: Sequence[str] = (TEMPLATE,)) -> Doorbell:
        """Listen and notify."""
        del templates
        return PostgresDoorbell(self.url, application_name="test-doorbell", retry_seconds=0.1, failures=failures)

    def locked_out(self, failures: Failures) -> Doorbell:
        """As a user that does not exist."""
        url = self.url.replace("//fleet", "//nobody", 1)
        return PostgresDoorbell(url, application_name="test", retry_seconds=RETRY_SECONDS, failures=failures)

    def kill(self) -> None:
        """Cut the doorbells off, and let nobody else in."""
        name = conninfo_to_dict(self.url)["dbname"]
        with psycopg.connect(self._other, autocommit=True) as connection:
            connection.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(sql.Identifier(str(name))))
            connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))

    def revive(self) -> None:
        """Let them in again."""
        name = conninfo_to_dict(self.url)["dbname"]
        with psycopg.connect(self._other, autocommit=True) as connection:
            connection.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(sql.Identifier(str(name))))

    def say(self, text: str) -> None:
        """NOTIFY."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute("SELECT pg_notify(%s, %s)", (Bell.QUEUED.value, text))

    @property
    def _other(self) -> str:
        return self.url.rpartition("/")[0] + "/fleet"


@dataclass
class RedisCarrier:
    """The project's Redis, in a container under the fleet's posture."""

    name: str
    port: int
    kind: str = "redis"

    @classmethod
    def create(cls) -> "RedisCarrier":
        """Start one, building the image first; raises NoServerError."""
        ensure_base(lambda _: None)
        built = _docker("build", "--network=host", "--tag", REDIS_IMAGE, str(ROOT / "images/redis"))
        if built.returncode != 0:
            raise NoServerError(f"the image images/redis cannot be built: {built.stderr[-1000:]}")
        name, port = f"agent-fleet-test-{uuid.uuid4().hex[:12]}", free_port()
        started = _docker(
            *("run", "--detach", "--name", name, "--label", LABEL, "--read-only", "--cap-drop=ALL"),
            *("--security-opt=no-new-privileges", "--publish", f"127.0.0.1:{port}:6379"),
            *("--tmpfs", "/run/redis:mode=1777", "--tmpfs", "/tmp:mode=1777"),
            *("--env", "REDIS_USER=fleet", "--env", f"REDIS_PASSWORD={REDIS_PASSWORD}", REDIS_IMAGE),
        )
        if started.returncode != 0:
            raise NoServerError(f"docker run failed: {started.stderr.strip()}")
        carrier = cls(name, port)
        carrier.wait()
        return carrier

    @property
    def url(self) -> str:
        """Of the doorbell's own user."""
        return f"redis://fleet:{REDIS_PASSWORD}@127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """The kind and the URL."""
        return {"DOORBELL": "redis", "REDIS_URL": self.url}

    def doorbell(self, *, failures: Failures | None = None, templates: Sequence[str] = (TEMPLATE,)) -> Doorbell:
        """Publish and subscribe."""
        del templates
        return RedisDoorbell(self.url, fleet=FLEET, retry_seconds=RETRY_SECONDS, failures=failures)

    def locked_out(self, failures: Failures) -> Doorbell:
        """With another password."""
        url = self.url.replace(REDIS_PASSWORD, "wrong")
        return RedisDoorbell(url, fleet=FLEET, retry_seconds=RETRY_SECONDS, failures=failures)

    def kill(self) -> None:
        """SIGKILL."""
        _docker("kill", "--signal=KILL", self.name)

    def revive(self) -> None:
        """Start the container again."""
        _docker("start", self.name)
        self.wait()

    def say(self, text: str) -> None:
        """PUBLISH."""
        command = ("redis-cli", "--user", "fleet", "PUBLISH", f"{FLEET}.{Bell.QUEUED.value}", text)
        _docker("exec", "--env", f"REDISCLI_AUTH={REDIS_PASSWORD}", self.name, *command)

    def wait(self) -> None:
        """Until it takes the password; Docker itself takes connections before."""

        def answers() -> bool:
            with contextlib.suppress(RedisError), Redis.from_url(self.url, driver_info=None) as client:
                return bool(client.ping())
            return False

        until(answers, seconds=90, what="Redis")

    def remove(self) -> None:
        """Remove the container."""
        _docker("rm", "--force", "--volumes", self.name)


def _docker(*arguments: str) -> "subprocess.CompletedProcess[str]":
    # Debian's own client knows BuildKit by this variable; another one on PATH may be older than the daemon.
    program = "/usr/bin/docker" if Path("/usr/bin/docker").exists() else shutil.which("docker")
    if program is None:
        return subprocess.CompletedProcess(arguments, 127, "", "docker is not installed")
    environment = {**os.environ, "DOCKER_BUILDKIT": "1"}
    return subprocess.run(
        [program, *arguments], capture_output=True, text=True, check=False, env=environment, timeout=280
    )
