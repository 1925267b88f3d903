"""Keys, budgets and expiry: what a tenant may do, and for how long."""

import json
import subprocess
import sys
import time
from collections.abc import Generator

import httpx
import psycopg
import pytest
from calls import problem, result, run, submit
from fleet_runtime.keys import Authenticator, KeyStore, digest
from runtime_processes import Process, Stack, new_key, start_stack, until


@pytest.fixture(scope="module")
def small_stack(shared_database_url: str) -> Generator[Stack]:
    """A stack with a queue of three jobs a tenant, results that expire after three seconds, tombstones after five more.

    A key that nobody lists is valid for six.
    """
    settings = {
        "QUEUE_LIMIT": "3",
        "RESULT_TTL_SECONDS": "3",
        "TOMBSTONE_TTL_SECONDS": "5",
        "SWEEP_SECONDS": "0.5",
        "UNLISTED_KEY_SECONDS": "6",
    }
    with start_stack(shared_database_url, **settings) as started:  # pyright: ignore[reportArgumentType]
        yield started


def _keys(stack: Stack, *arguments: str) -> str:
    command = [sys.executable, "-m", "fleet_runtime", "keys", *arguments]
    done = subprocess.run(command, env=stack.environment, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def _status(stack: Stack, key: str) -> int:
    return httpx.get(f"{stack.url}/jobs", headers={"Authorization": f"Bearer {key}"}).status_code


def test_a_key_is_made_and_revoked_without_a_restart(small_stack: Stack) -> None:
    """A key that has leaked must stop working now, not at the next deployment; a tenant's other keys go on."""
    first, second = _keys(small_stack, "create", "rotating"), _keys(small_stack, "create", "rotating")
    assert (_status(small_stack, first), _status(small_stack, second)) == (200, 200)
    _keys(small_stack, "revoke", first.split("_")[1])
    revoked = time.monotonic()
    until(lambda: _status(small_stack, first) == 401, seconds=5, what="the revocation")
    assert time.monotonic() - revoked < 3
    assert _status(small_stack, second) == 200
    listed = _keys(small_stack, "list")
    assert first not in listed
    assert f"{first.split('_')[1]}  rotating" in listed


def test_an_old_host_that_starts_again_neither_revokes_a_new_key_nor_keeps_its_own_for_good(small_stack: Stack) -> None:
    """Hosts are replaced one by one: the key that was just given out would be refused everywhere.

    One that an operator has revoked stays so, whoever lists it.
    """
    added, revoked = [small_stack.client().headers["authorization"].removeprefix("Bearer ") for _ in range(2)]
    _keys(small_stack, "revoke", revoked.split("_")[1])
    removed, listed_before = new_key("rotated")
    old = Stack(small_stack.database_url, small_stack.folder, {**small_stack.environment})
    old.environment["FLEET_BOOTSTRAP_KEYS"] = json.dumps([listed_before])
    api: Process = old.start_api()
    try:
        until(lambda: httpx.get(f"{old.metrics_url}/health").json()["prepared"], what="the API")
        assert [_status(old, key) for key in (added, revoked, removed)] == [200, 401, 200]
        with psycopg.connect(small_stack.database_url, autocommit=True) as connection:
            connection.execute("UPDATE api_keys SET listed_at = now() - interval '1 hour'")
        until(lambda: [_status(old, key) for key in (added, removed)] == [200, 200], what="both keys to be kept")
    finally:
        api.end()
    until(lambda: _status(small_stack, removed) == 401, seconds=30, what="the end of the key that no host lists")
    assert [_status(small_stack, key) for key in (added, revoked)] == [200, 401]


def test_a_tenant_over_its_budget_is_told_when_to_come_again(small_stack: Stack) -> None:
    """One tenant must not fill the queue; a repeated request adds nothing and is answered; others go on."""
    with small_stack.client() as full, small_stack.client() as other:
        first = submit(full, idempotency_key="k")
        submit(full)
        third = submit(full)
        refused = full.post("/execute", json={"language": "python", "code": ""})
        assert problem(refused, 429)["type"].endswith(":queue-full")
        assert int(refused.headers["retry-after"]) > 0
        assert submit(full, idempotency_key="k") == first
        submit(other)
        assert full.delete(f"/jobs/{third}").json()["status"] == "cancelled"
        submit(full)
        for job in full.get("/jobs").json()["jobs"]:
            full.delete(f"/jobs/{job['id']}")


def test_a_result_expires_to_410_and_its_tombstone_to_404(small_stack: Stack) -> None:
    """A client must be able to tell a result that is gone from one that never was."""
    with small_stack.client() as client:
        job = submit(client, idempotency_key="again")
        client.delete(f"/jobs/{job}")
        assert result(client, job)["status"] == "cancelled"
        until(lambda: client.get(f"/result/{job}").status_code == 410, what="the expiry")
        problem(client.get(f"/result/{job}"), 410)
        problem(client.delete(f"/jobs/{job}"), 410)
        assert job not in {one["id"] for one in client.get("/jobs").json()["jobs"]}
        assert submit(client, idempotency_key="again") != job
        until(lambda: client.get(f"/result/{job}").status_code == 404, what="the tombstone's removal")


class _Keys(KeyStore):
    """Keys in memory, and how often they were asked for."""

    def __init__(self, known: dict[str, tuple[str, str]]) -> None:
        self.known = known
        self.asked = 0

    async def find(self, key_id: str) -> tuple[str, str] | None:
        """Look one up."""
        self.asked += 1
        return self.known.get(key_id)


async def test_a_keys_state_is_remembered_for_the_time_allowed_and_no_longer() -> None:
    """A cache without an end would keep a revoked key alive; none at all would double every request's cost."""
    key = "fleet_00112233_" + "a" * 64
    store, now = _Keys({"00112233": ("tenant", digest(key))}), 0.0
    authenticator = Authenticator(store, cache_seconds=1, clock=lambda: now)
    for _ in range(5):
        identity = await authenticator.identify(f"bearer {key}")
        assert identity is not None
        assert identity.tenant == "tenant"
    assert store.asked == 1
    store.known.clear()
    now = 1.0
    assert await authenticator.identify(f"Bearer {key}") is None
    assert store.asked == 2


def test_a_job_runs_for_a_tenant_made_a_moment_ago(small_stack: Stack) -> None:
    """A new tenant needs a key and nothing else."""
    key = _keys(small_stack, "create", "brand-new")
    small_stack.start_worker()
    with httpx.Client(base_url=small_stack.url, headers={"Authorization": f"Bearer {key}"}, timeout=60) as client:
        assert run(client, code="print(1)")["stdout"] == "1\n"
