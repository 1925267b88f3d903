"""kill -9 of the engine while it works: the next run repairs everything and makes nothing twice."""

import random
from pathlib import Path

import pytest
from docker_objects import DockerObjects
from stack_program import StackProgram

from engine.stack_state import StackState

_ROUNDS = 5
_LONGEST_SECONDS = 3.5  # of a whole `pulumi up` of the program below on two cores


def program(objects: DockerObjects, image: str, setting: int) -> str:
    """A network, a volume, a secret and three containers, the last one after the others' health."""
    return f"""
        import pulumi, pulumi_docker as docker, pulumi_random as random

        prefix = {objects.prefix!r}
        labels = [{{"label": "agent-fleet.fleet", "value": prefix}}]
        password = random.RandomPassword("password", length=20)
        network = docker.Network("network", name=prefix + "-network", labels=labels)
        volume = docker.Volume("volume", name=prefix + "-volume", labels=labels)
        before = []
        for name in ("database", "api", "worker"):
            before = [docker.Container(
                name, name=prefix + "-" + name, image={image!r}, command=["sleep", "600"], labels=labels,
                envs=["SETTING={setting}", pulumi.Output.concat("PASSWORD=", password.result)],
                networks_advanced=[{{"name": network.name}}],
                volumes=[{{"volume_name": volume.name, "container_path": "/data"}}],
                healthcheck={{"tests": ["CMD", "/bin/true"], "interval": "200ms"}}, wait=True,
                opts=pulumi.ResourceOptions(depends_on=before, delete_before_replace=True),
            )]
    """


def _state_folder(stack: StackProgram) -> Path:
    return Path(stack.environment["PULUMI_BACKEND_URL"].removeprefix("file://"))


def test_attributes_that_a_kill_cut_off_are_all_that_keeps_the_engine_from_its_state(stack: StackProgram) -> None:
    """Prevents "failed to load checkpoint: EOF" for ever: the engine writes `.attrs` files in place."""
    folder = _state_folder(stack)
    for name in ("stacks/probe/test.json.attrs", "meta.yaml.attrs"):
        (folder / ".pulumi" / name).write_bytes(b"")
    assert "EOF" in stack.run("stack", "export").failed().text
    assert StackState(folder, "test").drop_torn_attributes() == 2
    assert "deployment" in stack.run("stack", "export").succeeded().text


@pytest.mark.timeout(200)
def test_killed_at_any_moment_the_next_run_converges(
    stack: StackProgram, docker_objects: DockerObjects, tiny_image: str
) -> None:
    """Prevents orphans, name conflicts and doubled containers after a crash; every round changes a setting."""
    seed = random.randrange(10**6)
    moments = random.Random(seed)
    prefix = docker_objects.prefix
    wanted = sorted(f"{prefix}-{name}" for name in ("network", "volume", "database", "api", "worker"))
    for setting in range(_ROUNDS):
        stack.write(program(docker_objects, tiny_image, setting))
        moment = moments.uniform(0.4, _LONGEST_SECONDS)
        stack.kill_up(moment)
        StackState(_state_folder(stack), "test").drop_torn_attributes()  # as `make up` does first
        context = f"seed {seed}, round {setting}, killed after {moment:.2f} s"
        stack.run("cancel", "--yes")
        outcome = stack.up()
        assert outcome.code == 0, f"{context}\n{outcome.text}"
        assert docker_objects.names() == wanted, context
        for container in docker_objects.containers():
            found = container.attrs
            assert f"SETTING={setting}" in found["Config"]["Env"], context
            assert found["State"]["Running"] is True, context
    assert stack.up().succeeded().changes == {"unchanged": 7}, f"seed {seed}"
    stack.destroy().succeeded()
    assert docker_objects.names() == []


def test_the_plugins_end_with_a_killed_engine(
    stack: StackProgram, docker_objects: DockerObjects, tiny_image: str
) -> None:
    """Prevents a plugin that goes on creating while the next run repairs. `kill_up` fails when one lives on."""
    stack.write(program(docker_objects, tiny_image, 0))
    stack.kill_up(1.5)
    assert stack.plugins() == []
