"""One scan: images from Docker, the checkout's configuration, and what of it somebody has accepted."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

import docker
from docker.errors import DockerException, ImageNotFound

from engine.errors import UserFacingError
from engine.paths import CHECKOUT
from engine.scanning import files, secrets
from engine.scanning.exceptions import judged, read_exceptions
from engine.scanning.findings import Finding
from engine.scanning.image_layers import SavedImage, opened, temporary, visible
from engine.scanning.packages import Package, packages
from engine.scanning.vulnerabilities import Database, vulnerabilities

EXCEPTIONS = CHECKOUT / "images" / "scan-exceptions.toml"


def scanned_image(subject: str, image: SavedImage) -> tuple[list[Finding], set[Package]]:
    """Everything that is found in one image without a database, and its packages."""
    entries = list(image.layers())
    seen = visible(entries)
    found = [
        *secrets.in_files(subject, entries),
        *secrets.in_configuration(subject, image.configuration),
        *files.modes(subject, seen.values()),
        *files.caches(subject, entries),
    ]
    return sorted(set(found)), packages(seen)


def scan_images(references: dict[str, str], database: Database | None) -> Iterator[tuple[str, list[Finding], int]]:
    """Scan images of the Docker daemon one after another: name, findings, number of packages.

    `references` are Docker's names by ours. Raises UserFacingError for an image that is not there.
    """
    try:
        client = docker.from_env(timeout=600)
        client.ping()
    except DockerException as error:
        raise UserFacingError(f"Docker does not answer: {error}", "Start the daemon, then run this again.") from None
    with closing(client):
        for name, reference in references.items():
            try:
                saved = client.images.get(reference).save(chunk_size=1 << 20)
            except ImageNotFound:
                raise UserFacingError(
                    f"There is no image {reference} in Docker.",
                    "Build it with `make images`, or name others: IMAGE=reference,reference.",
                ) from None
            except DockerException as error:
                raise UserFacingError(
                    f"Docker does not give the image {reference}: {error}",
                    "Check that this Docker takes that name (docker image inspect), or name others: IMAGE=reference.",
                ) from None
            with temporary() as work:
                found, carried = scanned_image(name, opened(saved, work))
            if database is not None:
                found = sorted({*found, *vulnerabilities(name, carried, database)})
            yield name, found, len(carried)


def accepted(found: list[Finding], today: date, path: Path = EXCEPTIONS) -> tuple[list[Finding], list[str]]:
    """What is left of the findings when the exceptions have been taken off, and remarks on these."""
    return judged(found, read_exceptions(path, today), today)


def record(found: list[Finding], unjudged: bool) -> dict[str, Any]:
    """The scan for other programs."""
    return {"packages_judged": not unjudged, "findings": [asdict(each) for each in found]}
