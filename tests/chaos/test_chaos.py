"""Everything is killed at random, again and again: what was accepted ends exactly once, and nothing is left over."""

import asyncio
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
import pytest
from chaos_jobs import Jobs
from doorbell_carriers import RedisCarrier
from fleet_runtime.sandboxd.client import SandboxLost
from kept_service import KeptService, Part
from private_docker import PrivateDocker
from runtime_processes import until
from sandbox_image import IMAGE, build_sandbox_image
from sqs_carrier import SqsCarrier, SqsServer, aws_environment

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may start a Docker daemon of its own")

# Whatever ends a job is noted beside it, so that a second end could not hide behind the first.
_AUDIT = """
CREATE TABLE ends (job_id uuid NOT NULL, what text NOT NULL);
CREATE FUNCTION note_end() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.ended_at IS NULL AND NEW.ended_at IS NOT NULL THEN
        INSERT INTO ends VALUES (NEW.id, 'ended');
    ELSIF OLD.ended_at IS NOT NULL AND (OLD.status, OLD.attempt, OLD.stdout, OLD.exit_code, OLD.ended_at)
        IS DISTINCT FROM (NEW.status, NEW.attempt, NEW.stdout, NEW.exit_code, NEW.ended_at) THEN
        INSERT INTO ends VALUES (NEW.id, 'changed');
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER note_end AFTER UPDATE ON jobs FOR EACH ROW EXECUTE FUNCTION note_end();
"""


@pytest.fixture(scope="module")
def docker_daemon() -> Iterator[PrivateDocker]:
    """A Docker of its own with the sandbox image in it."""
    build_sandbox_image(IMAGE)
    daemon = PrivateDocker()
    try:
        daemon.start()
        daemon.load(IMAGE)
        yield daemon
    finally:
        daemon.remove()


class _RedisPart:
    """Redis, killed and started like the rest."""

    def __init__(self, carrier: RedisCarrier) -> None:
        self._carrier = carrier
        self._alive = True
        self._lock = threading.Lock()

    def alive(self) -> bool:
        """Whether it was not killed."""
        return self._alive

    def start(self) -> None:
        """Start its container again."""
        with self._lock:
            self._carrier.revive()
            self._alive = True

    def kill(self) -> None:
        """Kill it."""
        with self._lock:
            self._carrier.kill()
            self._alive = False


@contextmanager
def _doorbell(kind: str, folder: Path) -> Generator[tuple[dict[str, str], dict[str, Part]]]:
    """What the roles are told of a doorbell, and what of it is killed; moto's SQS is not, as it keeps nothing."""
    if kind == "redis":
        redis = RedisCarrier.create()
        try:
            yield redis.environment, {"redis": _RedisPart(redis)}
        finally:
            redis.remove()
    elif kind == "sqs":
        server = SqsServer.create(folder / "moto.log")
        try:
            queue = SqsCarrier(server, "")
            yield {**queue.environment}, {}
        finally:
            server.kill()
    else:
        yield {}, {}


@pytest.fixture
def service(request: pytest.FixtureRequest, docker_daemon: PrivateDocker, tmp_path: Path) -> Iterator[KeptService]:
    """The service, audited, with every part kept running; the parameter is its doorbell."""
    with _doorbell(request.param, tmp_path) as (told, parts):
        doorbell = {**{f"FLEET_{name}": value for name, value in told.items()}, **aws_environment()}
        service = KeptService(tmp_path, docker_daemon, IMAGE, doorbell=doorbell, parts=parts)
        try:
            until(lambda: _audited(service), seconds=60, what="the schema")
            yield service
        finally:
            service.remove()


def _audited(service: KeptService) -> bool:
    with suppress(psycopg.Error), service.connection() as connection:
        found = connection.execute("SELECT to_regclass('jobs') IS NOT NULL, to_regclass('ends') IS NOT NULL").fetchone()
        if found == (True, False):
            connection.execute(_AUDIT)
        return found == (True, True)
    return False


