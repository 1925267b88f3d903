"""The docker-build stand-in on the real engine: builds when something changed, and only then."""

from pathlib import Path

import pytest
from docker.errors import ImageNotFound
from docker_objects import DockerObjects
from stack_program import StackProgram


@pytest.fixture
def context(stack: StackProgram, tiny_image: str) -> Path:
    """A build context with an ignore file."""
    folder = stack.folder / "context"
    folder.mkdir()
    (folder / "Dockerfile").write_text(
        f"FROM {tiny_image}\nARG WORD\nCOPY . /context\n"
        'RUN cat /context/content; if grep -q broken /context/content; then echo "see what is wrong"; exit 9; fi\n'
        'RUN echo "$WORD" > /word\n'
    )
    (folder / "content").write_text("first\n")
    (folder / ".dockerignore").write_text("ignored\n*.log\n")
    (folder / "ignored").write_text("1")
    return folder


def program(objects: DockerObjects, word: str = "one", extra: str = "") -> str:
    """A program that builds the context and runs it."""
    return f"""
        import pulumi, pulumi_docker as docker, pulumi_docker_build as docker_build
        image = docker_build.Image(
            "image", push=False, context={{"location": "context"}}, exports=[{{"docker": {{}}}}], {extra}
            tags=[{objects.prefix!r} + "/image:1"], build_args={{"WORD": {word!r}}}, labels={{"kind": "probe"}},
        )
        container = docker.Container(
            "container", name={objects.prefix!r} + "-container", image=image.digest, command=["sleep", "600"],
            opts=pulumi.ResourceOptions(delete_before_replace=True),
        )
        pulumi.export("digest", image.digest)
        pulumi.export("ref", image.ref)
    """


def test_an_image_is_built_once_and_again_when_its_context_changes(
    stack: StackProgram, context: Path, docker_objects: DockerObjects
) -> None:
    """Prevents rebuilds of the unchanged, stale images, and builds during a preview."""
    tag = f"{docker_objects.prefix}/image:1"
    stack.write(program(docker_objects))
    assert stack.preview().succeeded().changes == {"to create": 3}
    with pytest.raises(ImageNotFound):
        docker_objects.client.images.get(tag)

    stack.up().succeeded()
    outputs = stack.outputs()
    assert outputs["digest"] == docker_objects.client.images.get(tag).id
    assert outputs["ref"] == tag
    assert docker_objects.inspect(f"{docker_objects.prefix}-container")["Image"] == outputs["digest"]

    (context / "ignored").write_text("2")
    (context / "debug.log").write_text("noise")
    (context / "content").touch()
    (context / "content").chmod(0o664)
    assert stack.up().succeeded().changes == {"unchanged": 3}

    (context / "content").write_text("second\n")
    assert stack.preview().succeeded().changes == {"to update": 1, "to replace": 1, "unchanged": 1}
    assert docker_objects.client.images.get(tag).id == outputs["digest"]
    assert stack.up().succeeded().changes == {"updated": 1, "replaced": 1, "unchanged": 1}
    assert stack.outputs()["digest"] != outputs["digest"]

    stack.write(program(docker_objects, word="two"))
    assert stack.up().succeeded().changes["updated"] == 1


def test_a_failing_step_is_shown_with_its_last_lines(
    stack: StackProgram, context: Path, docker_objects: DockerObjects
) -> None:
    """Prevents a stack trace, or a bare exit code, where the build's own words are needed."""
    (context / "content").write_text("broken\n")
    stack.write(program(docker_objects))
    text = stack.up().failed().text
    assert "The build failed at" in text
    assert "see what is wrong" in text
    assert "exit code: 9" in text
    assert "Traceback" not in text


def test_an_image_removed_by_hand_is_built_again(
    stack: StackProgram, context: Path, docker_objects: DockerObjects
) -> None:
    """Prevents a stack that cannot come up after `docker image prune`."""
    stack.write(program(docker_objects))
    stack.up().succeeded()
    docker_objects.client.containers.get(f"{docker_objects.prefix}-container").remove(force=True)
    docker_objects.client.images.remove(f"{docker_objects.prefix}/image:1", force=True)
    assert stack.refresh().succeeded().changes == {"deleted": 2, "unchanged": 1}
    assert stack.up().succeeded().changes == {"created": 2, "unchanged": 1}


def test_what_is_not_served_is_refused(stack: StackProgram, context: Path, docker_objects: DockerObjects) -> None:
    """Prevents an option that is silently ignored."""
    stack.write(program(docker_objects, extra='ssh=[{"id": "default"}],'))
    assert "ssh: is not served by the docker-build stand-in" in stack.up().failed().text


def test_a_missing_context_is_named_before_anything_is_built(
    stack: StackProgram, docker_objects: DockerObjects
) -> None:
    """Prevents a failure halfway through an update."""
    stack.write(program(docker_objects))
    text = stack.preview().failed().text
    assert "context.location" in text
    assert "must be a folder or a URL" in text
