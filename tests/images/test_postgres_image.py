"""PostgreSQL's image: its first start, its restarts, and what it refuses."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from containers import Start, ended, logs, run_inside, state, wait_for
from docker import DockerClient
from docker.models.containers import Container

DATA = "/var/lib/postgresql/data"
SETTINGS = {"POSTGRES_DB": "fleet", "POSTGRES_USER": "fleet", "POSTGRES_PASSWORD": 'it\'s a \\ "secret"'}

StartDatabase = Callable[..., Container]


@pytest.fixture
def database(built: dict[str, str], start: Start, volume: str) -> StartDatabase:
    """Start PostgreSQL on the test's own volume, with a read-only root as the fleet does it."""

    def start_database(**settings: str | None) -> Container:
        environment = {name: value for name, value in {**SETTINGS, **settings}.items() if value is not None}
        return start(
            built["postgres"],
            environment=environment,
            volumes={volume: {"bind": DATA}},
            tmpfs={"/tmp": "", "/run/postgresql": ""},
        )

    return start_database


def _healthy(container: Container) -> bool:
    now = state(container)
    assert now["Running"], logs(container)
    return now.get("Health", {}).get("Status") == "healthy"


def _answers(container: Container) -> bool:
    assert state(container)["Running"], logs(container)
    return run_inside(container, "postgres-healthcheck")[0] == 0


def _query(container: Container, statement: str, password: str = SETTINGS["POSTGRES_PASSWORD"]) -> tuple[int, str]:
    command = ["psql", "-h", "127.0.0.1", "-U", "fleet", "-d", "fleet", "-XAtw", "-c", statement]
    return run_inside(container, *command, environment={"PGPASSWORD": password})


def test_it_becomes_healthy_with_a_read_only_root_and_no_capability(database: StartDatabase) -> None:
    """The fleet's posture must be the one that the image was tried with."""
    container = database()
    wait_for(lambda: _healthy(container), "Docker's own health check passes")
    assert _query(container, "SELECT current_user || current_database()") == (0, "fleetfleet")
    assert run_inside(container, "cat", "/proc/1/comm") == (0, "postgres")


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("data_checksums", "on"),
        ("fsync", "on"),
        ("full_page_writes", "on"),
        ("synchronous_commit", "on"),
        ("password_encryption", "scram-sha-256"),
        ("server_encoding", "UTF8"),
        ("shared_buffers", "64MB"),
        ("log_statement", "none"),
    ],
)
def test_the_configuration_file_is_in_force(shared_database: Container, setting: str, value: str) -> None:
    """A configuration that is not read leaves the defaults in force without a word."""
    assert _query(shared_database, f"SHOW {setting}") == (0, value)


@pytest.fixture(scope="module")
def shared_database(built: dict[str, str], daemon: DockerClient, run_name: str) -> Any:
    """One running database for tests that only look."""
    container = daemon.containers.run(
        built["postgres"],
        detach=True,
        name=f"{run_name}-shared-database",
        environment=SETTINGS,
        read_only=True,
        network_mode="none",
        tmpfs={"/tmp": "", "/run/postgresql": "", DATA: "uid=999,gid=999,mode=0700"},
    )
    try:
        wait_for(lambda: _answers(container), "the database answers")
        yield container
    finally:
        container.remove(force=True, v=True)


def test_a_wrong_password_and_no_password_are_refused(shared_database: Container) -> None:
    """A rule that trusts local addresses would give the jobs of every tenant to any container on the network."""
    assert _query(shared_database, "SELECT 1", password="wrong")[0] == 2
    command = ["psql", "-XAtw", "-d", "fleet", "-c", "SELECT 1"]
    for user, host in (("fleet", "127.0.0.1"), ("fleet", "/run/postgresql"), ("postgres", "127.0.0.1")):
        code, said = run_inside(shared_database, *command, "-U", user, "-h", host)
        assert code == 2, said


def test_the_fleets_role_is_not_the_superuser(shared_database: Container) -> None:
    """A superuser can run programs in the container, so an injection in a query would become a shell."""
    assert _query(shared_database, "SELECT rolsuper, rolcreaterole FROM pg_roles WHERE rolname = 'fleet'") == (0, "f|f")
    code, said = _query(shared_database, "COPY (SELECT 1) TO PROGRAM 'true'")
    assert code == 1, said


def test_the_password_is_not_in_the_servers_environment(shared_database: Container) -> None:
    """Whoever can read files as the database's user would read the password there."""
    code, environment = run_inside(shared_database, "cat", "/proc/1/environ")
    assert code == 0
    assert "PASSWORD" not in environment
    assert SETTINGS["POSTGRES_PASSWORD"] not in logs(shared_database)


def test_data_survives_a_kill_right_after_the_commit(database: StartDatabase) -> None:
    """An accepted job is a committed one, also when the power fails a moment later."""
    container = database()
    wait_for(lambda: _answers(container), "the database answers")
    assert _query(container, "CREATE TABLE kept AS SELECT generate_series(1, 1000) AS number")[0] == 0
    container.kill()
    container.start()
    wait_for(lambda: _answers(container), "the database answers again")
    assert _query(container, "SELECT count(*) FROM kept") == (0, "1000")