@pytest.mark.timeout(600)
@pytest.mark.parametrize("service", ["postgres"], indirect=True)
def test_four_hundred_jobs_end_once_each_while_everything_is_killed(
    service: KeptService, docker_daemon: PrivateDocker, record_property: Callable[[str, object], None]
) -> None:
    """An accepted job that is lost, or a result that comes twice, is what nobody may ever see."""
    _run(service, docker_daemon, jobs=400, kills=20, seconds=480, record_property=record_property)


@pytest.mark.soak
@pytest.mark.timeout(7_200)
@pytest.mark.parametrize("service", ["postgres", "redis", "sqs"], indirect=True)
def test_five_thousand_jobs_end_once_each_while_everything_is_killed(
    service: KeptService, docker_daemon: PrivateDocker, record_property: Callable[[str, object], None]
) -> None:
    """The rare coincidence of two faults shows only where there are many of them."""
    _run(service, docker_daemon, jobs=5_000, kills=200, seconds=6_600, record_property=record_property)


def _whole(service: KeptService, docker_daemon: PrivateDocker) -> bool:
    """Whether every container is a sandbox that waits, and enough of them do."""
    with suppress(SandboxLost):
        (template,) = asyncio.run(service.sandboxd.count()).templates.values()
        waiting = len(docker_daemon.containers())
        return not template.starting and not template.running and service.warm <= template.warm == waiting
    return False


def _run(
    service: KeptService,
    docker_daemon: PrivateDocker,
    *,
    jobs: int,
    kills: int,
    seconds: float,
    record_property: Callable[[str, object], None],
) -> None:
    seed = os.environ.get("FLEET_TEST_SEED") or str(random.randrange(1 << 32))
    record_property("seed", seed)
    chosen = random.Random(seed)
    begun = time.monotonic()
    sent = Jobs(service.url, service.key, jobs, begun + seconds, seed)
    clients = sent.start()
    killed: Counter[str] = Counter()
    for number in range(kills):
        wanted = (number + 1) * jobs // (kills + 1)
        while len(sent.results) < wanted and any(client.is_alive() for client in clients):
            threading.Event().wait(0.02)
        # Not always at the moment at which a job has just ended.
        threading.Event().wait(chosen.uniform(0, 0.3))
        name = chosen.choice(sorted(service.parts))
        if service.parts[name].alive():
            service.parts[name].kill()
            killed[name] += 1
    for client in clients:
        client.join(max(1.0, sent.deadline + 60 - time.monotonic()))
    record_property("kills", dict(sorted(killed.items())))
    record_property("jobs_per_second", round(len(sent.results) / (time.monotonic() - begun), 2))
    record_property("run_again", sum(result["attempt"] > 1 for result in sent.results.values()))

    message = f"seed {seed}, killed {dict(killed)}\n{service.logs()}"
    assert not sent.problems, (sent.problems[:10], message)
    wrong = {
        number: result
        for number, result in sent.results.items()
        if (result["status"], result["stdout"]) != ("succeeded", f"{number}\n")
    }
    assert len(sent.results) == jobs, message
    assert not wrong, (dict(list(wrong.items())[:5]), message)
    with service.connection() as connection:
        ends = connection.execute(
            "SELECT count(*), count(DISTINCT job_id), count(*) FILTER (WHERE what = 'changed') FROM ends"
        ).fetchone()
        assert ends == (jobs, jobs, 0), message
        kept = connection.execute("SELECT count(*), count(*) FILTER (WHERE status = 'succeeded') FROM jobs").fetchone()
        assert kept == (jobs, jobs), message
    assert sum(killed.values()) >= kills * 3 // 4, f"too much of it was dead already: {message}"
    until(lambda: _whole(service, docker_daemon), seconds=60, what="the pool to be whole")
    service.stop_keeping()
    service.roles["sandboxd"].stop()
    assert docker_daemon.containers() == []
