"""Makes one image from its sources to its signature, and everything beside it under `dist/images/<name>/`."""

import json
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from docker import DockerClient

from engine.errors import UserFacingError
from engine.image_family import agent_steps, pipeline_steps, record, sbom, signatures, steps
from engine.image_family.build import Built, Source, build
from engine.image_family.matrix import Image
from engine.image_family.oci_layout import IMAGE_KIND, Exported, Layout, export
from engine.image_family.probe import Prober
from engine.image_family.provenance import provenance
from engine.image_family.record import Record, Verified
from engine.image_family.request import Request
from engine.paths import CHECKOUT
from engine.report import Report
from engine.standins.build_run import BuildRunner

LAYOUT, SBOM, PROVENANCE = "oci", "sbom.spdx.json", "provenance.json"
_PUBLIC_KEY = "cosign.pub"
STEPS = (*agent_steps.STEPS, *(step for step in pipeline_steps.STEPS if step.number != "G3.12"))
"""All but the push, which comes when every image has passed."""


class StoppedError(Exception):
    """The user interrupted the command."""


@dataclass(frozen=True)
class Outcome:
    """An image that was made, or what hindered it."""

    image: Image
    record: Record | None = None
    changed: list[str] = field(default_factory=list[str])
    """What this run made anew."""
    results: list[steps.Result] = field(default_factory=list[steps.Result])
    errors: list[str] = field(default_factory=list[str])
    """Why the image must not be used; with the fix."""


@dataclass
class Production:
    """One run over all images; its methods are called from several threads."""

    request: Request
    client: DockerClient
    source: Source
    base: tuple[str, str]
    """The base image's tag and ID."""
    report: Report
    root: Path = record.FOLDER
    """Where everything is written."""
    checkout: Path = CHECKOUT
    runner: BuildRunner = field(default_factory=BuildRunner)

    def __post_init__(self) -> None:
        """Nobody has interrupted yet."""
        self._stopped = threading.Event()
        self._docker_version = str(self.client.version().get("Version", ""))

    def stop(self) -> None:
        """End every program and container that is under way, and let nothing begin."""
        self._stopped.set()
        self.runner.stop()

    def going_on(self) -> None:
        """Raise StoppedError once the user has interrupted."""
        if self._stopped.is_set():
            raise StoppedError

    def make(self, image: Image) -> Outcome:
        """Build, export, describe, sign and verify an image. Errors are in the outcome; StoppedError is raised."""
        self.going_on()
        try:
            return self._made(image)
        except UserFacingError as error:
            self.going_on()
            return Outcome(image, errors=[str(error)])

    def _made(self, image: Image) -> Outcome:
        self.report(f"  {image.name:<22} building")
        built = build(image, self.request, self.runner, self.report, self.checkout)
        folder = record.folder(image.name, self.root)
        kept = record.read(folder)
        changed: list[str] = []
        if kept is None or not self._holds(kept, image, built, folder):
            kept = self._described(image, built, folder)
            changed.append("built")
        key = self.request.key
        if key is not None and kept.signed_by != key.fingerprint:
            self._sign(image, kept, folder)
            kept = kept.model_copy(update={"signed_by": key.fingerprint})
            changed.append("signed")
        self.going_on()
        self.report(f"  {image.name:<22} verifying")
        prober = Prober(self.client, image, kept.image_id)
        subject = steps.Subject(prober, self._docker_version, self.checkout)
        results = steps.run(STEPS, subject, self.going_on)
        verified = [Verified(step=each.number, outcome=each.outcome, found=each.found) for each in results]
        kept = kept.model_copy(update={"verified": verified})
        record.write(folder, kept)
        failed = [
            f"{image.name}: {each.number} {each.name}: {each.found}\n  {each.fix}" for each in results if each.failed
        ]
        return Outcome(image, kept, changed, results, failed + too_heavy(image, kept))

    def _holds(self, kept: Record, image: Image, built: Built, folder: Path) -> bool:
        same = (kept.image_id, kept.repository, kept.version, kept.context_hash) == (
            built.image_id,
            self.request.repository(image),
            self.request.version,
            built.context_hash,
        )
        return same and all((folder / name).exists() for name in (LAYOUT, SBOM, PROVENANCE))

    def _described(self, image: Image, built: Built, folder: Path) -> Record:
        """Export the image, and write its SBOM and provenance beside it."""
        self.going_on()
        self.report(f"  {image.name:<22} exporting and hashing")
        folder.mkdir(parents=True, exist_ok=True)
        for old in ("record.json", _PUBLIC_KEY):
            (folder / old).unlink(missing_ok=True)
        found = self.client.images.get(built.image_id)
        exported = export(found.save(chunk_size=1 << 20), folder / LAYOUT, self.going_on)
        repository = self.request.repository(image)
        self.report(f"  {image.name:<22} listing what it is made of")
        sbom.write_sbom(repository, folder / LAYOUT, folder / SBOM, self.runner)
        statement = provenance(
            image,
            self.request.version,
            repository,
            built,
            exported,
            self.source,
            self.base,
            self._docker_version,
            self.checkout,
        )
        (folder / PROVENANCE).write_text(json.dumps(statement, indent=1) + "\n")
        return Record(
            repository=repository,
            version=self.request.version,
            image_id=built.image_id,
            digest=exported.digest,
            config=exported.config,
            context_hash=built.context_hash,
            file_tree=exported.file_tree,
            bytes=int(found.attrs["Size"]),
            compressed_bytes=exported.compressed_bytes,
            layers=exported.layers,
            seconds=round((built.ended - built.started).total_seconds(), 1),
            commit=self.source.commit,
        )

    def _sign(self, image: Image, kept: Record, folder: Path) -> None:
        key = self.request.key
        assert key is not None  # noqa: S101 - the caller asked
        layout = Layout(folder / LAYOUT)
        exported = Exported(kept.digest, kept.config, kept.compressed_bytes, kept.layers, kept.file_tree)
        statement: dict[str, Any] = json.loads((folder / PROVENANCE).read_text())
        document: dict[str, Any] = json.loads((folder / SBOM).read_text())
        statements = [statement, sbom.statement(document, kept.repository, exported)]
        signatures.sign(layout, kept.repository, statements, key)
        signatures.verify(layout, key.public_pem)
        (folder / _PUBLIC_KEY).write_text(key.public_pem)
        self.report(f"  {image.name:<22} signed")


def too_heavy(image: Image, kept: Record) -> list[str]:
    """What of the image is over its bar, with the fix."""
    bars = (
        ("", kept.bytes, image.megabytes, "megabytes"),
        (" compressed", kept.compressed_bytes, image.compressed_megabytes, "compressed_megabytes"),
    )
    return [
        f"{image.name}: it weighs {weighs / 1e6:.1f} MB{what}, and its bar is {bar} MB.\n"
        f"  Take something out of it; `docker history` shows what each layer weighs. The bar is `{key}` in images.toml."
        for what, weighs, bar, key in bars
        if weighs > bar * 1e6
    ]


def layout_of(folder: Path) -> Layout:
    """The layout in an image's folder; raises UserFacingError when there is none."""
    layout = Layout(folder / LAYOUT)
    if not (layout.folder / "index.json").exists() or layout.manifest(IMAGE_KIND) is None:
        raise UserFacingError(f"There is no image in {layout.folder}.", "Build it: `make images`.")
    return layout
