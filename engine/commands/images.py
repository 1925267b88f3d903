"""`make images`: the family of images built, described, signed and verified, and pushed where that is asked for."""

import functools
import os
import shutil
from collections.abc import Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path

from engine import docker_daemon
from engine.commands.session import Session
from engine.errors import UserFacingError
from engine.file_lock import held
from engine.image_family import matrix, pipeline_steps, record, signing_key, steps
from engine.image_family.build import check_sources, source
from engine.image_family.probe import Prober
from engine.image_family.production import Outcome, Production, layout_of
from engine.image_family.registry import Registry
from engine.image_family.request import Request, read_request
from engine.image_family.sbom import find_syft
from engine.image_family.table import table
from engine.images import ensure_base_image
from engine.paths import CHECKOUT
from engine.report import say


def images(session: Session, variables: Mapping[str, str]) -> None:
    """Make the images that `variables` ask for; raises UserFacingError when one of them must not be used."""
    request = read_request(variables, matrix.load())
    check_sources(request.images)
    find_syft()
    if request.push:
        Registry(request.registry).check()
    _check_space(request, record.FOLDER)
    docker_daemon.ensure_daemon(say, session.paths)
    tag = ensure_base_image(say)
    client = docker_daemon.connect(600)
    base = (tag, str(client.images.get(tag).id))
    busy = UserFacingError("Another `make images` is at work in this checkout.", "Wait for its end, or interrupt it.")
    with held(record.FOLDER / ".lock", busy=busy):
        production = Production(request, client, source(), base, say)
        outcomes = produce(production)
        say("\n" + table(outcomes))
        errors = [error for outcome in outcomes for error in outcome.errors]
        if errors:
            unpushed = " Nothing was pushed." if request.push else ""
            raise UserFacingError("\n".join(errors), f"These images must not be used.{unpushed}")
        if request.push:
            push(production, outcomes)
    say(_closing(request, outcomes))


def make_signing_key(path: str) -> None:
    """Write a new pair of keys; raises UserFacingError when `path` is empty or taken."""
    if not path:
        raise UserFacingError("KEY is not given: where the new private key goes.", "make images-key KEY=path")
    file = Path(path).expanduser()
    public = signing_key.make_key(file)
    say(f"The private key is {file} (keep it, and its password, out of the checkout), the public one {public}.")


def produce(production: Production) -> list[Outcome]:
    """Make the images side by side, no more at once than there are processors, in the order of the matrix.

    An interruption ends every build and removes every container before it goes on its way.
    """
    wanted = production.request.images
    count = min(os.cpu_count() or 1, len(wanted))
    with ThreadPoolExecutor(count, thread_name_prefix="image") as pool:
        running: list[Future[Outcome]] = [pool.submit(production.make, image) for image in wanted]
        try:
            left = set(running)
            while left:
                # With a limit, because a signal is only taken between two waits.
                _, left = wait(left, timeout=0.5, return_when=FIRST_COMPLETED)
        except BaseException:
            production.stop()
            pool.shutdown(wait=True, cancel_futures=True)
            raise
        return [each.result() for each in running]


def push(production: Production, outcomes: list[Outcome]) -> None:
    """Push images that all passed, with their signatures; raises UserFacingError for the first that does not arrive."""
    request = production.request
    registry = Registry(request.registry)
    step = [each for each in pipeline_steps.STEPS if each.number == "G3.12"]
    for outcome in outcomes:
        repository = "/".join(part for part in (registry.path, outcome.image.repository) if part)
        layout = layout_of(record.folder(outcome.image.name, production.root))
        kept = outcome.record
        assert kept is not None  # noqa: S101 - an image without a record has errors
        say(f"  {outcome.image.name:<22} pushing to {request.registry}")
        pushed = functools.partial(registry.push, repository, request.version, layout)
        subject = steps.Subject(Prober(production.client, outcome.image, kept.image_id), "", pushed=pushed)
        for result in steps.run(step, subject):
            if result.failed or result.found != kept.digest:
                raise UserFacingError(f"{outcome.image.name}: {result.found}", result.fix)
        say(f"  {outcome.image.name:<22} {registry.host}/{repository}@{kept.digest}")


def _check_space(request: Request, folder: Path) -> None:
    """Refuse before anything is built when what is written beside the images has no place."""
    largest = max(image.megabytes for image in request.images)
    # Docker's archive of an image and one unpacked layer, for each that is exported at a time; then all layers packed.
    needed = (min(os.cpu_count() or 1, len(request.images)) * 2 * largest) * 1_000_000
    needed += sum(image.compressed_megabytes for image in request.images) * 1_000_000
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise UserFacingError(
            f"{folder} has {free / 1e9:.1f} GB free, and these images need {needed / 1e9:.1f} GB there.",
            "Free space, or choose fewer images with ONLY=name,name.",
        )


def _closing(request: Request, outcomes: list[Outcome]) -> str:
    place = record.FOLDER.relative_to(CHECKOUT)
    lines = [f"\nSBOM, provenance and the image itself (an OCI layout) are in {place}/<name>/."]
    if request.key is None and any(outcome.record and not outcome.record.signed_by for outcome in outcomes):
        lines.append(
            "Not signed: KEY=path of a private key in cosign's format signs them (`make images-key` makes one)."
        )
    if not request.push:
        lines.append("Not pushed: PUSH=1 with REGISTRY=host/path does.")
    return "\n".join(lines)
