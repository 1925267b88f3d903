"""PostgreSQL as a `Workload`: the same whatever renders it."""

import pulumi

from agent_fleet.workload import (
    TEMPORARY_DIRECTORY,
    Port,
    Probe,
    Resources,
    ScratchMount,
    TcpTarget,
    User,
    VolumeMount,
    Workload,
)

ROLE_NAME = "fleet"
DATABASE_NAME = "fleet"
POSTGRES_USER = User(uid=999, gid=999)
POSTGRES_PORT = 5432


def database_workload(
    name: str,
    *,
    image: pulumi.Input[str],
    resources: Resources,
    password: pulumi.Input[str],
    data_volume: pulumi.Input[str],
    networks: tuple[pulumi.Input[str], ...] = (),
) -> Workload:
    """The image's own entrypoint makes the database on an empty volume, and sets the password at every start."""
    return Workload(
        name=name,
        role="database",
        image=image,
        command=(),
        user=POSTGRES_USER,
        resources=resources,
        probe=Probe(command=("postgres-healthcheck",)),
        # While it recovers from a crash it answers no query but takes connections: a restart would begin that anew.
        liveness=Probe(target=TcpTarget(port="postgres")),
        # A fast shutdown ends the sessions and writes a checkpoint of up to max_wal_size.
        stop_grace_seconds=30,
        environment={"POSTGRES_USER": ROLE_NAME, "POSTGRES_DB": DATABASE_NAME},
        secret_environment={"POSTGRES_PASSWORD": password},
        ports=(Port(name="postgres", number=POSTGRES_PORT),),
        mounts=(
            VolumeMount(volume=data_volume, path="/var/lib/postgresql/data"),
            ScratchMount(path="/run/postgresql", size_mebibytes=1, owner=POSTGRES_USER),
            TEMPORARY_DIRECTORY,
        ),
        networks=networks,
    )


def database_url(password: pulumi.Input[str], host: pulumi.Input[str]) -> pulumi.Output[str]:
    """The connection URL of the fleet's role. A secret."""
    return pulumi.Output.secret(
        pulumi.Output.concat("postgresql://", ROLE_NAME, ":", password, "@", host, f":{POSTGRES_PORT}/", DATABASE_NAME)
    )
