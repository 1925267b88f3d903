"""The database's disk runs full: what was accepted is kept and run once, and nothing is accepted that is not kept."""

import itertools
import subprocess
from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from calls import problem, result, submit
from fleet_runtime.migrations.runner import migrate
from postgres_server import ContainerServer, NoServerError
from runtime_processes import Stack, start_stack, until

_DISK_MEBIBYTES = 160
_DATA = "/var/lib/postgresql/data"
_FILLER = f"{_DATA}/filler"
_LEASE_SECONDS = 6
# Not what compresses well, so that every such job takes pages of its own.
_LARGE = "".join(f"# {number:x}\n" for number in range(12_000))


@pytest.fixture
def small_server() -> Iterator[ContainerServer]:
    """A server on a small disk of its own."""
    try:
        server = ContainerServer.create(data_mebibytes=_DISK_MEBIBYTES)
    except NoServerError as error:
        pytest.skip(f"needs PostgreSQL: {error}")
    yield server
    server.remove()


@pytest.fixture
def stack_on_it(small_server: ContainerServer) -> Generator[Stack]:
    """An API and a worker on that database, with short leases."""
    migrate(small_server.url)
    times = {"LEASE_SECONDS": str(_LEASE_SECONDS), "LEASE_RENEW_SECONDS": "0.5", "SWEEP_SECONDS": "0.5"}
    with start_stack(small_server.url, workers=1, **times) as started:
        yield started


def _in(server: ContainerServer, command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["docker", "exec", server.name, "sh", "-c", command], capture_output=True, text=True, check=False, timeout=60
    )


def _fill(server: ContainerServer) -> None:
    filled = _in(server, f"cat /dev/zero >> {_FILLER}")
    assert "No space left" in filled.stderr, filled.stderr


@contextmanager
def _full(server: ContainerServer) -> Generator[None]:
    _fill(server)
    try:
        yield
    finally:
        _in(server, f"rm -f {_FILLER}")


def _ready(stack: Stack) -> httpx.Response:
    return httpx.get(f"{stack.url}/ready", timeout=30)


def test_a_full_disk_refuses_new_jobs_and_costs_none_that_was_accepted(
    small_server: ContainerServer, stack_on_it: Stack, tmp_path: Path
) -> None:
    """An answer of 202 for what is not kept, or a job that runs again because its end could not be written."""
    runs = tmp_path / "runs"
    ends = tmp_path / "ends"
    code = (
        "import time\nopen({runs!r}, 'a').write('{number}\\n')\ntime.sleep({seconds})\n"
        "open({ends!r}, 'a').write('{number}\\n')\nprint({number})\n"
    )
    accepted: dict[str, int] = {}
    with stack_on_it.client() as client:

        def send(number: int, seconds: float, padding: str = "") -> httpx.Response:
            text = code.format(runs=str(runs), ends=str(ends), number=number, seconds=seconds) + padding
            answer = client.post("/execute", json={"language": "python", "code": text})
            if answer.status_code == 202:
                accepted[answer.json()["id"]] = number
            return answer

        # The last one ends when the leases of the others are long over, if nobody renewed them.
        for number, seconds in enumerate((1, 1, 2.5 * _LEASE_SECONDS)):
            send(number, seconds)
        until(lambda: runs.exists() and len(runs.read_text().split()) == 3, what="the first jobs' start")
        with _full(small_server):
            numbers = itertools.count(3)
            answers = [send(next(numbers), 0, _LARGE) for _ in range(57)]
            refused = [answer for answer in answers if answer.status_code != 202]
            assert refused, "the disk was not full"
            for answer in refused:
                assert "disk is full" in problem(answer, 503)["detail"]
                assert int(answer.headers["retry-after"]) > 0

            def unready() -> httpx.Response | None:
                # PostgreSQL may have given room back: a write-ahead segment after the error, a relation's last pages.
                _fill(small_server)
                send(next(numbers), 0, _LARGE)
                return answer if (answer := _ready(stack_on_it)).status_code != 200 else None

            assert "disk is full" in problem(until(unready, seconds=60, what="/ready says so"), 503)["detail"]
            until(lambda: ends.exists() and "2" in ends.read_text().split(), seconds=60, what="the last job's end")
        until(lambda: _ready(stack_on_it).status_code == 200, seconds=60, what="readiness")
        submit(client)
        ended = {number: result(client, id_, wait=60) for id_, number in accepted.items()}
    assert Counter((each["status"], each["attempt"]) for each in ended.values()) == {("succeeded", 1): len(accepted)}
    assert Counter(runs.read_text().split()) == {str(number): 1 for number in accepted.values()}
