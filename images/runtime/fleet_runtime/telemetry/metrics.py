"""The metrics of the API and of the worker (requirement D8). sandboxd has its own, served along with the worker's."""

from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from fleet_runtime.telemetry.host import HostCollector

DURATION_BUCKETS = (0.1, 0.5, 1, 2, 5, 10, 30)
_START_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_WAIT_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)
_MEMORY_BUCKETS = tuple(float(2**power * 1024 * 1024) for power in range(2, 13))


def _registry() -> CollectorRegistry:
    return CollectorRegistry(auto_describe=False)


@dataclass
class ApiMetrics:
    """What the API counts."""

    registry: CollectorRegistry = field(default_factory=_registry)

    def __post_init__(self) -> None:
        """Register everything."""
        self.requests = Counter(
            "http_requests_total", "Requests answered.", ("method", "route", "status"), registry=self.registry
        )
        self.request_seconds = Histogram(
            "http_request_duration_seconds",
            "Time to answer, waiting for a job's end included.",
            ("route",),
            buckets=_WAIT_BUCKETS[:13],
            registry=self.registry,
        )
        self.accepted = Counter("jobs_accepted_total", "Jobs accepted.", ("language",), registry=self.registry)
        self.refused = Counter("jobs_refused_total", "Jobs refused.", ("reason",), registry=self.registry)
        self.depth = Gauge("queue_depth", "Jobs queued.", ("template",), registry=self.registry)
        self.running = Gauge("jobs_running", "Jobs leased to workers.", ("template",), registry=self.registry)
        self.oldest = Gauge(
            "queue_oldest_seconds", "Age of the oldest job that could run.", ("template",), registry=self.registry
        )
        self.workers = Gauge(
            "workers_live", "Workers heard of in the last 15 s, by health.", ("healthy",), registry=self.registry
        )
        self.streams = Gauge("output_streams", "Outputs that are followed live.", registry=self.registry)
        self.database_up = Gauge("database_up", "1 if the database answered the last question.", registry=self.registry)
        self.swept = Counter("jobs_swept_total", "Jobs that the sweeper moved.", ("what",), registry=self.registry)


@dataclass
class WorkerMetrics:
    """What a worker counts."""

    registry: CollectorRegistry = field(default_factory=_registry)

    def __post_init__(self) -> None:
        """Register everything."""
        self.registry.register(HostCollector())
        self.executions = Counter(
            "executions_total",
            "Attempts that ended jobs: the processing rate.",
            ("language", "status"),
            registry=self.registry,
        )
        self.failures = Counter(
            "execution_failures_total",
            "Attempts that did not succeed, by what went wrong.",
            ("reason",),
            registry=self.registry,
        )
        self.execution_seconds = Histogram(
            "execution_duration_seconds",
            "Wall-clock time of jobs' code.",
            ("language",),
            buckets=DURATION_BUCKETS,
            registry=self.registry,
        )
        self.start_seconds = Histogram(
            "job_start_seconds",
            "From the claim until the code starts.",
            ("warm",),
            buckets=_START_BUCKETS,
            registry=self.registry,
        )
        self.wait_seconds = Histogram(
            "queue_wait_seconds",
            "From acceptance to the claim of a first attempt.",
            buckets=_WAIT_BUCKETS,
            registry=self.registry,
        )
        self.memory_bytes = Histogram(
            "job_max_memory_bytes", "Peak memory of a job.", buckets=_MEMORY_BUCKETS, registry=self.registry
        )
        self.cpu_seconds = Histogram(
            "job_cpu_seconds", "Processor time of a job.", buckets=DURATION_BUCKETS, registry=self.registry
        )
        self.running = Gauge("worker_jobs_running", "Jobs that this worker runs.", registry=self.registry)
        self.slots = Gauge("worker_slots", "Jobs that this worker may run at once.", registry=self.registry)
        self.sandboxes_healthy = Gauge(
            "worker_sandboxes_healthy", "1 if sandboxd answered and was healthy.", registry=self.registry
        )
        self.canary_runs = Counter(
            "sandbox_network_canary_runs_total",
            "Attempts of a sandbox at the network: denied, reached (it must not), failed (it could not be tried).",
            ("outcome",),
            registry=self.registry,
        )
        self.canary_reached = Gauge(
            "sandbox_network_canary_reached",
            "Addresses that a sandbox reached at the last attempt and must not.",
            registry=self.registry,
        )
        self.handed_back = Counter(
            "jobs_handed_back_total", "Attempts returned to the queue.", ("reason",), registry=self.registry
        )
        self.host_notices = Counter(
            "host_notices_total",
            "Notices that the host goes, or is out of service.",
            ("notice",),
            registry=self.registry,
        )
        self.host_notice_failures = Counter(
            "host_notice_failures_total", "Looks for such notices that failed.", registry=self.registry
        )
        self.refused = Counter(
            "results_refused_total", "Results of attempts whose lease was lost.", registry=self.registry
        )
        self.swept = Counter("jobs_swept_total", "Jobs that the sweeper moved.", ("what",), registry=self.registry)
