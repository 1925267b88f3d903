"""The networks of a fleet on one Docker host."""

from typing import TypedDict

import pulumi
import pulumi_docker as docker

from agent_fleet.labels import labels


class HostNetworkArgs(TypedDict):
    """Whose networks they are."""

    fleet: pulumi.Input[str]
    """The fleet's name, for the labels."""


class HostNetwork(pulumi.ComponentResource):
    """A frontend that can publish ports, and a backend without a way out for everything else."""

    frontend: pulumi.Output[str]
    """The name of the network that the API publishes its port from."""
    backend: pulumi.Output[str]
    """The name of the internal network between database, API and workers."""

    def __init__(self, name: str, args: HostNetworkArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Declare both networks; see `HostNetworkArgs`."""
        super().__init__("agent-fleet:index:HostNetwork", name, {}, opts)
        network_labels = [
            docker.NetworkLabelArgs(label=label, value=value)
            for label, value in sorted(labels(args["fleet"], "network").items())
        ]
        options = pulumi.ResourceOptions(parent=self, delete_before_replace=True)
        frontend = docker.Network(
            f"{name}-frontend", name=f"{name}-frontend", driver="bridge", labels=network_labels, opts=options
        )
        backend = docker.Network(
            f"{name}-backend",
            name=f"{name}-backend",
            driver="bridge",
            internal=True,
            labels=network_labels,
            opts=options,
        )
        self.frontend = frontend.name
        self.backend = backend.name
        self.register_outputs({"frontend": self.frontend, "backend": self.backend})
