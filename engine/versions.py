"""The versions that the engine's parts are pinned to, in one place."""

from importlib import metadata

ENGINE = "3.200.0"  # the newest engine whose Go module is served; go/go.mod pins the same
GO_MINIMUM = (1, 24)  # the `go` line of go/go.mod
KUBERNETES = "1.34.2"  # of the one-node cluster; go/kubernetes/go.mod pins the same
CLUSTER_GO_MINIMUM = (1, 26, 4)  # the `go` line of go/cluster-services/go.mod, the higher one of the two
PROVIDERS = ("aws", "docker", "docker-build", "kubernetes", "random")


def provider(name: str) -> str:
    """The plugin version of a provider: that of its installed SDK."""
    return metadata.version(f"pulumi-{name}")
