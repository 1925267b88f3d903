"""The doorbell over SQS, for what any worker of a template may hear; the rest goes by PostgreSQL.

SQS gives each message to one reader. That suits a job that was queued: one worker is to take it. A cancel is for the
one worker that has the job and an end for the API that somebody waits at, and SQS knows neither, so these two stay with
LISTEN and NOTIFY, on the database that every process is connected to anyway.
"""

import asyncio
import json
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from fleet_runtime.doorbell import Bell, Doorbell, Listener
from fleet_runtime.doorbell.rings import Batch, Failures, Rings, for_ever, read
from fleet_runtime.doorbell.settings import queue_per_template, queue_url_of
from fleet_runtime.doorbell.sqs_requests import SqsRequests

LONG_POLL_SECONDS = 20
"""The longest that SQS allows: an idle worker asks three times a minute."""
_MESSAGES_AT_ONCE = 10
"""SQS's own limit, of a batch to send, to receive and to delete."""
_LONGEST_RETRY_SECONDS = 5.0


class SqsDoorbell:
    """A queue of rings, one message for each job, deleted when it is received: the jobs themselves are in the table."""

    def __init__(
        self,
        requests: SqsRequests,
        queue_url: str,
        broadcasts: Doorbell,
        *,
        templates: Sequence[str],
        retry_seconds: float = 0.5,
        failures: Failures | None = None,
    ) -> None:
        """Send to the queues of `templates`, and listen to that of the first, a worker's own.

        `broadcasts` carries what everybody is to hear.
        """
        self._requests = requests
        self._queue_url = queue_url
        self._broadcasts = broadcasts
        self._templates = tuple(templates)
        self._retry_seconds = retry_seconds
        self._failures = failures or Failures()
        self._rings = Rings()

    def ring(self, bell: Bell, ids: Iterable[UUID], template: str | None = None) -> None:
        """Send at the next chance, together with whatever else has gathered by then."""
        if bell is not Bell.QUEUED:
            self._broadcasts.ring(bell, ids)
        elif template is not None or len(self._templates) == 1:
            self._rings.gather(bell, ids, template or self._templates[0])
        else:
            # Whose they are is not known here: a worker of each looks for itself.
            for each in self._templates:
                self._rings.gather(bell, (), each)

    def listen(self, bell: Bell, listener: Listener) -> None:
        """Have `listener` called from `run`'s task; it must not block."""
        (self._rings if bell is Bell.QUEUED else self._broadcasts).listen(bell, listener)

    async def run(self) -> None:
        """Carry rings until cancelled."""
        async with self._requests, asyncio.TaskGroup() as group:
            group.create_task(self._broadcasts.run())
            group.create_task(self._for_ever(self._send))
            if self._rings.awaited:
                group.create_task(self._for_ever(self._receive))

    async def _for_ever(self, work: Any) -> None:
        await for_ever(
            work,
            doorbell="sqs",
            failures=self._failures,
            retry_seconds=self._retry_seconds,
            longest=max(self._retry_seconds, _LONGEST_RETRY_SECONDS),
        )

    async def _send(self) -> None:
        while True:
            batch = await self._rings.take(_MESSAGES_AT_ONCE)
            try:
                await self._send_batch(batch)
            except BaseException:
                self._rings.put_back(batch)
                raise

    async def _send_batch(self, batch: Batch) -> None:
        template = batch.template or self._templates[0]
        # One message for each job, because each wakes one worker.
        ids = [id_.hex for id_ in batch.ids] or [""]
        entries = [
            {"Id": str(number), "MessageBody": json.dumps({"template": template, "ids": id_})}
            for number, id_ in enumerate(ids)
        ]
        answer = await self._requests.call(
            "SendMessageBatch", queue_url_of(self._queue_url, template), {"Entries": entries}
        )
        if failed := answer.get("Failed"):
            raise RingsNotSentError(f"{len(failed)} of {len(entries)} rings were refused: {failed[0].get('Code')}")

    async def _receive(self) -> None:
        queue_url = queue_url_of(self._queue_url, self._templates[0])
        # What was rung while nobody asked may have gone to its end.
        self._rings.tell_all()
        while True:
            answer = await self._requests.call(
                "ReceiveMessage",
                queue_url,
                {"MaxNumberOfMessages": _MESSAGES_AT_ONCE, "WaitTimeSeconds": LONG_POLL_SECONDS},
                waits_seconds=LONG_POLL_SECONDS,
            )
            messages = answer.get("Messages") or []
            self._hear(messages)
            if messages:
                entries = [
                    {"Id": str(number), "ReceiptHandle": message["ReceiptHandle"]}
                    for number, message in enumerate(messages)
                ]
                await self._requests.call("DeleteMessageBatch", queue_url, {"Entries": entries})

    def _hear(self, messages: list[dict[str, Any]]) -> None:
        heard = [ids for message in messages if (ids := self._ids(message)) is not None]
        if heard:
            everything = not all(heard)
            self._rings.tell(Bell.QUEUED, frozenset() if everything else frozenset().union(*heard))

    def _ids(self, message: dict[str, Any]) -> frozenset[UUID] | None:
        """The ids of a message; None of one that is for workers of another template, who find the job by polling."""
        try:
            body = json.loads(message.get("Body") or "")
            template, ids = body["template"], str(body["ids"])
        except (ValueError, TypeError, KeyError):
            return frozenset()
        if template != self._templates[0] and not queue_per_template(self._queue_url):
            return None
        return read(ids)


class RingsNotSentError(Exception):
    """SQS took a batch, but not all of it."""
