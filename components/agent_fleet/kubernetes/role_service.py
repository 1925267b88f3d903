"""The Services of a role that has one pod of its own, as database and Redis do."""

from collections.abc import Mapping

import pulumi
import pulumi_kubernetes as k8s


def role_service(
    name: str,
    described: k8s.meta.v1.ObjectMetaArgs,
    selected: Mapping[str, str],
    options: pulumi.ResourceOptions,
    *,
    port: int,
    port_name: str,
    protocol: str,
    headless: bool,
) -> k8s.core.v1.Service:
    """The role's address, or with `headless` the one that a StatefulSet must have for its pods' names.

    `protocol` is what is spoken there, for meshes.
    """
    return k8s.core.v1.Service(
        name,
        metadata=described,
        spec=k8s.core.v1.ServiceSpecArgs(
            type="ClusterIP",
            cluster_ip="None" if headless else None,
            selector=dict(selected),
            ports=[
                k8s.core.v1.ServicePortArgs(
                    name=port_name, port=port, target_port=port_name, protocol="TCP", app_protocol=protocol
                )
            ],
        ),
        opts=options,
    )
