"""How long an image takes to be built anew after a source edit, and what an agent's health check takes."""

import secrets
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import docker
from docker.errors import ImageNotFound

from benchmarks.figures import Figure
from engine.image_family.build import build
from engine.image_family.matrix import Image, load
from engine.image_family.probe import Prober
from engine.image_family.request import Request
from engine.paths import CHECKOUT
from engine.standins.build_run import BuildRunner

_EDITS = 5
_CHECKS = 15
_PAUSE_SECONDS = 1.0
REBUILD_BAR_SECONDS = 3
CHECK_BAR_MILLISECONDS = 100


def image_times(rebuilt: list[str]) -> Iterator[Figure]:
    """Measure both on images of this run's own, which are gone afterwards; `rebuilt` names the runtime or agents."""
    version = f"bench-{secrets.token_hex(4)}"
    agent = load().chosen(["agent-python"])[0]
    images = [*load().chosen(rebuilt), agent]
    request = Request(images, "", version, push=False, no_cache=False, key=None)
    client = docker.from_env()
    there = _every_image(client)
    made: list[str] = []
    try:
        for image in images[:-1]:
            yield _rebuilt(request, image, made)
        made.append(_built(agent, request))
        yield _checked(client, agent, made[-1])
    finally:
        for image in images:
            _remove(client, f"{image.repository}:{version}", force=True)
        # Each took the name from the one before it; one with another name is somebody else's too.
        for each in set(made) - there:
            _remove(client, each, force=False)
        client.close()


def _every_image(client: docker.DockerClient) -> set[str]:
    """The IDs of all images, those without a name included."""
    return set(client.api.images(quiet=True))


def _remove(client: docker.DockerClient, name: str, *, force: bool) -> None:
    """Remove an image by its name, or one by its ID if it has no name left."""
    try:
        if force or not client.images.get(name).tags:
            client.images.remove(name, force=force)
    except ImageNotFound:
        return


def _built(image: Image, request: Request, root: Path = CHECKOUT) -> str:
    """Build an image and return its ID. An interruption ends the build first, so that none is made after the end."""
    runner = BuildRunner()
    with ThreadPoolExecutor(1) as pool:
        try:
            return pool.submit(build, image, request, runner, _say, root).result().image_id
        except BaseException:
            runner.stop()
            raise


def _rebuilt(request: Request, image: Image, every: list[str]) -> Figure:
    """Edit one line of a copy of the sources, and build; the edits are new each time. `every` gets the images' IDs."""
    took: list[float] = []
    first = len(every)
    every.append(_built(image, request))
    source = "images/runtime/fleet_runtime/__main__.py" if image.name == "runtime" else "images/agent/program/start.py"
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        shutil.copytree(CHECKOUT / "images", root / "images")
        edited = root / source
        for _ in range(_EDITS):
            with edited.open("a", encoding="utf-8") as file:
                file.write(f"# {secrets.token_hex(8)}\n")
            began = time.perf_counter()
            every.append(_built(image, request, root))
            took.append(time.perf_counter() - began)
    made = every[first:]
    if len(set(made)) < len(made):
        raise SystemExit(f"{image.name}: an edit of its sources made no other image")
    return Figure(
        f"{image.name} image built anew after a source edit, median",
        statistics.median(took),
        "s",
        f"one line of {source}, then what make images does to build it",
        bar=REBUILD_BAR_SECONDS,
        samples=_EDITS,
    )


def _checked(client: docker.DockerClient, image: Image, image_id: str) -> Figure:
    """The image's own check, as Docker starts it in a container with a workspace; Docker's part of it included."""
    assert image.health is not None
    prober = Prober(client, image, image_id)
    check: list[str] = client.images.get(image_id).attrs["Config"]["Healthcheck"]["Test"]
    tmpfs = {"/tmp": "", **image.health.tmpfs}
    took: list[float] = []
    with (
        prober.volume() as volume,
        prober.started(
            image.health.command or None,
            volumes={volume: {"bind": image.workspace, "mode": "rw"}},
            environment=image.health.environment,
            tmpfs=tmpfs,
        ) as container,
    ):
        for number in range(_CHECKS + 1):
            time.sleep(_PAUSE_SECONDS)
            began = time.perf_counter()
            code, said = container.exec_run(check[1:])
            if code != 0:
                raise SystemExit(f"{image.name}: its health check says {said!r}")
            # The first finds nothing in the cache.
            if number:
                took.append(1_000 * (time.perf_counter() - began))
    return Figure(
        f"health check of {image.name}, Docker's own part included, median",
        statistics.median(took),
        "ms",
        "docker exec of the image's HEALTHCHECK, a second apart",
        bar=CHECK_BAR_MILLISECONDS,
        samples=_CHECKS,
    )


def _say(line: str) -> None:
    """Say nothing: a bench prints its figures."""
    del line
