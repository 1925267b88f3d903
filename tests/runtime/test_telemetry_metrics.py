"""The metrics by name, type, labels and buckets: dashboards and alerts are written against exactly these."""

from pathlib import Path
from typing import Any

import pytest
from fleet_runtime.sandboxd.metrics import Metrics
from fleet_runtime.telemetry.host import HostCollector
from fleet_runtime.telemetry.metrics import ApiMetrics, WorkerMetrics
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

_START = "0.001 0.002 0.005 0.01 0.025 0.05 0.1 0.25 0.5 1 2.5 5 10 30"
_SANDBOX_START = "0.001 0.0025 0.005 0.01 0.025 0.05 0.1 0.25 0.5 1 2.5 5 10 30"
_REQUEST = "0.005 0.01 0.025 0.05 0.1 0.25 0.5 1 2.5 5 10 30 60"
_DURATION = "0.1 0.5 1 2 5 10 30"
_SANDBOX_DURATION = "0.1 0.25 0.5 1 2.5 5 10 30"
_MEBIBYTE = 1024 * 1024
_MEMORY = " ".join(str(2**power * _MEBIBYTE) for power in range(2, 13))
_SANDBOX_MEMORY = " ".join(str(2**power * _MEBIBYTE) for power in range(4, 13))

API = {
    "http_requests_total": ("counter", "method route status", ""),
    "http_request_duration_seconds": ("histogram", "route", _REQUEST),
    "jobs_accepted_total": ("counter", "language", ""),
    "jobs_refused_total": ("counter", "reason", ""),
    "queue_depth": ("gauge", "template", ""),
    "jobs_running": ("gauge", "template", ""),
    "queue_oldest_seconds": ("gauge", "template", ""),
    "workers_live": ("gauge", "healthy", ""),
    "output_streams": ("gauge", "", ""),
    "database_up": ("gauge", "", ""),
    "jobs_swept_total": ("counter", "what", ""),
}
WORKER = {
    "executions_total": ("counter", "language status", ""),
    "execution_failures_total": ("counter", "reason", ""),
    "execution_duration_seconds": ("histogram", "language", _DURATION),
    "job_start_seconds": ("histogram", "warm", _START),
    "queue_wait_seconds": ("histogram", "", f"{_REQUEST} 300 1800"),
    "job_max_memory_bytes": ("histogram", "", _MEMORY),
    "job_cpu_seconds": ("histogram", "", _DURATION),
    "worker_jobs_running": ("gauge", "", ""),
    "worker_slots": ("gauge", "", ""),
    "worker_sandboxes_healthy": ("gauge", "", ""),
    "sandbox_network_canary_runs_total": ("counter", "outcome", ""),
    "sandbox_network_canary_reached": ("gauge", "", ""),
    "jobs_handed_back_total": ("counter", "reason", ""),
    "host_notices_total": ("counter", "notice", ""),
    "host_notice_failures_total": ("counter", "", ""),
    "results_refused_total": ("counter", "", ""),
    "jobs_swept_total": ("counter", "what", ""),
    "host_disk_size_bytes": ("gauge", "", ""),
    "host_disk_free_bytes": ("gauge", "", ""),
    "host_disk_free_inodes": ("gauge", "", ""),
    "host_network_received_bytes_total": ("counter", "", ""),
    "host_network_sent_bytes_total": ("counter", "", ""),
    "host_network_errors_total": ("counter", "", ""),
    "host_network_dropped_total": ("counter", "", ""),
}
SANDBOXD = {
    "containers_started_total": ("counter", "template", ""),
    "container_start_failures_total": ("counter", "template", ""),
    "container_start_seconds": ("histogram", "template", _SANDBOX_START),
    "container_cleanups_total": ("counter", "outcome template", ""),
    "sandbox_start_seconds": ("histogram", "template warm", _SANDBOX_START),
    "sandbox_execution_duration_seconds": ("histogram", "template", _SANDBOX_DURATION),
    "sandbox_jobs_ended_total": ("counter", "reason template", ""),
    "sandbox_jobs_refused_total": ("counter", "code", ""),
    "sandbox_out_of_memory_total": ("counter", "template", ""),
    "sandbox_max_memory_bytes": ("histogram", "template", _SANDBOX_MEMORY),
    "sandbox_cpu_seconds": ("histogram", "template", f"0.005 0.025 {_SANDBOX_DURATION}"),
    "sandboxes": ("gauge", "state template", ""),
    "sandbox_backend_up": ("gauge", "", ""),
}
_NEVER_A_LABEL = {"tenant", "job", "job_id", "id", "request_id", "trace_id", "worker", "key", "path"}
"""Each would make a series for each of something that clients make without end."""


