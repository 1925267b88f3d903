"""What the proxy counts, in a registry of its own: sandboxd gets it to serve beside its own figures."""

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest


class Metrics:
    """The figures, each by template."""

    def __init__(self) -> None:
        """Register them."""
        registry = self._registry = CollectorRegistry()
        self.requests = Counter(
            "egress_requests",
            "Connections and requests of jobs by what became of them.",
            ["template", "verdict"],
            registry=registry,
        )
        self.bytes = Counter(
            "egress_bytes", "Bytes that passed the proxy.", ["template", "direction"], registry=registry
        )
        self.open = Gauge("egress_open_connections", "Connections of jobs now.", ["template"], registry=registry)
        self.sandboxes = Gauge("egress_sandboxes", "Sandboxes that have a way to the proxy.", registry=registry)

    def text(self) -> bytes:
        """Return all of it in Prometheus's text format."""
        return generate_latest(self._registry)
