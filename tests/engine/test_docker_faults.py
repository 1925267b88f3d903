"""What the docker stand-in does when something goes wrong: it says what, and leaves nothing behind."""

import signal
import time

from docker_objects import DockerObjects
from stack_program import StackProgram, wait_until


def container(objects: DockerObjects, image: str, arguments: str) -> str:
    """A program with one container."""
    return f"""
        import pulumi_docker as docker
        docker.Container("container", name={objects.prefix + "-container"!r}, image={image!r}, {arguments})
    """


def test_a_container_that_never_gets_healthy_fails_with_its_log_and_is_removed(
    stack: StackProgram, docker_objects: DockerObjects, tiny_image: str
) -> None:
    """Prevents a time-out that says nothing, and a broken container that blocks the next run."""
    stack.write(
        container(
            docker_objects,
            tiny_image,
            'command=["sh", "-c", "echo the reason is here; exec sleep 600"], wait=True, wait_timeout=8,'
            'healthcheck={"tests": ["CMD", "sh", "-c", "echo not yet; false"], "interval": "200ms", "retries": 1}',
        )
    )
    outcome = stack.up().failed()
    assert "was not healthy within 8 s (waitTimeout)" in outcome.text
    assert "the reason is here" in outcome.text
    assert "not yet" in outcome.text
    assert docker_objects.names() == []

    stack.write(
        container(
            docker_objects,
            tiny_image,
            'command=["sleep", "600"], wait=True, wait_timeout=20,'
            'healthcheck={"tests": ["CMD", "/bin/true"], "interval": "200ms"}',
        )
    )
    assert stack.up().succeeded().changes == {"created": 1, "unchanged": 1}


def test_a_container_that_ends_while_it_is_waited_for_fails_at_once(
    stack: StackProgram, docker_objects: DockerObjects, tiny_image: str
) -> None:
    """Prevents a minute of waiting for a container that has crashed."""
    stack.write(
        container(
            docker_objects,
            tiny_image,
            'command=["sh", "-c", "echo cannot start; exit 7"], wait=True, wait_timeout=60,'
            'healthcheck={"tests": ["CMD", "/bin/true"], "interval": "5s"}',
        )
    )
    started = time.monotonic()
    outcome = stack.up().failed()
    assert "ended with exit code 7" in outcome.text
    assert "cannot start" in outcome.text
    assert time.monotonic() - started < 30
    assert docker_objects.names() == []


def test_a_container_that_keeps_ending_fails_before_the_time_out(
    stack: StackProgram, docker_objects: DockerObjects, tiny_image: str
) -> None:
    """Prevents two minutes of waiting for a container that Docker restarts in vain."""
    stack.write(
        container(
            docker_objects,
            tiny_image,
            'command=["sh", "-c", "echo in vain; exit 7"], wait=True, wait_timeout=100, restart="unless-stopped",'
            'healthcheck={"tests": ["CMD", "/bin/true"], "interval": "50s"}',
        )
    )
    outcome = stack.up().failed()
    assert "keeps ending (exit code 7" in outcome.text
    assert "in vain" in outcome.text
    assert docker_objects.names() == []


def test_a_port_in_use_is_named(stack: StackProgram, docker_objects: DockerObjects, tiny_image: str) -> None:
    """Prevents a bare daemon error for the commonest mistake."""
    taken = docker_objects.client.containers.run(
        tiny_image, ["sleep", "600"], name=f"{docker_objects.prefix}-first", detach=True, ports={"80/tcp": None}
    )
    published = docker_objects.inspect(str(taken.name))["NetworkSettings"]["Ports"]
    port = int(published["80/tcp"][0]["HostPort"])
    stack.write(
        container(
            docker_objects, tiny_image, f'command=["sleep", "600"], ports=[{{"internal": 80, "external": {port}}}]'
        )
    )
    outcome = stack.up().failed()
    assert f"host port {port} is in use by something else" in outcome.text
    assert docker_objects.names() == [f"{docker_objects.prefix}-first"]


def test_a_missing_image_is_named(stack: StackProgram, docker_objects: DockerObjects) -> None:
    """Prevents a hunt for which image is meant."""
    stack.write(container(docker_objects, "nobody/has-this:1", ""))
    assert "image: 'nobody/has-this:1' is not on this Docker host" in stack.up().failed().text


def test_a_foreign_container_of_the_same_name_is_left_alone(
    stack: StackProgram, docker_objects: DockerObjects, tiny_image: str
) -> None:
    """Prevents the removal of a container that somebody else runs."""
    name = f"{docker_objects.prefix}-container"
    foreign = docker_objects.client.containers.run(tiny_image, ["sleep", "600"], name=name, detach=True)
    arguments = 'command=["sleep", "600"], labels=[{"label": "agent-fleet.fleet", "value": "probe"}]'
    stack.write(container(docker_objects, tiny_image, arguments))
    outcome = stack.up().failed()
    assert "exists and was not made by this fleet" in outcome.text
    assert docker_objects.inspect(name)["Id"] == foreign.id


def test_a_container_left_by_an_interrupted_run_is_replaced(
    stack: StackProgram, docker_objects: DockerObjects, tiny_image: str
) -> None:
    """Prevents a name conflict after a kill between a container's creation and the engine's note of it."""
    name, labels = f"{docker_objects.prefix}-container", {"agent-fleet.fleet": "probe", "other": "label"}
    left = docker_objects.client.containers.create(tiny_image, ["sleep", "600"], name=name, labels=labels)
    arguments = 'command=["sleep", "600"], labels=[{"label": "agent-fleet.fleet", "value": "probe"}]'
    stack.write(container(docker_objects, tiny_image, arguments))
    stack.up().succeeded()
    assert docker_objects.inspect(name)["Id"] != left.id
    assert docker_objects.inspect(name)["State"]["Running"] is True


def test_a_cancelled_wait_ends_soon_and_leaves_nothing(
    stack: StackProgram, docker_objects: DockerObjects, tiny_image: str
) -> None:
    """Prevents Ctrl-C that hangs for the whole time-out."""
    stack.write(
        container(
            docker_objects,
            tiny_image,
            'command=["sleep", "600"], wait=True, wait_timeout=100,'
            'healthcheck={"tests": ["CMD", "/bin/false"], "interval": "1s", "retries": 100}',
        )
    )
    with stack.start("up", "--yes", "--skip-preview") as process:
        wait_until(lambda: bool(docker_objects.containers()), 90, "the container")
        cancelled = time.monotonic()
        process.send_signal(signal.SIGINT)
        text, _ = process.communicate(timeout=60)
    assert time.monotonic() - cancelled < 20, text
    assert process.returncode != 0
    assert "Cancelled while waiting for container" in text
    assert docker_objects.names() == []
