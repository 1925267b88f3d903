"""What a host may do to others: those of its own fleet with other tasks, and other fleets in the account."""

import random
import string
from typing import Any

import pytest
from queue_fleet import API, SPOT, TEMPLATE, WORKERS, changed, deployed, files, policy
from recording import FLEET
from stack_settings import read
from test_host_stack import declared

from settings.problems import SettingsError


def namespaces(statements: list[dict[str, Any]]) -> set[str]:
    """The namespaces that a role may write metrics to."""
    conditions = [each["Condition"] for each in statements if each["Action"] == "cloudwatch:PutMetricData"]
    return {each["StringEquals"]["cloudwatch:namespace"] for each in conditions}


def test_only_a_fleets_own_api_says_how_many_jobs_it_has(preview: bool) -> None:
    """One host that was taken over, of any fleet in the account, would have fifty hosts started for another."""
    if preview:
        return
    found = deployed(preview)
    told = files(found.one(TEMPLATE, API))[f"/etc/agent-fleet/{FLEET}-api.env"]
    (backlog,) = [line.partition("=")[2] for line in told.splitlines() if line.startswith("FLEET_BACKLOG_NAMESPACE=")]
    assert FLEET in backlog
    assert backlog in namespaces(policy(found, API))
    assert backlog not in namespaces(policy(found, WORKERS))
    assert backlog not in namespaces(policy(declared(preview), FLEET))


def test_the_domains_that_jobs_may_reach_fit_into_what_a_host_is_told(preview: bool) -> None:
    """On a new stack the limit would be met after the database was made, with a traceback."""
    if preview:
        return
    letters = random.Random(7)  # names that do not compress

    def domains(number: int) -> dict[str, object]:
        names = ["".join(letters.choices(string.ascii_lowercase + string.digits, k=40)) for _ in range(number)]
        return {"egress": {"domains": [f"x{name}.org" for name in names]}}

    assert deployed(preview, sandbox=domains(255)).of_type(TEMPLATE)
    with pytest.raises(SettingsError, match="name fewer"):
        read(changed(sandbox=domains(270)))


def test_each_hosts_lines_are_in_a_stream_of_its_own(preview: bool) -> None:
    """Of fifty hosts one fails, and nobody could say which."""
    if preview:
        return
    found = deployed(preview)
    for template, program in ((API, f"{FLEET}-api"), (SPOT, f"{FLEET}-worker")):
        unit = files(found.one(TEMPLATE, template))[f"/etc/systemd/system/{program}.service"]
        # systemd's own word for the host's name: with two signs it would be a text like any other.
        assert f"awslogs-stream={program}/%H " in unit
        assert "%%H" not in unit
