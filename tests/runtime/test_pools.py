"""Which pool a job goes to, what an API of one pool refuses, and when either is ready."""

import json
from collections.abc import Generator
from typing import Any

import httpx
import psycopg
import pytest
from calls import fields, problem, result, run
from fleet_runtime.api.pools import Routes
from fleet_runtime.config import ApiSettings
from psycopg.rows import dict_row
from pydantic import ValidationError
from runtime_processes import Stack, start_stack, until

# The stack's sandboxes know one template only, `default`; that of the documentation pool has no worker at all.
POOLS: list[dict[str, Any]] = [
    {"tenant": "tenant-0", "agent_type": "testing", "template": "default", "default": True},
    {"tenant": "tenant-0", "agent_type": "documentation", "template": "alpha-documentation"},
    {"tenant": "tenant-1", "agent_type": "security", "template": "default"},
    {"tenant": "tenant-2", "agent_type": "testing", "template": "default"},
    {"tenant": "tenant-2", "agent_type": "security", "template": "beta-security"},
]


@pytest.fixture(scope="module")
def pools(shared_database_url: str) -> Generator[Stack]:
    """The fleet's API with pools of three tenants, and one worker."""
    with start_stack(shared_database_url, workers=1, POOLS=json.dumps(POOLS)) as started:
        yield started


@pytest.fixture(scope="module")
def keys(pools: Stack) -> dict[str, str]:
    """The stack's keys, to be used more than once."""
    return dict(pools.keys)


def caller(pools: Stack, keys: dict[str, str], tenant: str) -> httpx.Client:
    """A client of a tenant."""
    return httpx.Client(base_url=pools.url, headers={"Authorization": f"Bearer {keys[tenant]}"}, timeout=70)


def template_of(pools: Stack, identifier: str) -> str:
    """Where a job was put."""
    with psycopg.connect(pools.database_url) as connection, connection.cursor(row_factory=dict_row) as cursor:
        found = cursor.execute("SELECT template FROM jobs WHERE id = %s", (identifier,)).fetchone()
    assert found is not None
    return found["template"]


@pytest.mark.parametrize(
    ("tenant", "agent_type", "template"),
    [
        ("tenant-0", "documentation", "alpha-documentation"),
        ("tenant-0", "testing", "default"),
        ("tenant-0", None, "default"),
        ("tenant-1", None, "default"),
        ("tenant-2", "security", "beta-security"),
    ],
)
def test_a_job_goes_to_the_pool_that_its_header_and_its_tenant_name(
    pools: Stack, keys: dict[str, str], tenant: str, agent_type: str | None, template: str
) -> None:
    """A job in another tenant's pool would run beside that tenant's workspace."""
    with caller(pools, keys, tenant) as client:
        headers = {} if agent_type is None else {"agent-type": agent_type}
        answer = client.post("/execute", json={"language": "python", "code": "print(1)"}, headers=headers)
        assert answer.status_code == 202
        assert template_of(pools, answer.json()["id"]) == template


@pytest.mark.parametrize(
    ("tenant", "agent_type", "words"),
    [
        ("tenant-0", "security", "'security' was given: tenant 'tenant-0' has pools for documentation, testing"),
        ("tenant-2", None, "is missing: tenant 'tenant-2' has pools for security, testing"),
        ("tenant-3", "testing", "tenant 'tenant-3' has no pool in this fleet"),
        ("tenant-0", "x" * 4000, "was given"),
    ],
)
def test_a_pool_that_is_not_there_is_refused_naming_those_that_are(
    pools: Stack, keys: dict[str, str], tenant: str, agent_type: str | None, words: str
) -> None:
    """A job without a pool would wait for ever."""
    with caller(pools, keys, tenant) as client:
        headers = {} if agent_type is None else {"agent-type": agent_type}
        answer = client.post("/execute", json={"language": "python", "code": ""}, headers=headers)
        assert fields(answer) == {"agent-type"}
        assert words in answer.json()["errors"][0]["message"]


