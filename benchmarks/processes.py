"""A fleet as processes of this machine, for what `make up` does not deploy: the oci backend, or no sandbox at all.

PostgreSQL is the project's image with every commit flushed to disk; API, worker and sandboxd are the roles as they are
shipped, with their defaults, their logs in files.
"""

import json
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import docker
from docker.models.containers import Container
from fleet_runtime.sandboxd.config import SandboxTemplate

from benchmarks.fleet import Client
from benchmarks.sandbox_backends import MEBIBYTE, Measured, sandboxd, unpacked
from benchmarks.stopping import undisturbed
from tests.runtime.postgres_server import ContainerServer, NoServerError
from tests.runtime.runtime_processes import Process, Stack, new_key, start_stack

TENANT = "bench"


@dataclass(frozen=True)
class Processes:
    """A running fleet."""

    stack: Stack
    database: ContainerServer
    key: str
    ports: tuple[int, ...]
    """Of each API process."""
    sandboxd: Measured | None = None

    def client(self) -> Client:
        """A connection to the API with the key."""
        return Client(self.ports[0], self.key)

    def roles(self) -> dict[str, list[Process]]:
        """Its processes, but for PostgreSQL's."""
        workers = self.stack.workers
        return {"API": [each for each in self.stack.processes if each not in workers], "workers": workers}

    def container(self) -> Container:
        """PostgreSQL's."""
        return docker.from_env().containers.get(self.database.name)


@contextmanager
def api_and_database(*, apis: int = 1, settings: Mapping[str, str] | None = None) -> Generator[Processes]:
    """A fleet without workers; `settings` are the API's, without the prefix FLEET_."""
    database: ContainerServer | None = None
    try:
        with undisturbed():
            database = ContainerServer.create(durable=True)
        key, told = new_key(TENANT)
        own = {"BOOTSTRAP_KEYS": json.dumps([told]), **(settings or {})}
        with start_stack(database.url, workers=0, **own) as stack:
            urls = [stack.url]
            for _ in range(apis - 1):
                stack.start_api()
                urls.append(stack.url)
            yield Processes(stack, database, key, tuple(int(url.rpartition(":")[2]) for url in urls))
    except NoServerError as error:
        raise SystemExit(f"A PostgreSQL to measure with cannot be had: {error}") from None
    finally:
        if database is not None:
            database.remove()


@contextmanager
def oci_fleet(image: str, template: SandboxTemplate) -> Generator[Processes]:
    """A fleet on the oci backend: the template of the deployed fleet, and a worker with the default settings."""
    described = {**template.model_dump(), "image": image}
    with (
        unpacked(image, True) as state,
        sandboxd("oci", state, described) as measured,
        api_and_database() as started,
    ):
        # The real worker: it is told by its environment where its sandboxes are.
        worker = started.stack.start_pod_worker({"FLEET_SANDBOXD_SOCKET": str(measured.socket)})
        worker.line("worker_started")
        yield Processes(started.stack, started.database, started.key, started.ports, measured)


def default_template(image: str) -> SandboxTemplate:
    """The template that the local stack has by default (docs/settings.md, `fleet.sandbox`)."""
    return SandboxTemplate(image=image, memory_bytes=512 * MEBIBYTE, scratch_bytes=256 * MEBIBYTE, warm=4, maximum=8)


def start_empty_workers(fleet: Processes, count: int, concurrency: int) -> Sequence[Process]:
    """Start workers whose sandboxes end an empty program at once."""
    workers = [fleet.stack.start_worker(CONCURRENCY=str(concurrency)) for _ in range(count)]
    for worker in workers:
        worker.line("worker_started")
    return workers
