"""What sandboxd counts (requirement D8), in a registry of its own: the worker serves it beside its own figures."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_EXECUTION_SECONDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_START_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_MEBIBYTE = 1024 * 1024


class Metrics:
    """The figures, each by template."""

    def __init__(self) -> None:
        """Register them."""
        registry = self._registry = CollectorRegistry()
        template = ["template"]
        self.started = Counter("containers_started", "Sandboxes that became ready.", template, registry=registry)
        self.start_failures = Counter(
            "container_start_failures", "Sandboxes that did not become ready.", template, registry=registry
        )
        self.container_start = Histogram(
            "container_start_seconds",
            "From the request to create a sandbox until its runner waits.",
            template,
            buckets=_START_SECONDS,
            registry=registry,
        )
        self.cleanups = Counter(
            "container_cleanups", "Removals of sandboxes.", [*template, "outcome"], registry=registry
        )
        self.job_start = Histogram(
            "sandbox_start_seconds",
            "From a job's arrival at sandboxd until its code starts.",
            [*template, "warm"],
            buckets=_START_SECONDS,
            registry=registry,
        )
        self.execution = Histogram(
            "sandbox_execution_duration_seconds",
            "Wall-clock time of a job's code.",
            template,
            buckets=_EXECUTION_SECONDS,
            registry=registry,
        )
        self.ended = Counter("sandbox_jobs_ended", "Jobs by how they ended.", [*template, "reason"], registry=registry)
        self.refused = Counter("sandbox_jobs_refused", "Jobs not started.", ["code"], registry=registry)
        self.out_of_memory = Counter(
            "sandbox_out_of_memory",
            "Jobs of which the kernel killed something for memory.",
            template,
            registry=registry,
        )
        self.memory = Histogram(
            "sandbox_max_memory_bytes",
            "A job's largest memory, scratch included.",
            template,
            buckets=tuple(size * _MEBIBYTE for size in (16, 32, 64, 128, 256, 512, 1024, 2048, 4096)),
            registry=registry,
        )
        self.cpu = Histogram(
            "sandbox_cpu_seconds",
            "Processor time of a job.",
            template,
            buckets=(0.005, 0.025, *_EXECUTION_SECONDS),
            registry=registry,
        )
        self.sandboxes = Gauge("sandboxes", "Sandboxes by state.", [*template, "state"], registry=registry)
        self.backend_up = Gauge("sandbox_backend_up", "Whether sandboxes can be made (1) or not.", registry=registry)

    def text(self) -> bytes:
        """Return everything in Prometheus's text format."""
        return generate_latest(self._registry)
