"""What a monitoring system reads from the deployed fleet (requirement D8)."""

import re

import pytest
from deployed_stack import DeployedStack
from prometheus_client.parser import text_string_to_metric_families

_READ = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:9090/metrics', timeout=10).read().decode())"
_BUCKETS = ["0.1", "0.5", "1.0", "2.0", "5.0", "10.0", "30.0", "+Inf"]


def _exposition(stack: DeployedStack, role: str) -> str:
    answer = stack.container(role).exec_run(["/opt/fleet/bin/python", "-c", _READ])
    assert answer.exit_code == 0, answer.output
    assert isinstance(answer.output, bytes)
    return answer.output.decode()


@pytest.mark.parametrize("role", ["api", "worker"])
def test_every_metric_is_declared_once(stack: DeployedStack, role: str) -> None:
    """Prometheus refuses a page on which two programs declare the same name, and then sees nothing at all."""
    text = _exposition(stack, role)
    declared = re.findall(r"^# TYPE (\S+)", text, re.MULTILINE)
    assert sorted(declared) == sorted(set(declared))
    assert list(text_string_to_metric_families(text))


def test_the_worker_counts_what_the_requirements_name(stack: DeployedStack) -> None:
    """Dashboards and alerts are written against these very names."""
    assert stack.run(language="python", code="print(1)")["status"] == "succeeded"
    families = {family.name: family for family in text_string_to_metric_families(_exposition(stack, "worker"))}
    started = sum(s.value for s in families["containers_started"].samples if s.name == "containers_started_total")
    assert started >= 1
    duration = [s for s in families["execution_duration_seconds"].samples if s.labels.get("language") == "python"]
    assert [s.labels["le"] for s in duration if s.name.endswith("_bucket")] == _BUCKETS
    assert next(s.value for s in duration if s.name.endswith("_count")) >= 1
    for name in ("container_start_seconds", "container_cleanups", "job_max_memory_bytes", "job_cpu_seconds"):
        assert families[name].samples, name
    api = {family.name for family in text_string_to_metric_families(_exposition(stack, "api"))}
    assert {"queue_depth", "jobs_running", "jobs_accepted", "workers_live", "database_up"} <= api
