"""An image that somebody makes from an agent's, as docs/images.md shows it."""

import re
from collections.abc import Iterator

import pytest
from agent_image import build_agent_image
from docker import DockerClient
from image_builds import CHECKOUT, build

from engine.scanning.scan import scan_images
from images.base.ensure import ensure_base

pytestmark = pytest.mark.timeout(1500)
_EXAMPLE = re.compile(r"```dockerfile\n(FROM agent-fleet/agent-python:dev\n.*?)```", re.DOTALL)


@pytest.fixture(scope="module")
def extended(daemon: DockerClient, run_name: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The example, with one more package: one that asks its questions by debconf while it is installed."""
    ensure_base(lambda _: None)
    agent, tag = f"{run_name}/extended-from:1", f"{run_name}/extended:1"
    example = _EXAMPLE.findall((CHECKOUT / "docs" / "images.md").read_text())[0]
    text = example.replace("agent-fleet/agent-python:dev", agent).replace(" shellcheck ", " shellcheck locales ")
    assert text.count(agent) == text.count(" locales ") == 1
    folder = tmp_path_factory.mktemp("extended")
    (folder / "Dockerfile").write_text(text)
    build_agent_image("python", agent)
    try:
        build(folder, tag)
        yield tag
    finally:
        for name in (tag, agent):
            if daemon.images.list(name):
                daemon.images.remove(name, force=True)


def test_what_is_added_runs_under_the_images_own_user(daemon: DockerClient, extended: str) -> None:
    """Prevents an image in which Debian's packages are known and cannot be installed."""
    said = daemon.containers.run(
        extended, ["shellcheck", "--version"], remove=True, read_only=True, tmpfs={"/workspace": ""}
    )
    assert b"ShellCheck" in said


def test_the_scan_has_nothing_to_say_of_it(extended: str) -> None:
    """Prevents an example whose result our own scan refuses."""
    ((_, found, _),) = scan_images({extended: extended}, None)
    assert found == []
