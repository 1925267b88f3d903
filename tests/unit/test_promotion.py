"""One digest goes from stack to stack: verified again on the way, and nothing else of the settings changes."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from engine.commands import promote as command
from engine.errors import UserFacingError
from engine.image_family.oci_layout import CONFIG, IMAGE_KIND, Layout
from engine.image_family.signatures import TAG_ENDINGS, sign
from engine.image_family.signing_key import SigningKey
from engine.paths import Paths
from engine.promotion.settings_text import exchanged

KEY = SigningKey(ec.generate_private_key(ec.SECP256R1()))
SBOM, PROVENANCE = "https://spdx.dev/Document", "https://slsa.dev/provenance/v1"
OLD = "sha256:" + "a" * 64
OTHER = "r.example/old/agent@sha256:" + "b" * 64
SETTINGS = """# What this stack is, for people.
config:
  agent-fleet:fleet:
    architecture: cluster
    images:
      # Built once, judged, promoted.
      digests:
        runtime: {runtime}  # the service
        sandbox:   "{sandbox}"
    database: {{kind: rds}}   # kept as it is
"""


class _Registry:
    """Manifests and blobs by path, served over HTTP on this machine."""

    def __init__(self) -> None:
        self.content: dict[str, bytes] = {}
        content = self.content

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                found = content.get(self.path)
                self.send_response(404 if found is None else 200)
                self.send_header("Content-Length", str(len(found or b"")))
                self.end_headers()
                self.wfile.write(found or b"")

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self.server.server_address[1]}"

    def publish(
        self, folder: Path, name: str, *, kinds: tuple[str, ...] = (SBOM, PROVENANCE), key: SigningKey | None = KEY
    ) -> str:
        """Put a signed image there; return its reference."""
        layout = Layout(folder / name)
        layout.begin()
        layer = {"mediaType": "application/vnd.oci.image.layer.v1.tar", **layout.put(name.encode())}
        digest = layout.add_manifest(IMAGE_KIND, {"mediaType": CONFIG, **layout.put(b"{}")}, [layer])
        repository = f"team/{name}"
        self.content[f"/v2/{repository}/manifests/{digest}"] = layout.blob(digest).read_bytes()
        if key is not None:
            subject = [{"name": repository, "digest": {"sha256": digest.removeprefix("sha256:")}}]
            sign(layout, repository, [{"predicateType": kind, "subject": subject} for kind in kinds], key)
        for kind, ending in TAG_ENDINGS.items():
            if (descriptor := layout.manifest(kind)) is not None:
                place = f"/v2/{repository}/manifests/{digest.replace(':', '-')}.{ending}"
                self.content[place] = layout.blob(descriptor["digest"]).read_bytes()
        for blob in (layout.folder / "blobs" / "sha256").iterdir():
            self.content[f"/v2/{repository}/blobs/sha256:{blob.name}"] = blob.read_bytes()
        return f"{self.host}/{repository}@{digest}"


@pytest.fixture
def registry() -> Iterator[_Registry]:
    """An empty registry."""
    made = _Registry()
    thread = threading.Thread(target=made.server.serve_forever, daemon=True)
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()
    thread.join(5)


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    """A checkout with the settings of two stacks, whose check accepts them, and the public key."""
    for stack in ("staging", "prod"):
        (tmp_path / f"Pulumi.{stack}.yaml").write_text(
            SETTINGS.format(runtime=f"r.example/old/runtime@{OLD}", sandbox=f"r.example/old/sandbox@{OLD}")
        )
    (tmp_path / "cosign.pub").write_text(KEY.public_pem)

    def accepted(*arguments: object) -> None:
        del arguments

    monkeypatch.setattr(command.configuration, "check", accepted)
    return Paths(tmp_path)


def _promote(paths: Paths, registry: _Registry, **published: Any) -> bool:
    images = {
        "runtime": registry.publish(paths.root / "published", "runtime", **published),
        "sandbox": registry.publish(paths.root / "published", "sandbox"),
    }
    paths.tracked_configuration("staging").write_text(SETTINGS.format(**images))
    return command.promote(paths, "staging", "prod", paths.root / "cosign.pub", dry_run=False)


def test_the_verified_digests_go_into_the_next_stack_and_nothing_else_changes(
    paths: Paths, registry: _Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    """A promotion that writes the file anew loses comments, or takes a setting along that was meant for one stack."""
    assert _promote(paths, registry)
    staging = paths.tracked_configuration("staging").read_text()
    assert paths.tracked_configuration("prod").read_text() == staging.replace('"', "")
    shown = capsys.readouterr().out
    assert f"-        runtime: r.example/old/runtime@{OLD}" in shown
    assert "+        runtime: 127.0.0.1" in shown
    assert not _promote(paths, registry), "again, there is nothing to do"


def test_the_agents_images_are_promoted_with_the_rest(paths: Paths, registry: _Registry) -> None:
    """A stack would run the agents of one release beside the service of another."""
    names = ("runtime", "sandbox", "agent-python", "agent-node-hardened")
    images = {name: registry.publish(paths.root / "published", name) for name in names}
    release = paths.root / "digests.json"
    release.write_text(json.dumps(images))
    prod = paths.tracked_configuration("prod")
    agents = f"        agents:\n          python: {OTHER}  # and its tools\n          node_hardened: '{OTHER}'\n"
    before = prod.read_text()
    prod.write_text(before.replace("    database:", f"{agents}    database:"))
    assert command.promote(paths, str(release), "prod", paths.root / "cosign.pub", dry_run=False)
    written = prod.read_text()
    assert f"          python: {images['agent-python']}  # and its tools\n" in written
    assert f"          node_hardened: {images['agent-node-hardened']}\n" in written
    # From stack to stack, whose files name them in one way.
    staging = paths.tracked_configuration("staging")
    staging.write_text(before.replace("    database:", f"{agents}    database:"))
    assert command.promote(paths, "prod", "staging", paths.root / "cosign.pub", dry_run=False)
    assert images["agent-node-hardened"] in staging.read_text()


def test_an_agents_image_that_nobody_vouches_for_or_that_is_missing_is_not_promoted(
    paths: Paths, registry: _Registry
) -> None:
    """What an agent runs in would be the one image that was not looked at."""
    prod, release = paths.tracked_configuration("prod"), paths.root / "digests.json"
    prod.write_text(prod.read_text().replace("    database:", f"        agents: {{python: {OTHER}}}\n    database:"))
    before = prod.read_text()
    images = {name: registry.publish(paths.root / "published", name) for name in ("runtime", "sandbox")}
    release.write_text(json.dumps(images))
    with pytest.raises(UserFacingError, match="not promoted: agent-python"):
        command.promote(paths, str(release), "prod", paths.root / "cosign.pub", dry_run=False)
    unsigned = registry.publish(paths.root / "published", "agent-python", key=None)
    release.write_text(json.dumps({**images, "agent-python": unsigned}))
    with pytest.raises(UserFacingError, match="its sig is not in the registry"):
        command.promote(paths, str(release), "prod", paths.root / "cosign.pub", dry_run=False)
    assert prod.read_text() == before
    zeros = prod.read_text().replace(OTHER, "r.example/x@sha256:" + "0" * 64)
    paths.tracked_configuration("staging").write_text(zeros)
    with pytest.raises(UserFacingError, match=r"digests\.agents\.python"):
        command.promote(paths, "staging", "prod", paths.root / "cosign.pub", dry_run=False)


@pytest.mark.parametrize(
    ("published", "said"),
    [
        ({"key": None}, "its sig is not in the registry"),
        ({"key": SigningKey(ec.generate_private_key(ec.SECP256R1()))}, "was not made by this key"),
        ({"kinds": (PROVENANCE,)}, "no signed SBOM"),
        ({"kinds": (SBOM,)}, "no signed provenance"),
    ],
)
def test_an_image_that_nobody_vouches_for_is_not_promoted(
    paths: Paths, registry: _Registry, published: dict[str, Any], said: str
) -> None:
    """Who can push to the registry would otherwise choose what production runs."""
    before = paths.tracked_configuration("prod").read_text()
    with pytest.raises(UserFacingError, match=said):
        _promote(paths, registry, **published)
    assert paths.tracked_configuration("prod").read_text() == before


def test_an_image_that_the_registry_changed_is_not_promoted(paths: Paths, registry: _Registry) -> None:
    """A digest is a promise that only its reader can keep."""
    reference = registry.publish(paths.root / "published", "runtime")
    place = f"/v2/team/runtime/manifests/{reference.partition('@')[2]}"
    images = {"runtime": reference, "sandbox": registry.publish(paths.root / "published", "sandbox")}
    registry.content[place] = json.dumps({"layers": [], "forged": True}).encode()
    paths.tracked_configuration("staging").write_text(SETTINGS.format(**images))
    with pytest.raises(UserFacingError, match="something else"):
        command.promote(paths, "staging", "prod", paths.root / "cosign.pub", dry_run=False)


@pytest.mark.parametrize("ending", ["sig", "att"])
def test_a_list_of_signatures_without_any_vouches_for_nothing(paths: Paths, registry: _Registry, ending: str) -> None:
    """Whoever can push to the registry can put an empty list there, and every signature in that is right."""
    images = {name: registry.publish(paths.root / "published", name) for name in ("runtime", "sandbox")}
    place = f"/v2/team/runtime/manifests/{images['runtime'].partition('@')[2].replace(':', '-')}.{ending}"
    registry.content[place] = json.dumps({"layers": []}).encode()
    paths.tracked_configuration("staging").write_text(SETTINGS.format(**images))
    with pytest.raises(UserFacingError, match=f"a {ending} without any signature"):
        command.promote(paths, "staging", "prod", paths.root / "cosign.pub", dry_run=False)


@pytest.mark.parametrize(
    "damaged", [b"{", b"[]", b'{"layers": [{}]}', b'{"layers": [{"digest": "sha256:0", "annotations": 1}]}', b"\xff"]
)
@pytest.mark.parametrize("ending", ["sig", "att"])
def test_a_damaged_signature_is_an_error_of_one_line(
    paths: Paths, registry: _Registry, ending: str, damaged: bytes
) -> None:
    """Prevents a stack trace, from which nobody sees that the image must not be used."""
    images = {name: registry.publish(paths.root / "published", name) for name in ("runtime", "sandbox")}
    place = f"/v2/team/runtime/manifests/{images['runtime'].partition('@')[2].replace(':', '-')}.{ending}"
    registry.content[place] = damaged
    paths.tracked_configuration("staging").write_text(SETTINGS.format(**images))
    with pytest.raises(UserFacingError, match="damaged"):
        command.promote(paths, "staging", "prod", paths.root / "cosign.pub", dry_run=False)


def test_a_release_file_promotes_as_a_stack_does(paths: Paths, registry: _Registry) -> None:
    """The first stack of a chain takes what the pipeline published, which stands in the release's file."""
    images = {name: registry.publish(paths.root / "published", name) for name in ("runtime", "sandbox", "redis")}
    release = paths.root / "digests.json"
    release.write_text(json.dumps(images))
    assert command.promote(paths, str(release), "prod", paths.root / "cosign.pub", dry_run=False)
    after = paths.tracked_configuration("prod").read_text()
    assert after == SETTINGS.format(**images).replace('"', "")