def test_a_stop_ends_it_at_once_and_cleanly(database: StartDatabase) -> None:
    """With the usual signal PostgreSQL waits for its clients, and is killed when the grace period ends."""
    container = database()
    wait_for(lambda: _answers(container), "the database answers")
    container.stop(timeout=30)
    assert state(container)["ExitCode"] == 0
    assert "database system is shut down" in logs(container)


@pytest.mark.parametrize("moment", [0.0, 0.1, 0.2, 0.3, 0.45])
def test_a_kill_while_the_cluster_is_made_leaves_nothing_in_the_way(database: StartDatabase, moment: float) -> None:
    """A half-made cluster that looks whole never starts again, and only deleting the volume would help."""
    first = database()
    wait_for(lambda: "making a new" in logs(first) or not state(first)["Running"], "the first start has begun")
    threading.Event().wait(moment)
    first.kill()
    second = database()
    wait_for(lambda: _answers(second), "the database answers")
    assert _query(second, "SELECT 1") == (0, "1")
    assert run_inside(second, "ls", "-A", DATA)[1].split() == [".lock", "15"]


def test_a_new_password_is_applied_at_the_next_start(database: StartDatabase) -> None:
    """A changed secret would otherwise lock the fleet out of its own data."""
    first = database()
    wait_for(lambda: _answers(first), "the database answers")
    first.remove(force=True)
    second = database(POSTGRES_PASSWORD="another one")
    wait_for(lambda: _answers(second), "the database answers")
    assert _query(second, "SELECT 1", password="another one") == (0, "1")
    assert _query(second, "SELECT 1")[0] == 2


def test_a_successor_waits_until_the_volume_is_free(database: StartDatabase) -> None:
    """Two servers on one volume destroy it, and PostgreSQL's own lock does not see another container."""
    first = database()
    wait_for(lambda: _answers(first), "the database answers")
    second = database()
    processes = ("sh", "-c", "cat /proc/[0-9]*/comm")
    wait_for(lambda: "flock" in run_inside(second, *processes)[1].split(), "it waits for the volume")
    assert run_inside(second, "postgres-healthcheck")[0] != 0
    first.stop(timeout=30)
    wait_for(lambda: _answers(second), "the successor answers")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"POSTGRES_PASSWORD": None}, "POSTGRES_PASSWORD is empty"),
        ({"POSTGRES_PASSWORD": "two\nlines"}, "line break"),
        ({"POSTGRES_USER": None}, "POSTGRES_USER is not set"),
        ({"POSTGRES_USER": "postgres"}, "choose another name"),
        ({"POSTGRES_USER": 'f"; DROP ROLE postgres'}, "allowed are lower-case letters"),
        ({"POSTGRES_DB": "template1"}, "choose another name"),
        ({"POSTGRES_DB": "Fleet"}, "allowed are lower-case letters"),
        ({"POSTGRES_DB": "f" * 64}, "at most 63"),
        ({"POSTGRES_PASSWORD_FILE": "/nowhere"}, "set one of them"),
        ({"POSTGRES_PASSWORD": None, "POSTGRES_PASSWORD_FILE": "/nowhere"}, "cannot be read"),
    ],
)
def test_a_wrong_setting_is_refused_in_one_line(
    database: StartDatabase, settings: dict[str, str | None], message: str
) -> None:
    """A container that restarts for ever with a stack trace tells nobody what to change."""
    code, said = ended(database(**settings))
    assert code == 1
    assert message in said
    assert len(said.strip().splitlines()) == 1


def test_other_names_on_an_existing_volume_are_refused(database: StartDatabase) -> None:
    """A second, empty database beside the first would look as if all jobs were lost."""
    first = database()
    wait_for(lambda: _answers(first), "the database answers")
    first.remove(force=True)
    code, said = ended(database(POSTGRES_DB="other"))
    assert code == 1
    assert "the volume was made for database and user 'fleet fleet'" in said


def test_data_of_another_major_version_is_refused(
    built: dict[str, str], database: StartDatabase, start: Start, volume: str
) -> None:
    """PostgreSQL cannot read another version's files, and a new cluster beside them would hide them."""
    ended(start(built["postgres"], ["-c", f"mkdir {DATA}/13"], entrypoint="sh", volumes={volume: {"bind": DATA}}))
    code, said = ended(database())
    assert code == 1
    assert "the volume holds data of PostgreSQL 13 and this image is PostgreSQL 15" in said


def test_it_does_not_run_as_root(built: dict[str, str], start: Start) -> None:
    """PostgreSQL refuses root as well, after files have been made that the right user cannot read."""
    code, said = ended(start(built["postgres"], environment=SETTINGS, user="0:0"))
    assert code == 1
    assert "refusing to run as root" in said
