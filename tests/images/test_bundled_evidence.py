"""What a bundle tells of an image: its SBOM, its provenance, and signatures that hold where there is no network."""

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from cosign_program import cosign, ensure_cosign
from cryptography.hazmat.primitives.asymmetric import ec
from docker import DockerClient
from family_samples import small_signed

from engine.bundle import images
from engine.bundle.archive import unpack
from engine.bundle.writing import Staging
from engine.errors import UserFacingError
from engine.image_family import record, signatures
from engine.image_family.oci_layout import IMAGE_KIND, Layout
from engine.image_family.signing_key import SigningKey

_VERSION = "1.4.0"
_LARGE_BYTES = 80 << 20


@pytest.fixture(scope="module")
def key() -> SigningKey:
    """What the image is signed with."""
    return SigningKey(ec.generate_private_key(ec.SECP256R1()))


@pytest.fixture(scope="module")
def made(
    daemon: DockerClient, key: SigningKey, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Path, str, str]]:
    """A small image made as by `make images KEY=…`: where it wrote, the image's name, and its id."""
    with small_signed(daemon, tmp_path_factory.mktemp("made"), key, _VERSION) as (run, image):
        outcome = run.make(image)
        assert outcome.record is not None
        yield run.root, image.name, outcome.record.image_id


@pytest.fixture
def own(made: tuple[Path, str, str], tmp_path: Path) -> Path:
    """A copy of what was written, which a test may change: the folder of all images."""
    return Path(shutil.copytree(made[0], tmp_path / "own"))


def _bundled(daemon: DockerClient, root: Path, name: str, folder: Path) -> tuple[Path, list[str]]:
    """The image through a bundle: the folder about it as an install unpacks it, and what was said."""
    said: list[str] = []
    staging = Staging(folder / "work")
    images.add(daemon, staging, images.find(daemon, [name], _VERSION, root), said.append)
    staging.write(folder / "bundle.tar")
    return unpack(folder / "bundle.tar", folder / "cache", said.append) / "images" / name, said


def test_the_signatures_of_an_image_hold_after_an_install(
    daemon: DockerClient, made: tuple[Path, str, str], key: SigningKey, tmp_path: Path
) -> None:
    """Prevents a bundle whose images nobody can verify, and signatures of something else than what Docker loads."""
    root, name, image_id = made
    folder, said = _bundled(daemon, root, name, tmp_path)
    layout = Layout(folder / "oci")
    kinds = [each["predicateType"] for each in signatures.verify(layout, key.public_pem)]
    assert kinds == ["https://slsa.dev/provenance/v1", "https://spdx.dev/Document"]
    descriptor = layout.manifest(IMAGE_KIND)
    assert descriptor is not None
    manifest = layout.blob(descriptor["digest"]).read_bytes()
    assert f"sha256:{hashlib.sha256(manifest).hexdigest()}" == descriptor["digest"]
    assert json.loads(manifest)["config"]["digest"] == image_id
    assert any("with SBOM, provenance, signatures" in line for line in said)


def test_all_that_was_written_about_an_image_is_in_its_bundle_and_its_layers_are_so_once(
    daemon: DockerClient, made: tuple[Path, str, str], tmp_path: Path
) -> None:
    """Prevents a file that `make images` learns to write and a bundle forgets, and images of twice their size."""
    root, name, _ = made
    folder, _ = _bundled(daemon, root, name, tmp_path)
    written = {str(path.relative_to(root / name)) for path in (root / name).rglob("*") if path.is_file()}
    bundled = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    layout = Layout(root / name / "oci")
    descriptor = layout.manifest(IMAGE_KIND)
    assert descriptor is not None
    layers = json.loads(layout.blob(descriptor["digest"]).read_bytes())["layers"]
    assert layers
    assert written - bundled == {f"oci/blobs/sha256/{each['digest'].removeprefix('sha256:')}" for each in layers}
    assert bundled <= written


