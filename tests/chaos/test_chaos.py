"""Everything is killed at random, again and again: what was accepted ends exactly once, and nothing is left over."""

import asyncio
import os
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest
from chaos_jobs import Jobs
from doorbell_carriers import RedisCarrier
from fleet_runtime.sandboxd.client import SandboxLost
from kept_service import ContainerPart, KeptService, Part
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


@contextmanager
def _doorbell(kind: str, folder: Path) -> Generator[tuple[dict[str, str], dict[str, Part]]]:
    """What the roles are told of a doorbell, and what of it is killed; moto's SQS is not, as it keeps nothing."""
    if kind == "redis":
        redis = RedisCarrier.create()
        try:
            yield redis.environment, {"redis": ContainerPart(redis.name, redis.revive)}
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
def test_four_hundred_jobs_end_once_each_while_everything_is_killed(chaos: "Chaos") -> None:
    """An accepted job that is lost, or a result that comes twice, is what nobody may ever see."""
    chaos.run(jobs=400, kills=20, seconds=400, stalled_seconds=120)


@pytest.mark.soak
@pytest.mark.timeout(7_200)
@pytest.mark.parametrize("service", ["postgres", "redis", "sqs"], indirect=True)
def test_five_thousand_jobs_end_once_each_while_everything_is_killed(chaos: "Chaos") -> None:
    """The rare coincidence of two faults shows only where there are many of them."""
    chaos.run(jobs=5_000, kills=200, seconds=6_000, stalled_seconds=300)


@pytest.fixture
def chaos(
    service: KeptService,
    docker_daemon: PrivateDocker,
    record_property: Callable[[str, object], None],
    capsys: pytest.CaptureFixture[str],
) -> "Chaos":
    """What kills the service's parts."""
    return Chaos(service, docker_daemon, record_property, capsys)


@dataclass
class Chaos:
    """A run: jobs are sent, parts are killed, and then everything is counted."""

    service: KeptService
    docker_daemon: PrivateDocker
    record_property: Callable[[str, object], None]
    capsys: pytest.CaptureFixture[str]
    killed: Counter[str] = field(default_factory=Counter[str])

    def run(self, *, jobs: int, kills: int, seconds: float, stalled_seconds: float) -> None:
        """Send `jobs` and kill `kills` times, evenly among them; no new job is sent after `seconds`.

        A machine that is too slow for all of it has what it did counted, and is said to be. It is a failure if nothing
        moves at all for `stalled_seconds`.
        """
        seed = os.environ.get("FLEET_TEST_SEED") or str(random.randrange(1 << 32))
        self.record_property("seed", seed)
        begun = time.monotonic()
        sent = Jobs(self.service.url, self.service.key, jobs, begun + seconds, stalled_seconds, seed)
        clients = sent.start()
        self._kill(kills, sent, clients, random.Random(seed))
        for client in clients:
            client.join()
        elapsed = time.monotonic() - begun
        self.record_property("kills", dict(sorted(self.killed.items())))
        self.record_property("jobs", len(sent.results))
        self.record_property("jobs_per_second", round(len(sent.results) / elapsed, 2))
        self.record_property("run_again", sum(result["attempt"] > 1 for result in sent.results.values()))
        self._judge(sent, f"seed {seed}, killed {dict(self.killed)}\n{self.service.logs()}")
        if len(sent.results) < jobs:
            pytest.skip(
                f"cannot be had here: {jobs} jobs and {kills} kills in {seconds:g} s; it were {len(sent.results)} jobs "
                f"and {self.killed.total()} kills, and each job ended once"
            )
        assert self.killed.total() == kills

    def _kill(self, kills: int, sent: Jobs, clients: Sequence[threading.Thread], chosen: random.Random) -> None:
        for number in range(kills):
            wanted = (number + 1) * sent.count // (kills + 1)
            while len(sent.results) < wanted:
                if not any(client.is_alive() for client in clients):
                    return
                threading.Event().wait(0.02)
            # Not always at the moment at which a job has just ended.
            threading.Event().wait(chosen.uniform(0, 0.3))
            name = chosen.choice(
                until(lambda: sorted(self._living()), seconds=sent.stalled_seconds, what="a part that lives")
            )
            self.service.parts[name].kill()
            self.killed[name] += 1
            if number % 10 == 9:
                self._say(f"{number + 1} of {kills} kills, {len(sent.results)} of {sent.count} jobs")

    def _living(self) -> list[str]:
        return [name for name, part in self.service.parts.items() if part.alive()]

    def _say(self, progress: str) -> None:
        with self.capsys.disabled():
            sys.stdout.write(f"\n{progress}")
            sys.stdout.flush()

    def _judge(self, sent: Jobs, message: str) -> None:
        assert not sent.problems, (sent.problems[:10], message)
        wrong = {
            number: result
            for number, result in sent.results.items()
            if (result["status"], result["stdout"]) != ("succeeded", f"{number}\n")
        }
        assert not wrong, (dict(list(wrong.items())[:5]), message)
        jobs = len(sent.results)
        until(lambda: _whole(self.service, self.docker_daemon), seconds=300, what="the pool to be whole")
        with self.service.connection() as connection:
            ends = connection.execute(
                "SELECT count(*), count(DISTINCT job_id), count(*) FILTER (WHERE what = 'changed') FROM ends"
            ).fetchone()
            assert ends == (jobs, jobs, 0), message
            kept = connection.execute(
                "SELECT count(*), count(*) FILTER (WHERE status = 'succeeded') FROM jobs"
            ).fetchone()
            assert kept == (jobs, jobs), message
        self.service.stop_keeping()
        self.service.roles["sandboxd"].stop()
        assert self.docker_daemon.containers() == []


def _whole(service: KeptService, docker_daemon: PrivateDocker) -> bool:
    """Whether every container is a sandbox that waits, and enough of them do."""
    with suppress(SandboxLost):
        (template,) = asyncio.run(service.sandboxd.count()).templates.values()
        waiting = len(docker_daemon.containers())
        return not template.starting and not template.running and service.warm <= template.warm == waiting
    return False
