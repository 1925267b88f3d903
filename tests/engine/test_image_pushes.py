"""Images that go to a registry: pushed once, known by what the registry answered."""

import json
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from docker_objects import DockerObjects
from local_processes import ready, start, stop
from stack_program import StackProgram

from tests.runtime.free_ports import free_port

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


class Registry:
    """A registry on this machine."""

    def __init__(self, address: str) -> None:
        """`address` is host and port."""
        self.address = address

    def answers(self) -> bool:
        """Whether it serves."""
        try:
            with urllib.request.urlopen(f"http://{self.address}/v2/", timeout=2) as answer:
                return answer.status == 200
        except OSError:
            return False

    def digest(self, repository: str, reference: str) -> str | None:
        """The digest of what a tag or digest names; None when the registry has nothing of it."""
        request = urllib.request.Request(
            f"http://{self.address}/v2/{repository}/manifests/{reference}", headers={"Accept": MANIFEST}, method="HEAD"
        )
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                return str(answer.headers["Docker-Content-Digest"])
        except urllib.error.HTTPError:
            return None

    def delete(self, repository: str, digest: str) -> None:
        """Forget an image."""
        url = f"http://{self.address}/v2/{repository}/manifests/{digest}"
        urllib.request.urlopen(urllib.request.Request(url, method="DELETE"), timeout=5).close()


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory, install_packages: Callable[[], None]) -> Iterator[Registry]:
    """Debian's docker-registry."""
    install_packages()
    program = shutil.which("docker-registry")
    assert program is not None
    folder = tmp_path_factory.mktemp("registry")
    address = f"127.0.0.1:{free_port()}"
    configuration = {
        "version": 0.1,
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}, "delete": {"enabled": True}},
        "http": {"addr": address},
    }
    (folder / "registry.yml").write_text(json.dumps(configuration))
    process = start([program, "serve", "registry.yml"], folder)
    try:
        found = Registry(address)
        ready(process, found.answers, 20, "the registry")
        yield found
    finally:
        stop(process)


@pytest.fixture
def context(stack: StackProgram, tiny_image: str) -> Path:
    """A build context."""
    folder = stack.folder / "context"
    folder.mkdir()
    (folder / "Dockerfile").write_text(f"FROM {tiny_image}\nCOPY content /content\n")
    (folder / "content").write_text("first\n")
    return folder


def program(registry: Registry, objects: DockerObjects) -> str:
    """A program with the component that builds and pushes."""
    return f"""
        import pulumi
        from agent_fleet.image import AgentImage
        image = AgentImage("image", {{
            "repository": {objects.prefix!r} + "/image", "tag": "1", "context": "context",
            "registry": {registry.address!r},
        }})
        pulumi.export("reference", image.reference)
    """


def test_an_image_is_pushed_once_and_known_by_its_digest(
    stack: StackProgram, context: Path, registry: Registry, docker_objects: DockerObjects
) -> None:
    """Prevents pods from a moving tag, a push in a preview, and a push on every run."""
    stack.write(program(registry, docker_objects))
    repository = f"{docker_objects.prefix}/image"
    stack.preview().succeeded()
    assert registry.digest(repository, "1") is None

    stack.up().succeeded()
    first = registry.digest(repository, "1")
    assert stack.outputs()["reference"] == f"{registry.address}/{repository}@{first}"
    assert stack.up().succeeded().changes == {"unchanged": 3}

    (context / "content").write_text("second\n")
    assert stack.preview().succeeded().changes == {"to update": 1, "unchanged": 2}
    assert registry.digest(repository, "1") == first
    stack.up().succeeded()
    assert registry.digest(repository, "1") != first
    assert stack.outputs()["reference"].endswith(str(registry.digest(repository, "1")))
    docker_objects.client.images.remove(f"{registry.address}/{repository}:1", force=True)
    assert stack.up().succeeded().changes == {"unchanged": 3}


def test_an_image_that_the_registry_lost_is_pushed_again(
    stack: StackProgram, context: Path, registry: Registry, docker_objects: DockerObjects
) -> None:
    """Prevents pods that wait for ever for an image that was cleaned away."""
    stack.write(program(registry, docker_objects))
    stack.up().succeeded()
    repository = f"{docker_objects.prefix}/image"
    digest = registry.digest(repository, "1")
    assert digest is not None
    registry.delete(repository, digest)
    assert stack.preview().succeeded().changes == {"to update": 1, "unchanged": 2}
    stack.up().succeeded()
    assert registry.digest(repository, "1") == digest
    docker_objects.client.images.remove(f"{registry.address}/{repository}:1", force=True)


def test_a_registry_that_does_not_answer_is_named(
    stack: StackProgram, context: Path, docker_objects: DockerObjects
) -> None:
    """Prevents a stack trace, or a success, where an image went nowhere."""
    nobody = Registry(f"127.0.0.1:{free_port()}")
    stack.write(program(nobody, docker_objects))
    text = stack.up().failed().text
    assert f"tags: {nobody.address}/{docker_objects.prefix}/image:1 could not be pushed" in text
    assert "connection refused" in text
    subprocess.run(["docker", "rmi", "-f", f"{nobody.address}/{docker_objects.prefix}/image:1"], check=False)
