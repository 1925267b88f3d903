"""What a bundle has about an image: the files that `make images` wrote beside it, and its signatures.

Signatures and attestations stand in the image's OCI layout. The bundle has that without the image's own layers, which
its archive has already: all that `cosign verify --local-image` and `engine.image_family.signatures.verify` read.
"""

import json
from pathlib import Path

from engine.errors import UserFacingError
from engine.image_family import signatures
from engine.image_family.oci_layout import IMAGE_KIND, Layout
from engine.image_family.production import LAYOUT, PROVENANCE, SBOM
from engine.image_family.record import Record

_FILES = (SBOM, PROVENANCE, "record.json", "cosign.pub")
"""Named, and of any size: an SBOM grows with the image, and what else lies there is nobody's word about it."""


def files(folder: Path, record: Record) -> dict[str, Path]:
    """The files about the image of this record, by their names in the folder; signatures only where it has them.

    Raises UserFacingError where the record says that the image is signed, and its signatures are not whole.
    """
    found = {name: folder / name for name in _FILES if (folder / name).is_file()}
    if record.signed_by:
        with signatures.readable(str(folder / LAYOUT)):
            found |= {str(path.relative_to(folder)): path for path in _signed(Layout(folder / LAYOUT), record)}
    return found


def summary(found: dict[str, Path]) -> str:
    """What of it there is, and what not, for people."""
    wanted = {"SBOM": SBOM, "provenance": PROVENANCE, "signatures": f"{LAYOUT}/index.json"}
    there = [name for name, file in wanted.items() if file in found]
    absent = [name for name in wanted if name not in there]
    return "; ".join(f"{word} {', '.join(names)}" for word, names in (("with", there), ("without", absent)) if names)


def _signed(layout: Layout, record: Record) -> list[Path]:
    """The layout's files, but the layers of the image itself."""
    wanted = [layout.folder / "oci-layout", layout.folder / "index.json"]
    for kind in (IMAGE_KIND, *signatures.TAG_ENDINGS):
        descriptor = layout.manifest(kind)
        if descriptor is None or (kind == IMAGE_KIND and descriptor["digest"] != record.digest):
            raise UserFacingError(
                f"{layout.folder} does not have what its record says: the image {record.digest} with its signatures.",
                "Remove the folder that it is in; `make images KEY=path` makes and signs the image anew.",
            )
        manifest = json.loads(layout.blob(descriptor["digest"]).read_bytes())
        blobs = [descriptor, manifest["config"], *(manifest["layers"] if kind != IMAGE_KIND else [])]
        wanted += [layout.blob(each["digest"]) for each in blobs]
    for path in wanted:
        path.stat()
    return wanted
