"""The way out of sandboxes: the proxy's `Workload`, and what sandboxd is told of it.

The environment variables are those of the runtime image (`fleet_runtime/egress/config.py`, `sandboxd/config.py`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NotRequired, TypedDict

import pulumi

from agent_fleet.workload import HttpTarget, Port, Probe, Resources, User, VolumeMount, Workload

EGRESS_USER = User(uid=1002, gid=1002)
"""Nobody else's, so that sandboxd can tell the proxy from a worker."""
EGRESS_METRICS_PORT = 9090
_SOCKET_NAME = "egress.sock"
_FOLDER_NAME = "egress"
_HEALTH_CHECK = ("/opt/fleet/bin/python", "-S", "/opt/fleet/healthcheck.py")
_MEBIBYTE = 1024 * 1024


class EgressCredentialArgs(TypedDict):
    """A header that is added to requests to one domain."""

    header: pulumi.Input[str]
    """Its name."""
    value: pulumi.Input[str]
    """All of its value. A secret."""


class SandboxEgressArgs(TypedDict):
    """Where jobs may go."""

    domains: Sequence[pulumi.Input[str]]
    """Domains by name, or with `*.` before one for all below it."""
    credentials: NotRequired[Mapping[str, EgressCredentialArgs]]
    """By domain. Default: none."""
    connections: pulumi.Input[int]
    """Connections of one job at once."""
    job_mebibytes: pulumi.Input[int]
    """What one job may send and receive."""
    tenant_daily_mebibytes: pulumi.Input[int]
    """What one tenant's jobs may send and receive in a day of UTC."""
    tenant_daily_requests: pulumi.Input[int]
    """Requests and connections of one tenant's jobs in a day of UTC."""
    refused_networks: NotRequired[Sequence[pulumi.Input[str]]]
    """Public networks that no domain may lead to. Default: none; private ones are refused anyway."""


def egress_workload(
    name: str,
    common: Mapping[str, pulumi.Input[str]],
    image: pulumi.Input[str],
    templates: Sequence[str],
    args: SandboxEgressArgs,
    run: VolumeMount,
    network: pulumi.Input[str],
) -> Workload:
    """The proxy: the only one with the credentials, and without any right on the host. `common` is what every role has,
    `templates` are those whose jobs may go there.

    It is reached by no network: what it serves comes as descriptors from sandboxd, through the run volume.
    """
    policy = {
        "domains": list(args["domains"]),
        "connections": _whole(args["connections"]),
        "job_bytes": _bytes(args["job_mebibytes"]),
    }
    secrets: dict[str, pulumi.Input[str]] = {}
    credentials = args.get("credentials")
    if credentials:
        by_domain = {domain: dict(credential) for domain, credential in credentials.items()}
        secrets["FLEET_EGRESS_CREDENTIALS"] = pulumi.Output.secret(
            pulumi.Output.json_dumps(dict.fromkeys(templates, by_domain))
        )
    return Workload(
        name=name,
        role="egress",
        image=image,
        command=("egress",),
        user=EGRESS_USER,
        # For all connections that it takes at once (gate.py).
        resources=Resources(memory_mebibytes=512, cpus=1),
        probe=Probe(command=(*_HEALTH_CHECK, f"http://127.0.0.1:{EGRESS_METRICS_PORT}/health"), target=_HEALTH),
        # Jobs that are cut off here may still go on without the proxy.
        stop_grace_seconds=10,
        environment={
            **common,
            "FLEET_EGRESS_SOCKET": f"{run.path}/{_SOCKET_NAME}",
            "FLEET_EGRESS_SANDBOXD_UID": "0",
            "FLEET_EGRESS_LISTEN": f"127.0.0.1:{EGRESS_METRICS_PORT}",
            "FLEET_EGRESS_POLICIES": pulumi.Output.json_dumps(dict.fromkeys(templates, policy)),
            "FLEET_EGRESS_TENANT_DAILY_BYTES": _text(_bytes(args["tenant_daily_mebibytes"])),
            "FLEET_EGRESS_TENANT_DAILY_REQUESTS": _text(_whole(args["tenant_daily_requests"])),
            "FLEET_EGRESS_REFUSED_NETWORKS": pulumi.Output.all(*args.get("refused_networks", [])).apply(",".join),
        },
        secret_environment=secrets,
        ports=(Port(name=_HEALTH.port, number=EGRESS_METRICS_PORT),),
        mounts=(replace(run, read_only=True),),
        networks=(network,),
    )


def with_egress(sandboxd: Workload, run: VolumeMount, run_on_host: pulumi.Input[str]) -> Workload:
    """sandboxd as it is where sandboxes have egress. `run_on_host` is where Docker's host has the run volume."""
    user = sandboxd.user
    return replace(
        sandboxd,
        # Only into its own groups may it give its sockets.
        user=replace(user, supplementary_gids=(*user.supplementary_gids, EGRESS_USER.gid)),
        environment={
            **sandboxd.environment,
            "FLEET_EGRESS_SOCKET": f"{run.path}/{_SOCKET_NAME}",
            "FLEET_EGRESS_SOCKET_GID": str(EGRESS_USER.gid),
            "FLEET_EGRESS_PROXY_UID": str(EGRESS_USER.uid),
            "FLEET_EGRESS_FOLDER": f"{run.path}/{_FOLDER_NAME}",
            "FLEET_EGRESS_HOST_FOLDER": pulumi.Output.concat(run_on_host, "/", _FOLDER_NAME),
        },
    )


_HEALTH = HttpTarget(port="egress-metrics", path="/health")


def _whole(value: pulumi.Input[int]) -> pulumi.Output[int]:
    # One that has been through the engine comes back as a float.
    return pulumi.Output.from_input(value).apply(int)


def _bytes(mebibytes: pulumi.Input[int]) -> pulumi.Output[int]:
    def convert(number: int) -> int:
        return int(number) * _MEBIBYTE

    return pulumi.Output.from_input(mebibytes).apply(convert)


def _text(value: pulumi.Input[Any]) -> pulumi.Output[str]:
    return pulumi.Output.from_input(value).apply(str)