def _shown(text: str) -> dict[str, tuple[str, str, str]]:
    """Read an exposition into name → (type, labels, buckets), all in one form."""
    found: dict[str, tuple[str, str, str]] = {}
    for family in text_string_to_metric_families(text):
        # When a series began, which the client adds to each by itself.
        if family.name.endswith("_created"):
            continue
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        limits = [sample.labels["le"] for sample in family.samples if sample.name.endswith("_bucket")]
        buckets = [f"{float(limit):.16g}" for limit in limits if limit != "+Inf"]
        found[name] = (family.type, " ".join(sorted(labels)), " ".join(buckets))
    return found


@pytest.mark.parametrize(
    ("metrics", "wanted"), [(ApiMetrics(), API), (WorkerMetrics(), WORKER), (Metrics(), SANDBOXD)], ids=lambda _: ""
)
def test_each_metric_has_the_name_labels_and_buckets_that_dashboards_know(
    metrics: Any, wanted: dict[str, tuple[str, str, str]]
) -> None:
    """A renamed metric breaks an alert without a word: it just never fires again."""
    for metric in vars(metrics).values():
        if isinstance(metric, Counter | Gauge | Histogram):
            described = next(iter(metric.describe()))
            name = f"{described.name}_total" if described.type == "counter" else described.name
            if labels := wanted[name][1].split():
                metric.labels(**dict.fromkeys(labels, "any"))
    text = metrics.text() if isinstance(metrics, Metrics) else generate_latest(metrics.registry)
    assert _shown(text.decode()) == wanted


def test_no_label_has_as_many_values_as_there_are_jobs_or_tenants() -> None:
    """Every value of a label is a series for ever: one by job fills the memory of whoever collects them."""
    for names in (API, WORKER, SANDBOXD):
        for name, (_, labels, _) in names.items():
            assert not _NEVER_A_LABEL & set(labels.split()), name


def test_the_documents_metrics_are_there_by_their_names() -> None:
    """D8 names these two and the first and last bucket; the others it only describes."""
    assert "containers_started_total" in SANDBOXD
    buckets = WORKER["execution_duration_seconds"][2].split()
    assert (buckets[0], buckets[-1]) == ("0.1", "30")


def test_the_hosts_network_is_its_links_alone(tmp_path: Path) -> None:
    """Traffic between a host's containers, counted twice more, hides what goes over the wire."""
    table = tmp_path / "dev"
    heading = (
        "Inter-|   Receive  |  Transmit\n face |bytes packets errs drop fifo frame compressed multicast|bytes ...\n"
    )
    rows = [("lo", 1), ("veth12ab", 10), ("docker0", 100), ("eth0", 1_000), ("ens5", 10_000)]
    table.write_text(heading + "".join(f" {name}: " + " ".join([str(count)] * 16) + "\n" for name, count in rows))
    registry = CollectorRegistry()
    registry.register(HostCollector(tmp_path, table))
    assert registry.get_sample_value("host_network_received_bytes_total") == 11_000
    assert registry.get_sample_value("host_network_sent_bytes_total") == 11_000
    assert registry.get_sample_value("host_network_errors_total") == 22_000
    size = registry.get_sample_value("host_disk_size_bytes") or 0
    assert 0 < (registry.get_sample_value("host_disk_free_bytes") or 0) <= size