def test_an_sbom_of_any_size_is_bundled(
    daemon: DockerClient, made: tuple[Path, str, str], own: Path, tmp_path: Path
) -> None:
    """Prevents large images, whose SBOMs matter most, from going without one and without a word."""
    sbom = own / made[1] / "sbom.spdx.json"
    with sbom.open("a") as file:
        file.write("\n" * _LARGE_BYTES)
    folder, _ = _bundled(daemon, own, made[1], tmp_path)
    assert (folder / "sbom.spdx.json").stat().st_size == sbom.stat().st_size


def test_what_is_not_there_is_said(
    daemon: DockerClient, made: tuple[Path, str, str], own: Path, tmp_path: Path
) -> None:
    """Prevents a bundle that is carried far, and only there turns out to have no signatures or no SBOM."""
    folder = own / made[1]
    kept = record.read(folder)
    assert kept is not None
    record.write(folder, kept.model_copy(update={"signed_by": ""}))
    (folder / "sbom.spdx.json").unlink()
    bundled, said = _bundled(daemon, own, made[1], tmp_path)
    assert any("with provenance; without SBOM, signatures" in line for line in said)
    assert not (bundled / "oci").exists()
    record.write(folder, kept.model_copy(update={"image_id": "sha256:" + "0" * 64}))
    _, said = _bundled(daemon, own, made[1], tmp_path / "other")
    assert any("without SBOM, provenance, signatures" in line for line in said), "of another image's"


@pytest.mark.parametrize("damage", ["no layout", "torn index", "no blob", "unsigned", "another image"])
def test_signatures_that_are_not_whole_are_refused_before_anything_is_saved(
    daemon: DockerClient, made: tuple[Path, str, str], own: Path, damage: str
) -> None:
    """Prevents a bundle that says that its images are signed, and whose signatures cannot be read."""
    layout = Layout(own / made[1] / "oci")
    signed = layout.manifest(signatures.SIGNATURES)
    assert signed is not None
    if damage == "no layout":
        shutil.rmtree(layout.folder)
    elif damage == "torn index":
        (layout.folder / "index.json").write_text('{"manif')
    elif damage == "no blob":
        layer = json.loads(layout.blob(signed["digest"]).read_bytes())["layers"][0]
        layout.blob(layer["digest"]).unlink()
    elif damage == "unsigned":
        index = json.loads((layout.folder / "index.json").read_text())
        index["manifests"] = [each for each in index["manifests"] if each["digest"] != signed["digest"]]
        (layout.folder / "index.json").write_text(json.dumps(index))
    else:
        layout.add_manifest(IMAGE_KIND, layout.put(b"{}"), [])
    with pytest.raises(UserFacingError) as refused:
        images.find(daemon, [made[1]], _VERSION, own)
    assert str(layout.folder) in refused.value.message
    assert "make images" in refused.value.remedy


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_the_real_cosign_verifies_what_a_bundle_carries(
    daemon: DockerClient, made: tuple[Path, str, str], tmp_path: Path
) -> None:
    """Prevents a layout that only this project reads: without the image's layers cosign must still find all it needs.

    A changed signature must not pass.
    """
    folder, _ = _bundled(daemon, made[0], made[1], tmp_path)
    program = ensure_cosign(tmp_path)
    offline = ["--key", str(folder / "cosign.pub"), "--insecure-ignore-tlog=true", "--local-image", str(folder / "oci")]
    kept = record.read(folder)
    assert kept is not None
    verified = cosign(program, "verify", *offline)
    assert verified.startswith("exit 0")
    assert kept.digest in verified
    for kind in ("slsaprovenance1", "spdxjson"):
        said = cosign(program, "verify-attestation", *offline, "--type", kind)
        assert said.startswith("exit 0"), said
    layout = Layout(folder / "oci")
    signed = layout.manifest(signatures.SIGNATURES)
    assert signed is not None
    payload = layout.blob(json.loads(layout.blob(signed["digest"]).read_bytes())["layers"][0]["digest"])
    payload.write_bytes(payload.read_bytes().replace(b"cosign container", b"cosign  ontainer"))
    assert not cosign(program, "verify", *offline).startswith("exit 0")
