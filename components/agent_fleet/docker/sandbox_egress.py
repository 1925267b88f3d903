"""The egress proxy on one Docker host: its container, and a network that nothing else is on."""

from collections.abc import Mapping, Sequence

import pulumi
import pulumi_docker as docker

from agent_fleet.docker.container import container_args, container_options
from agent_fleet.labels import labels
from agent_fleet.sandbox_egress import SandboxEgressArgs, egress_workload
from agent_fleet.workload import VolumeMount


def egress_proxy(
    name: str,
    fleet: pulumi.Input[str],
    common: Mapping[str, pulumi.Input[str]],
    image: pulumi.Input[str],
    templates: Sequence[str],
    args: SandboxEgressArgs,
    run: VolumeMount,
    parent: pulumi.Resource,
) -> docker.Container:
    """Declare both. sandboxd must come after it: without the proxy sandboxd does not report itself healthy."""
    network = docker.Network(
        f"{name}-egress",
        name=f"{name}-egress",
        driver="bridge",
        labels=[
            docker.NetworkLabelArgs(label=label, value=value)
            for label, value in sorted(labels(fleet, "network").items())
        ],
        opts=pulumi.ResourceOptions(parent=parent, delete_before_replace=True),
    )
    workload = egress_workload(f"{name}-egress", common, image, templates, args, run, network.name)
    return docker.Container(f"{name}-egress", container_args(workload, fleet), opts=container_options(parent))
