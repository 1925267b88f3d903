"""Budgets as clients and operators meet them: the API, a worker and the commands as processes."""

import itertools
import json
import subprocess
import sys
from collections.abc import Generator

import httpx
import pytest
from calls import problem, result, run, submit
from runtime_processes import Stack, start_stack, until


@pytest.fixture(scope="module")
def served(shared_database_url: str) -> Generator[Stack]:
    """A stack with a worker, a short queue, and one tenant whose budget the deployment sets."""
    budgets = json.dumps([{"tenant": "tenant-0", "max_concurrent": 1}])
    with start_stack(shared_database_url, workers=1, QUEUE_LIMIT="3", TENANT_BUDGETS=budgets) as started:
        yield started


def _tenants(stack: Stack, *arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "fleet_runtime", "tenants", *arguments],
        env=stack.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.returncode, done.stdout + done.stderr


def _limit(stack: Stack) -> str:
    _, text = _tenants(stack, "show", "tenant-0")
    return text.partition("max_concurrent:")[2].split()[0]


def _usage(client: httpx.Client) -> dict[str, object]:
    answer = client.get("/usage")
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_tenant_sees_its_own_budget_and_needs_a_key_for_it(served: Stack) -> None:
    """Who waits must be able to find out for what; nobody else is to learn it."""
    problem(httpx.get(f"{served.url}/usage"), 401)
    with served.client("tenant-1") as client:
        assert _tenants(served, "set", "tenant-1", "--jobs-per-minute", "100", "--jobs-per-day", "50")[0] == 0
        assert run(client, code="print(1)")["status"] == "succeeded"
        usage = _usage(client)
    assert usage["tenant"] == "tenant-1"
    assert usage["limits"] == {
        "queue": 3,
        "max_concurrent": None,
        "jobs_per_minute": 100,
        "jobs_per_day": 50,
        "cpu_seconds_per_day": None,
    }
    today = usage["today"]
    assert isinstance(today, dict)
    assert today["jobs"] == 1
    assert (usage["queued"], usage["running"], usage["exhausted"]) == (0, 0, [])


def test_jobs_over_a_days_budget_wait_and_a_full_queue_says_until_when(served: Stack) -> None:
    """A client that is told five seconds and comes back all day is a load, and was lied to."""
    with served.client("tenant-2") as client, served.client("tenant-3") as other:
        assert _tenants(served, "set", "tenant-2", "--jobs-per-day", "1")[0] == 0
        assert run(client, code="print(1)")["status"] == "succeeded"
        waiting = [submit(client, code="print(2)") for _ in range(3)]
        refused = client.post("/execute", json={"language": "python", "code": ""})
        problem(refused, 429)
        assert 5 < int(refused.headers["retry-after"]) <= 86_400
        assert run(other, code="print(3)")["stdout"] == "3\n"
        assert {result(client, job)["status"] for job in waiting} == {"queued"}
        assert _usage(client)["exhausted"] == ["jobs_per_day"]
        assert _tenants(served, "set", "tenant-2", "--jobs-per-day", "unlimited")[0] == 0
        # Nothing was restarted and no bell was rung: a waiting worker finds out by itself.
        assert {result(client, job, wait=30)["status"] for job in waiting} == {"succeeded"}


def test_a_tenant_of_one_place_gets_it_again_as_soon_as_a_job_has_ended(served: Stack) -> None:
    """Jobs that wait for a place must not each wait for a round of polling too, nor run together."""
    code = "import time; print(time.time()); time.sleep(0.2); print(time.time())"
    with served.client("tenant-0") as client:
        jobs = [submit(client, code=code) for _ in range(3)]
        spans = [tuple(float(line) for line in result(client, job, wait=60)["stdout"].split()) for job in jobs]
    for (_, ended), (begun, _) in itertools.pairwise(spans):
        assert begun >= ended


def test_the_settings_tenants_are_not_an_operators_to_change(served: Stack) -> None:
    """A change that the next start of the API undoes must be refused, with where to make it."""
    code, text = _tenants(served, "set", "tenant-0", "--max-concurrent", "9")
    assert code == 1
    assert "fleet.tenants.tenant-0" in text
    code, text = _tenants(served, "set", "nobody-at-all", "--max-concurrent", "9")
    assert code == 1
    assert "keys create nobody-at-all" in text
    code, text = _tenants(served, "show", "tenant-0")
    assert code == 0
    assert "the deployment's settings" in text
    code, text = _tenants(served, "set", "tenant-0", "--max-concurrent", "0")
    assert code == 2
    assert "from 1 to 100000, or unlimited" in text
    assert "tenant-0" in _tenants(served, "list")[1]


def test_an_api_that_lists_a_tenant_no_longer_takes_its_limits_away(database_url: str) -> None:
    """A budget that was taken out of the settings must not stay for ever."""
    with start_stack(database_url, TENANT_BUDGETS=json.dumps([{"tenant": "tenant-0", "max_concurrent": 1}])) as stack:
        assert _limit(stack) == "1"
        stack.processes[0].end()
        stack.environment["FLEET_TENANT_BUDGETS"] = "[]"
        stack.start_api()
        until(lambda: _limit(stack) == "unlimited", what="the limit's end")
