"""Images through a bundle: saved from Docker, checked, and loaded into a Docker that lacks them."""

import io
import tarfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from docker import DockerClient
from docker.errors import DockerException, ImageNotFound

from engine.bundle import images
from engine.bundle.archive import BundleError, unpack
from engine.bundle.install import open_bundle
from engine.bundle.writing import Staging
from engine.errors import UserFacingError


@pytest.fixture(scope="module")
def daemon() -> Iterator[DockerClient]:
    """The Docker daemon; without one these tests are skipped."""
    try:
        client = docker.from_env(timeout=60)
        client.ping()
    except DockerException as error:
        pytest.skip(f"needs a Docker daemon: {error}")
    yield client
    client.close()


@pytest.fixture
def tag(daemon: DockerClient) -> Iterator[str]:
    """A tag under which Docker has the images that every fleet needs, each of one small file."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    made: list[str] = []
    for image in images.NEEDED:
        content = io.BytesIO()
        with tarfile.open(fileobj=content, mode="w") as archive:
            member = tarfile.TarInfo("file")
            text = f"{image} {name}".encode()
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text))
        daemon.api.import_image_from_data(content.getvalue(), repository=f"agent-fleet/{image}", tag=name)
        made.append(str(daemon.images.get(f"agent-fleet/{image}:{name}").id))
    yield name
    for each in made:
        try:
            daemon.images.remove(each, force=True)
        except ImageNotFound:
            continue


def _quiet(line: str) -> None:
    """Nobody reads it."""


def _written(daemon: DockerClient, tag: str, folder: Path) -> tuple[Path, dict[str, str]]:
    found = images.find(daemon, images.NEEDED, tag)
    staging = Staging(folder / "work")
    images.add(daemon, staging, found, _quiet)
    target = folder / "bundle.tar"
    staging.write(target)
    return target, {image.name: image.id for image in found}


def test_images_come_out_of_a_bundle_as_they_went_in(
    daemon: DockerClient, tag: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prevents a fleet that looks for an image by an id which loading it did not give."""
    bundle, ids = _written(daemon, tag, tmp_path)
    assert daemon.images.get(ids["runtime"]).tags == [f"agent-fleet/runtime:{tag}"], "a name is left behind"
    for image_id in ids.values():
        daemon.images.remove(image_id, force=True)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    opened = open_bundle(bundle, _quiet)
    opened.load_images(daemon, _quiet)
    assert {name: str(daemon.images.get(image_id).id) for name, image_id in ids.items()} == ids
    assert {name: each["id"] for name, each in opened.images().items()} == ids
    said: list[str] = []
    opened.load_images(daemon, said.append)
    assert len(said) == 1, "what Docker has is loaded again"


def test_a_changed_image_is_refused_before_docker_gets_it(daemon: DockerClient, tag: str, tmp_path: Path) -> None:
    """Prevents an image of somebody else's in a fleet that was cut off from where it could be checked."""
    bundle, ids = _written(daemon, tag, tmp_path)
    for image_id in ids.values():
        daemon.images.remove(image_id, force=True)
    with tarfile.open(bundle) as archive:
        member = archive.getmember("images/sandbox.tar.gz")
    content = bytearray(bundle.read_bytes())
    content[member.offset_data + member.size // 2] ^= 1
    bundle.write_bytes(content)
    with pytest.raises(BundleError, match=r"images/sandbox\.tar\.gz was changed"):
        unpack(bundle, tmp_path / "cache", _quiet)
    for image_id in ids.values():
        with pytest.raises(ImageNotFound):
            daemon.images.get(image_id)


def test_an_image_that_is_not_there_is_named_with_the_command_that_builds_it(daemon: DockerClient) -> None:
    """Prevents a bundle without an image that every install needs."""
    with pytest.raises(UserFacingError, match="make images ONLY=runtime,sandbox,postgres VERSION=nowhere"):
        images.find(daemon, images.NEEDED, "nowhere")