def test_the_document_names_the_header_and_its_values(pools: Stack) -> None:
    """A client is made from the document."""
    document = httpx.get(f"{pools.url}/openapi.json").json()
    parameters = {one["name"]: one for one in document["paths"]["/execute"]["post"]["parameters"]}
    assert parameters["agent-type"]["schema"]["enum"] == ["documentation", "security", "testing"]
    assert "Prefer" in parameters


def test_the_api_of_all_pools_is_ready_while_one_of_them_runs_and_names_those_that_do_not(pools: Stack) -> None:
    """One pool's trouble must not take the others' API out of service, nor stay unseen."""
    answer = httpx.get(f"{pools.url}/ready")
    assert answer.status_code == 200
    reasons = [reason for reason in answer.json()["reasons"] if "is slow" not in reason]
    assert len(reasons) == 2
    assert "'alpha-documentation'" in reasons[0]
    assert "'beta-security'" in reasons[1]


def test_a_pool_that_scales_from_zero_is_ready_without_a_worker(shared_database_url: str, pools: Stack) -> None:
    """An autoscaler that brings workers up for jobs never would, were no job accepted."""
    pool = {"tenant": "tenant-0", "agent_type": "testing", "template": "scaled", "scales_from_zero": True}
    settings = {"FLEET_POOLS": json.dumps([pool]), "FLEET_BOOTSTRAP_KEYS": pools.environment["FLEET_BOOTSTRAP_KEYS"]}
    url = start_another_api(pools, settings)
    ready = {"ready": True, "workers": 0, "draining": [], "reasons": []}
    until(lambda: httpx.get(f"{url}/ready").json() == ready, what="the API to be ready")
    # With pools of its own it would take other tests' stranded jobs to them.
    pools.processes.pop().end()


def test_an_api_of_one_pool_serves_its_tenant_and_its_agent_type_only(pools: Stack, keys: dict[str, str]) -> None:
    """Its Service is in one team's namespace: another team's key has nothing to do there."""
    url = start_another_api(pools, {"FLEET_TENANT": "tenant-1", "FLEET_AGENT_TYPE": "security", "FLEET_POOLS": "[]"})
    until(lambda: httpx.get(f"{url}/ready").status_code == 200, what="the API of one pool to be ready")
    with caller(pools, keys, "tenant-1") as client:
        client.base_url = httpx.URL(url)
        assert run(client, code="print(6 * 7)")["stdout"] == "42\n"
        job = {"language": "python", "code": ""}
        assert client.post("/execute", json=job, headers={"agent-type": "security"}).status_code == 202
        refused = client.post("/execute", json=job, headers={"agent-type": "testing"})
        assert fields(refused) == {"agent-type"}
        assert "'security'" in refused.json()["errors"][0]["message"]
    with caller(pools, keys, "tenant-0") as other:
        other.base_url = httpx.URL(url)
        problem(other.post("/execute", json=job), 401)
        problem(other.get("/jobs"), 401)


def test_an_api_of_one_pool_leaves_the_fleets_keys_alone(pools: Stack, keys: dict[str, str]) -> None:
    """It is told of no keys, and keys that are not listed are revoked: that would lock every tenant out."""
    url = start_another_api(pools, {"FLEET_TENANT": "tenant-1", "FLEET_POOLS": "[]"})
    until(lambda: httpx.get(f"{url}/ready").status_code == 200, what="the API of one pool to be ready")
    with psycopg.connect(pools.database_url) as connection:
        assert connection.execute("SELECT count(*) FROM api_keys WHERE listed").fetchone() == (len(keys),)