def test_a_dry_run_writes_nothing(paths: Paths, registry: _Registry) -> None:
    """What would change is looked at before it does."""
    images = {name: registry.publish(paths.root / "published", name) for name in ("runtime", "sandbox")}
    paths.tracked_configuration("staging").write_text(SETTINGS.format(**images))
    before = paths.tracked_configuration("prod").read_text()
    assert not command.promote(paths, "staging", "prod", paths.root / "cosign.pub", dry_run=True)
    assert paths.tracked_configuration("prod").read_text() == before


@pytest.mark.parametrize(
    ("origin", "target", "key", "said"),
    [
        ("", "prod", "cosign.pub", "FROM"),
        ("prod", "prod", "cosign.pub", "two different stacks"),
        ("staging", "nowhere", "cosign.pub", "nowhere"),
        ("staging", "prod", None, "KEY"),
        ("staging", "prod", "absent.pub", "absent.pub"),
        ("absent.json", "prod", "cosign.pub", "absent.json"),
    ],
)
def test_a_wrong_call_says_what_is_wrong(paths: Paths, origin: str, target: str, key: str | None, said: str) -> None:
    """A promotion is called by hand, and seldom."""
    with pytest.raises(UserFacingError) as error:
        command.promote(paths, origin, target, None if key is None else paths.root / key, dry_run=False)
    assert said in f"{error.value.message} {error.value.remedy}"


@pytest.mark.parametrize(
    ("text", "wanted", "said"),
    [
        (SETTINGS.format(runtime="r", sandbox="s"), {"runtime": "x"}, "sandbox"),
        ("config:\n  agent-fleet:fleet:\n    target: eks\n", {"runtime": "x"}, "no fleet.images.digests"),
        ("config: [", {}, "not valid YAML"),
    ],
)
def test_half_a_release_or_a_stack_that_builds_is_refused(
    tmp_path: Path, text: str, wanted: dict[str, str], said: str
) -> None:
    """A stack that runs one image of a release and one of another was tested by nobody."""
    path = tmp_path / "Pulumi.x.yaml"
    path.write_text(text)
    with pytest.raises(UserFacingError, match=said):
        exchanged(path, wanted)


def test_an_example_of_zeros_is_no_digest(paths: Paths) -> None:
    """The settings that come with the project have zeros where digests go."""
    zeros = "r.example/x@sha256:" + "0" * 64
    paths.tracked_configuration("staging").write_text(SETTINGS.format(runtime=zeros, sandbox=zeros))
    with pytest.raises(UserFacingError, match=r"digests\.runtime"):
        command.promote(paths, "staging", "prod", paths.root / "cosign.pub", dry_run=False)
