"""One contract for every doorbell: PostgreSQL, Redis and SQS, each with the real server behind it."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from uuid import UUID, uuid4

from doorbell_carriers import Carrier, RedisCarrier
from fleet_runtime.doorbell import Bell, Doorbell
from fleet_runtime.doorbell.redis import RedisDoorbell
from fleet_runtime.doorbell.rings import MOST_GATHERED, Failures
from prometheus_client import CollectorRegistry
from runtime_processes import until
from sqs_carrier import SqsCarrier, SqsServer

_LIMIT_SECONDS = 30


class Heard:
    """What one listener was told."""

    def __init__(self) -> None:
        """Nothing yet."""
        self.ids: set[UUID] = set()
        self.everything = 0
        self._told = asyncio.Event()

    def __call__(self, ids: frozenset[UUID]) -> None:
        """Be told."""
        self.ids |= ids
        self.everything += not ids
        self._told.set()

    async def until(self, condition: Callable[[], bool], what: str) -> None:
        """Wait until what was told makes `condition` true."""
        try:
            async with asyncio.timeout(_LIMIT_SECONDS):
                while not condition():
                    self._told.clear()
                    await self._told.wait()
        except TimeoutError:
            raise AssertionError(f"not heard within {_LIMIT_SECONDS} s: {what}") from None


@contextlib.asynccontextmanager
async def running(doorbell: Doorbell) -> AsyncGenerator[Doorbell]:
    """Carry rings for a while; a doorbell that ends by itself fails the test."""
    task = asyncio.create_task(doorbell.run())
    try:
        yield doorbell
        assert not task.done(), task.exception()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@contextlib.asynccontextmanager
async def listening(carrier: Carrier, bell: Bell, failures: Failures | None = None) -> AsyncGenerator[Heard]:
    """A process that listens, and is known to be listening."""
    heard, doorbell = Heard(), carrier.doorbell(failures=failures)
    doorbell.listen(bell, heard)
    async with running(doorbell):
        await heard.until(lambda: heard.everything > 0, "that everything is to be looked at, at the start")
        yield heard


async def test_a_ring_is_heard_by_another_process_with_the_jobs_ids(carrier: Carrier) -> None:
    """A worker that is not woken starts every job a poll later."""
    for bell in Bell:
        ids = {uuid4() for _ in range(3)}
        async with listening(carrier, bell) as heard, running(carrier.doorbell()) as ringing:
            ringing.ring(bell, ids, "default")
            await heard.until(lambda heard=heard, ids=ids: heard.ids == ids, f"{bell} with three ids")


async def test_every_process_hears_of_cancels_and_ends(carrier: Carrier) -> None:
    """Only the worker with the job can stop it, and only the API that a client waits at can answer it."""
    for bell in (Bell.CANCEL, Bell.ENDED):
        async with (
            listening(carrier, bell) as one,
            listening(carrier, bell) as other,
            running(carrier.doorbell()) as ringing,
        ):
            id_ = uuid4()
            ringing.ring(bell, [id_])
            await one.until(lambda one=one, id_=id_: id_ in one.ids, f"{bell} by the first")
            await other.until(lambda other=other, id_=id_: id_ in other.ids, f"{bell} by the second")


async def test_hundreds_of_rings_in_one_moment_all_arrive(carrier: Carrier) -> None:
    """What gathers while one message is under way must not be lost with it."""
    ids = {uuid4() for _ in range(300)}
    async with listening(carrier, Bell.QUEUED) as heard, running(carrier.doorbell()) as ringing:
        for id_ in ids:
            ringing.ring(Bell.QUEUED, [id_], "default")
        await heard.until(lambda: heard.ids == ids, "all of them")


async def test_malformed_messages_mean_that_everything_is_looked_at(carrier: Carrier) -> None:
    """Whoever can write to the carrier must be able to cost a query, and never a worker."""
    async with listening(carrier, Bell.QUEUED) as heard:
        for text in ("no ids at all", "{}", '{"template": 1, "ids": [[]]}', "0" * 5_000, "é\x01,,,"):
            before = heard.everything
            carrier.say(text)
            await heard.until(lambda before=before: heard.everything > before, f"that {text[:20]!r} was nonsense")
        async with running(carrier.doorbell()) as ringing:
            id_ = uuid4()
            ringing.ring(Bell.QUEUED, [id_], "default")
            await heard.until(lambda: id_ in heard.ids, "a proper ring after them")


async def test_rings_go_on_after_the_carrier_was_killed(carrier: Carrier) -> None:
    """A carrier that dies must cost polls while it is away, and nothing once it is back: no process, and no restart."""
    registry = CollectorRegistry()
    async with (
        listening(carrier, Bell.QUEUED, failures=Failures(registry)) as heard,
        running(carrier.doorbell()) as ringing,
    ):
        kept, before = uuid4(), heard.everything
        await asyncio.to_thread(carrier.kill)
        try:
            ringing.ring(Bell.QUEUED, [kept], "default")
            await _until(lambda: _failures(registry, carrier.kind) > 1, "that the carrier is missed")
        finally:
            await asyncio.to_thread(carrier.revive)
        await heard.until(lambda: heard.everything > before, "that everything is to be looked at, once it is back")
        id_ = uuid4()
        ringing.ring(Bell.QUEUED, [id_], "default")
        await heard.until(lambda: id_ in heard.ids, "a ring after the carrier's return")


async def test_a_locked_out_doorbell_neither_fails_nor_blocks(carrier: Carrier) -> None:
    """A wrong password must leave a fleet that polls, with a count that says so, and not one that is down."""
    registry = CollectorRegistry()
    doorbell = carrier.locked_out(Failures(registry))
    doorbell.listen(Bell.QUEUED, lambda _: None)
    async with running(doorbell):
        for _ in range(3):
            doorbell.ring(Bell.QUEUED, [uuid4()], "default")
        await _until(lambda: _failures(registry, carrier.kind) > 2, "three attempts")


async def test_what_gathers_while_a_carrier_is_away_is_bounded(carrier: Carrier) -> None:
    """An outage of an hour at full load must not fill the API's memory with ids that nobody will miss."""
    doorbell = carrier.doorbell()
    for _ in range(MOST_GATHERED + 1):
        doorbell.ring(Bell.QUEUED, [uuid4()], "default")
    async with listening(carrier, Bell.QUEUED) as heard, running(doorbell):
        await heard.until(lambda: heard.everything > 1, "that everything is to be looked at")
        assert not heard.ids