def test_a_key_used_for_another_agent_type_is_refused(pools: Stack, keys: dict[str, str]) -> None:
    """The job that was first sent with it runs in another pool: its result is not the one that was asked for."""
    job = {"language": "python", "code": "print(1)", "idempotency_key": "which-pool"}
    with caller(pools, keys, "tenant-2") as client:
        first = client.post("/execute", json=job, headers={"agent-type": "security"})
        again = client.post("/execute", json=job, headers={"agent-type": "security"})
        assert first.json()["id"] == again.json()["id"]
        assert fields(client.post("/execute", json=job, headers={"agent-type": "testing"})) == {"idempotency_key"}
    # The API of one pool is that pool's by its address: its callers need not name it.
    url = start_another_api(pools, {"FLEET_TENANT": "tenant-2", "FLEET_AGENT_TYPE": "security", "FLEET_POOLS": "[]"})
    until(lambda: httpx.get(f"{url}/ready").status_code == 200, what="the API of one pool to be ready")
    with caller(pools, keys, "tenant-2") as client:
        client.base_url = httpx.URL(url)
        assert client.post("/execute", json=job).json()["id"] == first.json()["id"]


def test_the_body_alone_counts_where_no_pool_is_named() -> None:
    """A fleet without pools ignores the header, and a repeated request must find its job after an upgrade too."""
    single = Routes(ApiSettings.model_validate({"database_url": "postgresql://host/database"}))
    assert single.request_sha256(b"body", "testing") == b"body"
    several = Routes(ApiSettings.model_validate({"database_url": "postgresql://host/database", "pools": POOLS}))
    assert several.request_sha256(b"body", None) == b"body"
    assert several.request_sha256(b"body", "testing") != several.request_sha256(b"body", "security")


def test_a_job_whose_pool_is_removed_runs_in_the_tenants_default_pool(pools: Stack, keys: dict[str, str]) -> None:
    """The whole way: a job is queued for a pool that the settings lost, and a waiting client gets its result."""
    with caller(pools, keys, "tenant-0") as client:
        # The documentation pool has no worker, so the job is still queued.
        job = {"language": "python", "code": "print(6 * 7)"}
        stranded = client.post("/execute", json=job, headers={"agent-type": "documentation"}).json()["id"]
        with psycopg.connect(pools.database_url) as connection:
            connection.execute("INSERT INTO stranded_templates VALUES ('removed', now() - interval '2 minutes')")
            connection.execute(
                "UPDATE jobs SET template = 'removed', available_at = now() - interval '2 minutes' WHERE id = %s",
                (stranded,),
            )
        assert result(client, stranded, wait=30)["stdout"] == "42\n"
        assert template_of(pools, stranded) == "default"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"tenant": "a", "pools": [POOLS[0]]}, "one pool or all"),
        (
            {"agent_type": "testing", "bootstrap_keys": [{"tenant": "a", "key_id": "0" * 8, "sha256": "0" * 64}]},
            "own API",
        ),
        ({"pools": [POOLS[0], {**POOLS[0], "template": "b"}]}, "more than once"),
        ({"pools": [POOLS[0], {**POOLS[1], "default": True}]}, "more than one default"),
        ({"pools": [{**POOLS[0], "agent_type": "Testing"}]}, "agent_type"),
    ],
)
def test_settings_of_pools_that_contradict_each_other_are_refused(settings: dict[str, Any], words: str) -> None:
    """A job that could go to either of two pools goes to the wrong one."""
    with pytest.raises(ValidationError, match=words):
        ApiSettings.model_validate({"database_url": "postgresql://host/database", **settings})


def start_another_api(stack: Stack, settings: dict[str, str]) -> str:
    """Start an API beside the stack's own, on the same database; its address."""
    own_url, own_metrics, environment = stack.url, stack.metrics_url, stack.environment
    inherited = {name: value for name, value in environment.items() if name != "FLEET_BOOTSTRAP_KEYS"}
    stack.environment = {**inherited, **settings}
    try:
        stack.start_api()
        return stack.url
    finally:
        stack.url, stack.metrics_url, stack.environment = own_url, own_metrics, environment
