"""The documents' steps: every image of a fleet passes them, and what is wrong with an image is told with the fix."""

import uuid
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from agent_image import SMALL_RUST_TOOL
from docker import DockerClient
from docker_objects import import_tiny_image
from family_samples import built_image, production, sample

from engine.image_family import agent_steps, matrix, pipeline_steps, steps
from engine.image_family.probe import WANTED_BYTES, Prober
from engine.scanning.exceptions import read_exceptions
from engine.scanning.scan import EXCEPTIONS, scan_images

RUST = ["agent-rust", "agent-rust-hardened", "agent-full", "agent-full-hardened"]
ALL = (*agent_steps.STEPS, *pipeline_steps.STEPS)


def test_the_lists_are_the_documents_own() -> None:
    """Prevents a step that is lost."""
    assert [step.number for step in agent_steps.STEPS] == [f"A8.{number}" for number in range(1, 9)]
    assert [step.number for step in pipeline_steps.STEPS] == [f"G3.{number}" for number in range(1, 13)]


# Redis passes them in test_family_artefacts.py, where it is made.
@pytest.mark.parametrize("name", ["runtime", "sandbox", "postgres"])
def test_an_image_passes_every_step_that_applies(daemon: DockerClient, built: dict[str, str], name: str) -> None:
    """Prevents an image that is built, deployed, and found broken by its users."""
    image = matrix.load().chosen([name])[0]
    results = steps.run(ALL, steps.Subject(Prober(daemon, image, built[name]), "any"))
    assert [each for each in results if each.failed] == []
    assert sum(each.outcome == "passed" for each in results) >= 12


@pytest.mark.timeout(1500)
@pytest.mark.parametrize("name", ["runtime", "postgres"])
def test_what_a_limit_refuses_is_had_without_it(daemon: DockerClient, built: dict[str, str], name: str) -> None:
    """A question that no container can answer would say of every limit that it holds."""
    prober = Prober(daemon, matrix.load().chosen([name])[0], built[name])
    assert WANTED_BYTES in prober.ask("memory", mem_limit="1g", memswap_limit="1g").output


def _passes(daemon: DockerClient, folder: Path, image: matrix.Image) -> None:
    with built_image(daemon, folder, image) as image_id:
        results = steps.run(ALL, steps.Subject(Prober(daemon, image, image_id), "any"))
        weighs = daemon.images.get(image_id).attrs["Size"]
        ((_, found, _),) = scan_images({image.name: image_id}, None)
    # On whatever day this runs: that exceptions end is the scan's own matter.
    accepted = read_exceptions(EXCEPTIONS, date.max)
    assert [each for each in results if each.failed] == []
    assert weighs <= image.megabytes * 1e6
    assert [each for each in found if not any(exception.covers(each) for exception in accepted)] == []


@pytest.mark.parametrize(
    "name", ["agent-python", "agent-python-hardened", "agent-node", "agent-node-hardened", "mcp-proxy"]
)
def test_an_agents_image_passes_every_step_that_applies(daemon: DockerClient, tmp_path: Path, name: str) -> None:
    """Prevents an agent that starts without its tools."""
    _passes(daemon, tmp_path, matrix.load().chosen([name])[0])


@pytest.mark.timeout(1500)
@pytest.mark.parametrize("name", RUST)
def test_an_agents_image_with_another_rust_tool_passes_every_step(
    daemon: DockerClient, tmp_path: Path, name: str
) -> None:
    """Prevents the same, and a Rust tool that is fixed where docs/images.md says that it can be chosen. The one that
    images.toml has takes longer to compile than all else together: the long test below."""
    image = matrix.load().chosen([name])[0]
    tool = matrix.Tool(command=["minijinja-cli", "--help"], says="Usage: minijinja-cli")
    other = {"build_args": {**image.build_args, **SMALL_RUST_TOOL}, "tools": {**image.tools, "rust": tool}}
    _passes(daemon, tmp_path, image.model_copy(update=other))


