"""What a registry has of an image by digest: the image, and signatures and attestations that a key vouches for."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from engine.errors import UserFacingError
from engine.image_family.oci_layout import IMAGE_KIND, MANIFEST, Layout
from engine.image_family.registry import Registry
from engine.image_family.signatures import ATTESTATIONS, SIGNATURES, TAG_ENDINGS, readable, verify

SBOMS = ("https://spdx.dev/Document", "https://cyclonedx.org/bom")
PROVENANCE = "https://slsa.dev/provenance/"


@dataclass(frozen=True)
class Reference:
    """An image by digest, taken apart."""

    host: str
    repository: str
    digest: str


def reference(text: str) -> Reference:
    """Take `host/name@sha256:…` apart; raises UserFacingError for anything else."""
    name, _, digest = text.partition("@")
    host, _, repository = name.partition("/")
    if not repository or not digest.startswith("sha256:") or not ("." in host or ":" in host or host == "localhost"):
        raise UserFacingError(
            f"{text!r} names no image by digest in a registry.", "Promoted is what looks like host/name@sha256:…."
        )
    return Reference(host, repository, digest)


def check_published(text: str, public_pem: str) -> None:
    """Check that the image is there, signed by the key, and that the key vouches for its SBOM and its provenance.

    Raises UserFacingError for the first that is not so.
    """
    image = reference(text)
    registry = Registry(image.host)
    with TemporaryDirectory(prefix="agent-fleet-promote-") as folder, readable(text):
        layout = Layout(Path(folder))
        layout.begin()
        index = [_fetched(registry, image, image.digest, IMAGE_KIND, layout)]
        for kind, ending in ((SIGNATURES, TAG_ENDINGS[SIGNATURES]), (ATTESTATIONS, TAG_ENDINGS[ATTESTATIONS])):
            descriptor = _fetched(registry, image, f"{image.digest.replace(':', '-')}.{ending}", kind, layout)
            index.append(descriptor)
            for each in json.loads(layout.blob(str(descriptor["digest"])).read_bytes())["layers"]:
                blob = registry.content(image.repository, f"blobs/{each['digest']}")
                if blob is None or layout.put(blob)["digest"] != each["digest"]:
                    raise UserFacingError(f"{text}: its {ending} is damaged in the registry.", "Push the image again.")
        (layout.folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": index}))
        told = [str(each["predicateType"]) for each in verify(layout, public_pem)]
    if not any(each in SBOMS for each in told):
        raise UserFacingError(f"{text} has no signed SBOM.", "Publish it by `make images PUSH=1 KEY=path`.")
    if not any(each.startswith(PROVENANCE) for each in told):
        raise UserFacingError(f"{text} has no signed provenance.", "Publish it by `make images PUSH=1 KEY=path`.")


def _fetched(registry: Registry, image: Reference, name: str, kind: str, layout: Layout) -> dict[str, object]:
    content = registry.content(image.repository, f"manifests/{name}")
    if content is None:
        what = "the image" if kind == IMAGE_KIND else f"its {TAG_ENDINGS[kind]}"
        raise UserFacingError(
            f"{image.host}/{image.repository}@{image.digest}: {what} is not in the registry.",
            "Push it, signed: `make images PUSH=1 KEY=path`.",
        )
    if kind == IMAGE_KIND and f"sha256:{hashlib.sha256(content).hexdigest()}" != image.digest:
        raise UserFacingError(f"{image.host} gives something else for {image.digest}.", "Do not use this registry.")
    return {"mediaType": MANIFEST, **layout.put(content), "annotations": {"kind": kind}}
