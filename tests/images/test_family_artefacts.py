"""What lies beside an image: its SBOM by the real tool, where it comes from, and signatures that hold."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from docker import DockerClient
from family_samples import COMMIT, production

from engine.errors import UserFacingError
from engine.image_family import matrix, signatures
from engine.image_family.oci_layout import Layout
from engine.image_family.production import Outcome
from engine.image_family.signing_key import SigningKey, make_key, read_key

PASSWORD = {"COSIGN_PASSWORD": "only for this test"}


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> SigningKey:
    """A key from a file in cosign's format."""
    file = tmp_path_factory.mktemp("key") / "cosign.key"
    make_key(file, PASSWORD)
    return read_key(file, PASSWORD)


@pytest.fixture(scope="module")
def made(
    daemon: DockerClient,
    built: dict[str, str],
    key: SigningKey,
    tmp_path_factory: pytest.TempPathFactory,
    run_name: str,
) -> tuple[Path, Outcome, Outcome, list[str]]:
    """Redis's image made twice: the folder, both outcomes, and what the second run said."""
    folder = tmp_path_factory.mktemp("dist")
    images = matrix.load().chosen(["redis"])
    lines: list[str] = []
    try:
        first = production(daemon, folder, images, key=key, version=run_name).make(images[0])
        second = production(daemon, folder, images, key=key, version=run_name, lines=lines).make(images[0])
    finally:
        daemon.images.remove(f"agent-fleet/redis:{run_name}")
    return folder / "redis", first, second, lines


def read(path: Path) -> dict[str, Any]:
    """A JSON file."""
    return json.loads(path.read_text())


def test_the_image_passes_every_step_and_its_bars(made: tuple[Path, Outcome, Outcome, list[str]]) -> None:
    """Prevents an image that is signed and does not work."""
    _, first, _, _ = made
    assert first.errors == []
    assert {each.outcome for each in first.results} == {"passed", "not applicable"}
    assert first.changed == ["built", "signed"]


def test_a_second_run_changes_nothing_and_says_so(made: tuple[Path, Outcome, Outcome, list[str]]) -> None:
    """Prevents another digest, another record or another signature of an image that is the same."""
    _, first, second, lines = made
    assert second.changed == []
    assert second.record is not None
    assert first.record is not None
    assert second.record.model_copy(update={"verified": []}) == first.record.model_copy(update={"verified": []})
    assert not [line for line in lines if "exporting" in line or "signed" in line]


def test_the_sbom_names_what_the_image_is_for(made: tuple[Path, Outcome, Outcome, list[str]]) -> None:
    """Prevents an SBOM of an empty file system, which is valid and says nothing."""
    document = read(made[0] / "sbom.spdx.json")
    versions = {each["name"]: each.get("versionInfo", "") for each in document["packages"]}
    assert document["spdxVersion"] == "SPDX-2.3"
    assert versions["redis-server"].startswith("5:7.0.")
    assert len(versions) > 50


def test_the_provenance_names_every_material(made: tuple[Path, Outcome, Outcome, list[str]]) -> None:
    """Prevents an image of which nobody can tell what it was built from."""
    folder, first, _, _ = made
    assert first.record is not None
    statement = read(folder / "provenance.json")
    definition = statement["predicate"]["buildDefinition"]
    materials = {each["name"]: each["digest"] for each in definition["resolvedDependencies"]}
    assert statement["predicateType"] == "https://slsa.dev/provenance/v1"
    assert statement["subject"] == [
        {"name": "agent-fleet/redis", "digest": {"sha256": first.record.digest.removeprefix("sha256:")}}
    ]
    assert set(materials) == {"base", "context", "Dockerfile", "source"}
    assert materials["source"] == {"gitCommit": COMMIT}
    assert materials["context"] == {"sha256": first.record.context_hash}
    assert definition["externalParameters"]["dockerfile"] == "images/redis/Dockerfile"


def test_signatures_hold_for_the_key_and_for_no_other(
    made: tuple[Path, Outcome, Outcome, list[str]], key: SigningKey
) -> None:
    """Prevents signatures that nothing verifies, or that any key does. Checked by cryptography; by cosign in the long
    tests."""
    layout = Layout(made[0] / "oci")
    kinds = [each["predicateType"] for each in signatures.verify(layout, key.public_pem)]
    assert kinds == ["https://slsa.dev/provenance/v1", "https://spdx.dev/Document"]
    stranger = SigningKey(ec.generate_private_key(ec.SECP256R1()))
    with pytest.raises(UserFacingError, match="was not made by this key"):
        signatures.verify(layout, stranger.public_pem)


def test_signatures_of_another_image_are_refused(
    made: tuple[Path, Outcome, Outcome, list[str]], key: SigningKey, tmp_path: Path
) -> None:
    """Prevents an image in the place of the one that was signed."""
    shutil.copytree(made[0] / "oci", tmp_path / "oci")
    layout = Layout(tmp_path / "oci")
    layout.add_manifest("dev.cosignproject.cosign/image", layout.put(b"{}"), [])
    with pytest.raises(UserFacingError, match="and the image is sha256:"):
        signatures.verify(layout, key.public_pem)


def test_what_is_not_signed_is_told_from_what_is(
    made: tuple[Path, Outcome, Outcome, list[str]], key: SigningKey, tmp_path: Path
) -> None:
    """Prevents "verified" for an image that has no signature at all."""
    layout = Layout(tmp_path / "oci")
    layout.begin()
    layout.add_manifest("dev.cosignproject.cosign/image", layout.put(b"{}"), [])
    with pytest.raises(UserFacingError, match="it is not signed"):
        signatures.verify(layout, key.public_pem)


def test_every_blob_is_what_its_name_says(made: tuple[Path, Outcome, Outcome, list[str]]) -> None:
    """Prevents a layout that other tools refuse."""
    for blob in (made[0] / "oci" / "blobs" / "sha256").iterdir():
        assert hashlib.sha256(blob.read_bytes()).hexdigest() == blob.name