@pytest.mark.soak
@pytest.mark.timeout(5400)
@pytest.mark.parametrize("name", RUST)
def test_an_agents_image_with_the_rust_tool_passes_every_step(daemon: DockerClient, tmp_path: Path, name: str) -> None:
    """Prevents a Rust tool that is published and does not start."""
    _passes(daemon, tmp_path, matrix.load().chosen([name])[0])


@pytest.mark.parametrize("name", ["runtime", "sandbox", "postgres", "redis"])
def test_an_image_weighs_no_more_than_its_bar(daemon: DockerClient, built: dict[str, str], name: str) -> None:
    """Prevents an image that grows a little with every change."""
    image = matrix.load().chosen([name])[0]
    assert daemon.images.get(built[name]).attrs["Size"] <= image.megabytes * 1e6


@pytest.fixture(scope="module")
def faulty(daemon: DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A checkout whose image has no user, no tool, no health check and no workspace, and the base that it is from."""
    tag = f"family-faulty-{uuid.uuid4().hex[:10]}:1"
    import_tiny_image(tag)
    folder = tmp_path_factory.mktemp("faulty")
    (folder / "context").mkdir()
    (folder / "context" / "Dockerfile").write_text(f"FROM {tag}\nCOPY Dockerfile /Dockerfile\n")
    yield folder, tag
    daemon.images.remove(tag, force=True)


def test_every_planted_fault_is_found_with_its_fix(
    daemon: DockerClient, faulty: tuple[Path, str], tmp_path: Path
) -> None:
    """Prevents steps that pass whatever the image is."""
    image = sample(
        f"faulty-{uuid.uuid4().hex[:8]}",
        shell=False,
        workspace="/workspace",
        environment={"LANG": "C.UTF-8"},
        tools={
            "node": {"command": ["node", "--version"]},
            "tool": {"command": ["sh", "-c", "echo 1.0"], "says": "^2\\."},
            "git": {"command": ["sh", "-c", "exit 3"]},
        },
        no_health="",
        health={},
        megabytes=1,
    )
    folder, _ = faulty
    outcome = production(daemon, tmp_path, [image], checkout=folder).make(image)
    try:
        found = {each.number: each for each in outcome.results if each.failed}
        assert set(found) == {
            *("A8.2", "A8.3", "A8.5", "A8.6"),
            *("G3.4", "G3.5", "G3.6", "G3.7", "G3.8", "G3.10"),
        }
        assert all(each.found and each.fix for each in found.values())
        assert "has /bin/sh" in found["A8.2"].found
        assert "its user is root" in found["G3.4"].found.lower()
        assert "'1.0', which does not match" in found["G3.5"].found
        assert "no HEALTHCHECK" in found["G3.8"].found
        assert any("its bar is 1 MB" in error for error in outcome.errors)
        assert [each.outcome for each in outcome.results if each.number in ("A8.1", "A8.4", "A8.8", "G3.11")] == [
            "passed",
            "not applicable",
            "passed",
            "passed",
        ]
    finally:
        daemon.images.remove(f"{image.repository}:test", force=True)


def test_the_verification_leaves_nothing_behind(daemon: DockerClient, built: dict[str, str]) -> None:
    """Prevents containers and volumes that pile up with every run, whether the steps pass or not."""
    image = matrix.load().chosen(["sandbox"])[0].model_copy(update={"uid": 4711})
    prober = Prober(daemon, image, built["sandbox"])
    chosen = [step for step in ALL if step.number in ("A8.6", "A8.7")]
    assert [each.outcome for each in steps.run(chosen, steps.Subject(prober, "any"))] == ["failed", "passed"]
    assert daemon.containers.list(all=True, filters={"name": prober.prefix}) == []
    assert daemon.volumes.list(filters={"name": prober.prefix}) == []
