"""Redis's image: what its one user may do, what it refuses, and that it keeps nothing."""

import hashlib
from collections.abc import Callable
from typing import Any

import pytest
from containers import Start, ended, logs, run_inside, state, wait_for
from docker import DockerClient
from docker.models.containers import Container

PASSWORD = 'a long enough "secret"'
SETTINGS = {"REDIS_USER": "fleet", "REDIS_PASSWORD": PASSWORD}
SCRATCH = {"/tmp": "", "/run/redis": "uid=998,gid=998,mode=0750"}

StartRedis = Callable[..., Container]


@pytest.fixture
def redis(built: dict[str, str], start: Start) -> StartRedis:
    """Start Redis with a read-only root as the fleet does it."""

    def start_redis(**settings: str | None) -> Container:
        environment = {name: value for name, value in {**SETTINGS, **settings}.items() if value is not None}
        return start(built["redis"], environment=environment, tmpfs=SCRATCH, mem_limit="64m")

    return start_redis


@pytest.fixture(scope="module")
def shared_redis(built: dict[str, str], daemon: DockerClient, run_name: str) -> Any:
    """One running Redis for tests that only look."""
    container = daemon.containers.run(
        built["redis"],
        detach=True,
        name=f"{run_name}-shared-redis",
        environment=SETTINGS,
        read_only=True,
        network_mode="none",
        cap_drop=["ALL"],
        tmpfs=SCRATCH,
    )
    try:
        wait_for(lambda: _answers(container), "Redis answers")
        yield container
    finally:
        container.remove(force=True, v=True)


def _answers(container: Container) -> bool:
    assert state(container)["Running"], logs(container)
    return run_inside(container, "redis-healthcheck")[0] == 0


def _ask(container: Container, *command: str, user: str = "fleet", password: str = PASSWORD) -> str:
    asked = ["redis-cli", "--user", user, "--no-auth-warning", *command]
    return run_inside(container, *asked, environment={"REDISCLI_AUTH": password})[1]


def test_it_becomes_healthy_with_a_read_only_root_and_no_capability(redis: StartRedis) -> None:
    """The fleet's posture must be the one that the image was tried with."""
    container = redis()
    wait_for(lambda: state(container).get("Health", {}).get("Status") == "healthy", "Docker's own health check passes")
    assert run_inside(container, "cat", "/proc/1/comm") == (0, "redis-server")
    assert _ask(container, "PING") == "PONG"


def test_its_user_may_ring_and_nothing_else(shared_redis: Container) -> None:
    """Who gets hold of the password must be able to cost the fleet a query, and not to read, store or stop anything."""
    assert _ask(shared_redis, "PUBLISH", "fleet.fleet_queued", "00") == "0"
    for command in (
        ("SET", "a", "b"),
        ("GET", "a"),
        ("KEYS", "*"),
        ("EVAL", "return 1", "0"),
        ("FUNCTION", "LIST"),
        ("CONFIG", "GET", "*"),
        ("CONFIG", "SET", "dir", "/tmp"),
        ("SAVE",),
        ("BGSAVE",),
        ("REPLICAOF", "127.0.0.1", "1"),
        ("MIGRATE", "127.0.0.1", "1", "a", "0", "1"),
        ("MODULE", "LIST"),
        ("DEBUG", "SLEEP", "0"),
        ("ACL", "LIST"),
        ("CLIENT", "LIST"),
        ("CLIENT", "KILL", "TYPE", "pubsub"),
        ("MONITOR",),
        ("PSUBSCRIBE", "*"),
        ("PUBSUB", "CHANNELS"),
        ("INFO",),
        ("FLUSHALL",),
        ("SHUTDOWN", "NOSAVE"),
    ):
        said = _ask(shared_redis, *command)
        assert "NOPERM" in said or "not allowed" in said, (command, said)
    assert _answers(shared_redis)


def test_a_wrong_password_and_no_password_are_refused(shared_redis: Container) -> None:
    """Any container on the network could ring, or listen to the ids of every tenant's jobs."""
    assert "WRONGPASS" in _ask(shared_redis, "PING", password="wrong")
    assert "WRONGPASS" in _ask(shared_redis, "PING", user="default", password="")
    assert "NOAUTH" in run_inside(shared_redis, "redis-cli", "PING")[1]


def test_the_password_is_neither_in_the_servers_environment_nor_in_its_files(shared_redis: Container) -> None:
    """Whoever can read files as Redis's user would read the password there; its hash lets nobody in."""
    code, environment = run_inside(shared_redis, "cat", "/proc/1/environ")
    assert code == 0
    assert PASSWORD not in environment
    _, users = run_inside(shared_redis, "cat", "/run/redis/users.acl")
    assert PASSWORD not in users
    assert hashlib.sha256(PASSWORD.encode()).hexdigest() in users
    assert PASSWORD not in logs(shared_redis)


def test_nothing_is_written_when_it_stops(redis: StartRedis) -> None:
    """A dump would fail on the read-only root, and Redis refuses to stop when it cannot save."""
    container = redis()
    wait_for(lambda: _answers(container), "Redis answers")
    container.stop(timeout=30)
    assert state(container)["ExitCode"] == 0
    assert "DB saved" not in logs(container)


def test_it_comes_back_after_a_kill(redis: StartRedis) -> None:
    """What the kernel ended must start again by itself: nobody is there to clear a file out of the way."""
    container = redis()
    wait_for(lambda: _answers(container), "Redis answers")
    container.kill()
    container.start()
    wait_for(lambda: _answers(container), "Redis answers again")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"REDIS_PASSWORD": None}, "REDIS_PASSWORD is empty"),
        ({"REDIS_PASSWORD": "short"}, "at least 16"),
        ({"REDIS_USER": None}, "REDIS_USER is not set"),
        ({"REDIS_USER": "default"}, "choose another name"),
        ({"REDIS_USER": "fleet on nopass +@all"}, "allowed are lower-case letters"),
        ({"REDIS_PASSWORD_FILE": "/nowhere"}, "set one of them"),
        ({"REDIS_PASSWORD": None, "REDIS_PASSWORD_FILE": "/nowhere"}, "cannot be read"),
    ],
)
def test_a_wrong_setting_is_refused_in_one_line(
    redis: StartRedis, settings: dict[str, str | None], message: str
) -> None:
    """A container that restarts for ever with a stack trace tells nobody what to change."""
    code, said = ended(redis(**settings))
    assert code == 1
    assert message in said
    assert len(said.strip().splitlines()) == 1


def test_it_does_not_run_as_root(built: dict[str, str], start: Start) -> None:
    """A server that is taken over would be root in its container."""
    code, said = ended(start(built["redis"], environment=SETTINGS, user="0:0"))
    assert code == 1
    assert "refusing to run as root" in said
