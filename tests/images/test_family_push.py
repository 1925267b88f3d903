"""What is pushed: the digest that was verified and signed, with its signatures, to whom lets this user in."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from cosign_program import cosign, ensure_cosign
from cryptography.hazmat.primitives.asymmetric import ec
from docker import DockerClient
from family_samples import small_signed
from registry_process import USER, WORD, registry

from engine.commands.images import push
from engine.errors import UserFacingError
from engine.image_family.production import Outcome, Production, layout_of
from engine.image_family.registry import Registry
from engine.image_family.signing_key import SigningKey


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A registry that lets everybody in."""
    with registry(tmp_path_factory.mktemp("registry")) as found:
        yield found


@pytest.fixture(scope="module")
def pushed(
    daemon: DockerClient, address: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Production, Outcome, str]]:
    """A small image that was made, signed and pushed: the run, its outcome, and its repository there."""
    key = SigningKey(ec.generate_private_key(ec.SECP256R1()))
    folder = tmp_path_factory.mktemp("pushed")
    with small_signed(daemon, folder, key, "1.4.0", registry=f"{address}/team") as (run, image):
        outcome = run.make(image)
        push(run, [outcome])
        yield run, outcome, f"team/{image.repository}"


def test_the_registry_has_the_digest_that_was_verified(
    daemon: DockerClient, address: str, pushed: tuple[Production, Outcome, str]
) -> None:
    """Prevents a push that compresses anew, to a digest that nobody signed. Docker itself pulls it back."""
    _, outcome, repository = pushed
    assert outcome.record is not None
    digest = outcome.record.digest
    there = Registry(address)
    assert there.digest(repository, "1.4.0") == digest
    name = digest.replace(":", "-")
    assert there.digest(repository, f"{name}.sig") is not None
    assert there.digest(repository, f"{name}.att") is not None
    pulled = daemon.images.pull(f"{address}/{repository}@{digest}")
    try:
        assert pulled.attrs["RepoDigests"] == [f"{address}/{repository}@{digest}"]
        assert pulled.id in (outcome.record.config, digest)
    finally:
        daemon.images.remove(f"{address}/{repository}@{digest}")


def test_a_second_push_sends_nothing(pushed: tuple[Production, Outcome, str], address: str) -> None:
    """Prevents hundreds of megabytes on the way for images that are there."""
    run, outcome, repository = pushed
    asked: list[str] = []

    class Watched(Registry):
        def _request(self, method: str, url: str, headers: dict[str, str], body: object) -> object:
            asked.append(method)
            return super()._request(method, url, headers, body)

    assert outcome.record is not None
    layout = layout_of(run.root / outcome.image.name)
    assert Watched(address).push(repository, "1.4.0", layout) == outcome.record.digest
    assert set(asked) == {"HEAD"}


def test_a_registry_with_a_login_wants_dockers_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prevents builds for a registry that lets nobody in, and a password on a command line."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    (tmp_path / "registry").mkdir()
    with registry(tmp_path / "registry", login=True) as address:
        with pytest.raises(UserFacingError) as refused:
            Registry(address).check()
        assert f"docker login {address}" in refused.value.remedy
        login = base64.b64encode(f"{USER}:{WORD}".encode()).decode()
        (tmp_path / "config.json").write_text(json.dumps({"auths": {address: {"auth": login}}}))
        Registry(address).check()


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_the_real_cosign_verifies_all_of_it(
    pushed: tuple[Production, Outcome, str], address: str, tmp_path: Path
) -> None:
    """Prevents a format that only this project can verify: on disk and in the registry, image and attestations."""
    run, outcome, repository = pushed
    program = ensure_cosign(tmp_path)
    folder = run.root / outcome.image.name
    assert outcome.record is not None
    offline = ["--key", str(folder / "cosign.pub"), "--insecure-ignore-tlog=true"]
    places = (
        ["--local-image", str(folder / "oci")],
        ["--allow-http-registry", f"{address}/{repository}@{outcome.record.digest}"],
    )
    for place in places:
        assert outcome.record.digest in cosign(program, "verify", *offline, *place)
        for kind in ("slsaprovenance1", "spdxjson"):
            assert cosign(program, "verify-attestation", *offline, "--type", kind, *place).startswith("exit 0")
    stranger = tmp_path / "stranger.pub"
    stranger.write_text(SigningKey(ec.generate_private_key(ec.SECP256R1())).public_pem)
    refused = cosign(program, "verify", "--key", str(stranger), "--insecure-ignore-tlog=true", *places[0])
    assert not refused.startswith("exit 0")