async def test_a_worker_of_another_template_is_not_told_of_jobs_that_are_not_its_own(
    sqs_server: SqsServer, database_url: str, aws: None
) -> None:
    """A ring on SQS is heard once: one that goes to the wrong pool leaves the right one to its polling."""
    carrier = SqsCarrier(sqs_server, database_url)
    carrier.revive_queue("alpha-testing")
    templates = ("default", "alpha-testing")
    async with listening(carrier, Bell.QUEUED) as heard, running(carrier.doorbell(templates=templates)) as ringing:
        ringing.ring(Bell.QUEUED, [uuid4()], "alpha-testing")
        own = uuid4()
        ringing.ring(Bell.QUEUED, [own], "default")
        await heard.until(lambda: own in heard.ids, "the ring of its own template")
        assert heard.ids == {own}
        assert await asyncio.to_thread(carrier.waiting, "alpha-testing") == 1
        # Whose jobs a sweeper has put back is not known to it.
        before = heard.everything
        ringing.ring(Bell.QUEUED, [uuid4()])
        await heard.until(lambda: heard.everything > before, "a ring for every template")
        await _until(lambda: carrier.waiting("alpha-testing") == 2, "the other template's share of it")


async def test_one_queue_for_all_templates_wakes_nobody_for_anothers_job(
    sqs_server: SqsServer, database_url: str, aws: None
) -> None:
    """Rings of other pools must cost their receiver a message, not a claim on the database each."""
    carrier = SqsCarrier(sqs_server, database_url, per_template=False)
    async with listening(carrier, Bell.QUEUED) as heard:
        async with running(carrier.doorbell(templates=("default", "other"))) as ringing:
            ringing.ring(Bell.QUEUED, [uuid4()], "other")
            own = uuid4()
            ringing.ring(Bell.QUEUED, [own], "default")
            await heard.until(lambda: own in heard.ids, "the ring of its own template")
        await _until(lambda: carrier.waiting() == 0, "that heard rings are deleted")
        assert heard.ids == {own}


async def test_two_fleets_on_one_redis_do_not_hear_each_other(redis: RedisCarrier) -> None:
    """A busy fleet would wake every worker of its neighbour for each of its jobs."""
    neighbour = RedisDoorbell(redis.url, fleet="neighbour")
    async with listening(redis, Bell.QUEUED) as heard, running(neighbour), running(redis.doorbell()) as ringing:
        neighbour.ring(Bell.QUEUED, [uuid4()])
        id_ = uuid4()
        ringing.ring(Bell.QUEUED, [id_])
        await heard.until(lambda: id_ in heard.ids, "its own ring")
        assert heard.ids == {id_}


def _failures(registry: CollectorRegistry, kind: str) -> float:
    return sum(
        sample.value
        for metric in registry.collect()
        for sample in metric.samples
        if sample.name == "doorbell_failures_total" and sample.labels["doorbell"] == kind
    )


async def _until(condition: Callable[[], bool], what: str) -> None:
    """For what nobody tells: ask again, with a limit."""
    await asyncio.to_thread(lambda: until(condition, seconds=_LIMIT_SECONDS, what=what))
