"""Redis as a `Workload`, for the doorbell: the same whatever renders it."""

import pulumi

from agent_fleet.workload import TEMPORARY_DIRECTORY, Port, Probe, Resources, ScratchMount, TcpTarget, User, Workload

ROLE_NAME = "fleet"
REDIS_USER = User(uid=998, gid=998)
REDIS_PORT = 6379
REDIS_MEMORY_MEBIBYTES = 64
"""It keeps nothing: 4 MiB while it waits, and up to 16 MiB of rings on their way."""


def redis_workload(
    name: str,
    *,
    image: pulumi.Input[str],
    resources: Resources,
    password: pulumi.Input[str],
    networks: tuple[pulumi.Input[str], ...] = (),
) -> Workload:
    """The image's own entrypoint lets in one user, who may publish and subscribe and nothing else."""
    return Workload(
        name=name,
        role="redis",
        image=image,
        command=(),
        user=REDIS_USER,
        resources=resources,
        probe=Probe(command=("redis-healthcheck",)),
        liveness=Probe(target=TcpTarget(port="redis")),
        stop_grace_seconds=10,
        environment={"REDIS_USER": ROLE_NAME},
        secret_environment={"REDIS_PASSWORD": password},
        ports=(Port(name="redis", number=REDIS_PORT),),
        mounts=(ScratchMount(path="/run/redis", size_mebibytes=1, owner=REDIS_USER), TEMPORARY_DIRECTORY),
        networks=networks,
    )


def redis_url(password: pulumi.Input[str], host: pulumi.Input[str]) -> pulumi.Output[str]:
    """The connection URL of the doorbell's user. A secret."""
    return pulumi.Output.secret(pulumi.Output.concat("redis://", ROLE_NAME, ":", password, "@", host, f":{REDIS_PORT}"))
