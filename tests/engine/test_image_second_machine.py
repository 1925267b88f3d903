"""An image that `pulumi up` builds: the same on a second machine, and a preview touches nothing."""

import os
import shutil
from pathlib import Path

import pytest
from docker.errors import ImageNotFound
from docker_objects import DockerObjects
from stack_program import StackProgram

FILES = {"inner/data": "data\n", "program": "#!/bin/sh\necho runs\n"}


def checkout(folder: Path, base: str, mask: int, stamp: int) -> None:
    """A context as git leaves it on some machine: with that one's umask and clock."""
    before = os.umask(mask)
    try:
        (folder / "images" / "inner").mkdir(parents=True)
        (folder / "images" / "agent.Dockerfile").write_text(
            f"FROM {base} AS common\nARG TOOL=none\nCOPY . /context\n"
            'FROM common AS one\nRUN echo "one $TOOL" > /kind\nFROM common AS two\nRUN echo two > /kind\n'
        )
        for name, text in FILES.items():
            (folder / "images" / name).write_text(text)
        (folder / "images" / "program").chmod(0o777 & ~mask)
    finally:
        os.umask(before)
    for path in (folder / "images").rglob("*"):
        os.utime(path, (stamp, stamp))


def program(objects: DockerObjects, target: str = "one", tool: str = "none") -> str:
    """One image of a Dockerfile with several targets."""
    return f"""
        import pulumi
        from agent_fleet.image import AgentImage
        image = AgentImage("image", {{
            "repository": {objects.prefix!r} + "/image", "tag": "1", "context": "images",
            "dockerfile": "images/agent.Dockerfile", "target": {target!r}, "build_args": {{"TOOL": {tool!r}}},
        }})
        pulumi.export("reference", image.reference)
    """


def kind(objects: DockerObjects, image: str) -> str:
    """Which target, with which argument, the image was built from."""
    return objects.client.containers.run(image, ["cat", "/kind"], remove=True).decode().strip()


def test_another_checkout_on_another_machine_builds_nothing(
    stack: StackProgram, tiny_image: str, docker_objects: DockerObjects, tmp_path: Path
) -> None:
    """Prevents containers that are replaced because a colleague ran `up` from a checkout with another umask."""
    checkout(stack.folder, tiny_image, 0o022, 1_700_000_000)
    stack.write(program(docker_objects))
    stack.up().succeeded()
    reference = str(stack.outputs()["reference"])
    assert kind(docker_objects, reference) == "one none"

    folder = tmp_path / "elsewhere" / "program"
    folder.mkdir(parents=True)
    for file in ("Pulumi.yaml", "Pulumi.test.yaml", "__main__.py"):
        if (stack.folder / file).exists():
            shutil.copy(stack.folder / file, folder / file)
    checkout(folder, tiny_image, 0o077, 1_750_000_000)
    second = StackProgram(folder, stack.environment)
    assert second.preview().succeeded().changes == {"unchanged": 3}
    assert second.up().succeeded().changes == {"unchanged": 3}
    assert second.outputs()["reference"] == reference


def test_another_target_or_argument_is_built_and_only_by_up(
    stack: StackProgram, tiny_image: str, docker_objects: DockerObjects
) -> None:
    """Prevents an agent type that goes on in the image of another, and a preview that builds."""
    checkout(stack.folder, tiny_image, 0o022, 1_700_000_000)
    stack.write(program(docker_objects))
    assert stack.preview().succeeded().changes == {"to create": 3}
    with pytest.raises(ImageNotFound):
        docker_objects.client.images.get(f"{docker_objects.prefix}/image:1")
    stack.up().succeeded()
    reference = str(stack.outputs()["reference"])

    stack.write(program(docker_objects, "two"))
    assert stack.preview().succeeded().changes == {"to update": 1, "unchanged": 2}
    assert docker_objects.client.images.get(f"{docker_objects.prefix}/image:1").id == reference
    stack.up().succeeded()
    assert kind(docker_objects, str(stack.outputs()["reference"])) == "two"

    stack.write(program(docker_objects, "one", "saw"))
    stack.up().succeeded()
    assert kind(docker_objects, str(stack.outputs()["reference"])) == "one saw"
