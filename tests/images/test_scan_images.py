"""The scan finds what was planted in an image, and nothing in the project's own."""

import io
import json
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from typing import Any

import pytest
from docker import DockerClient
from docker.errors import ImageNotFound
from image_builds import CHECKOUT, NAMES

from engine.errors import UserFacingError
from engine.image_family.names import read_references
from engine.scanning.findings import Finding
from engine.scanning.image_layers import opened, temporary
from engine.scanning.packages import Package, packages
from engine.scanning.scan import scan_images, scanned_image

# Put together here, so that no scanner of this repository takes them for real ones.
GITHUB = "ghp_" + "A1b2C3d4E5" * 3 + "f6G7h8"
ANTHROPIC = "sk-ant-" + "api03-" + "Zy9" * 12
AWS = "AKIA" + "Q3EGX5OTW7NLMCVB"
KEY = "-----BEGIN " + "PRIVATE KEY-----\n" + "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC" * 2 + "\n"
CLOSED_KEY = KEY.replace(
    "PRIVATE KEY-----\n", "RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,0A\n\n"
)


def _layer(files: dict[str, tuple[int, bytes]], folders: dict[str, int] | None = None) -> bytes:
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as archive:
        for path, mode in (folders or {}).items():
            entry = tarfile.TarInfo(path)
            entry.type, entry.mode = tarfile.DIRTYPE, mode
            archive.addfile(entry)
        for path, (mode, content) in files.items():
            entry = tarfile.TarInfo(path)
            entry.mode, entry.size = mode, len(content)
            archive.addfile(entry, io.BytesIO(content))
    return layer.getvalue()


def _saved(layers: list[bytes], history: list[str], environment: list[str], labels: dict[str, str]) -> bytes:
    configuration = {
        "history": [{"created_by": step} for step in history],
        "config": {"Env": environment, "Labels": labels},
        "rootfs": {"diff_ids": []},
    }
    names = [f"{number}/layer.tar" for number in range(len(layers))]
    manifest = [{"Config": "config.json", "Layers": names}]
    parts = {"manifest.json": json.dumps(manifest).encode(), "config.json": json.dumps(configuration).encode()}
    return _layer({name: (0o644, part) for name, part in {**parts, **dict(zip(names, layers, strict=True))}.items()})


def _scanned(
    *layers: bytes, history: list[str] | None = None, environment: list[str] | None = None, **labels: str
) -> list[Finding]:
    with temporary() as work:
        saved = _saved(list(layers), history or [], environment or [], labels)
        return scanned_image("planted", opened([saved], work))[0]


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("srv/settings.py", f"TOKEN = '{GITHUB}'\n"),
        ("root/notes.md", f"use {ANTHROPIC} for now"),
        ("opt/a.ini", f"aws_access_key_id = {AWS}\n"),
        ("etc/tls/server.pem", KEY),
        ("etc/tls/closed.pem", CLOSED_KEY),
        ("srv/cosign.key", KEY.replace("PRIVATE", "ENCRYPTED SIGSTORE PRIVATE")),
        ("srv/app.js", "a" * 40_000 + f"'{GITHUB}'" + "b" * 40_000),
        ("srv/cut.js", "a" * 19_980 + f"'{GITHUB}'" + "b" * 100),
        ("home/agent/.cargo/credentials.toml", "[registry]"),
        ("app/.env", "ANYTHING=1\n"),
        ("home/agent/.claude/.credentials.json", "{}"),
        ("root/.netrc", "machine x"),
    ],
)
def test_a_secret_is_found_in_a_layer_that_a_later_one_takes_back(path: str, content: str) -> None:
    """A layer is published as it is: who pulls the image can read what a later layer deletes."""
    folder, _, name = path.rpartition("/")
    found = _scanned(_layer({path: (0o600, content.encode())}), _layer({f"{folder}/.wh.{name}": (0o600, b"")}))
    assert [(each.check, each.place) for each in found] == [("secret", f"/{path}")]
    assert "layer 0" in found[0].what
    for secret in (GITHUB, ANTHROPIC, AWS):
        assert secret not in found[0].what


@pytest.mark.parametrize(
    ("given", "place"),
    [
        ({"history": [f"RUN |1 NPM_TOKEN={GITHUB} /bin/sh -c npm ci"]}, "history/0"),
        ({"history": ["base", "ENV DATABASE_PASSWORD=correct-horse"]}, "history/1"),
        ({"environment": ["PATH=/bin", f"ANTHROPIC_API_KEY={ANTHROPIC}"]}, "environment/ANTHROPIC_API_KEY"),
        ({"build": f"https://ci:{GITHUB}@git.example/x"}, "labels/build"),
    ],
)
def test_a_secret_is_found_in_what_the_image_tells_of_its_build(given: dict[str, Any], place: str) -> None:
    """Build arguments and environment variables are written into the image for everybody."""
    assert [(each.check, each.place) for each in _scanned(**given)] == [("secret", place)]


@pytest.mark.parametrize(
    "content",
    [
        b"-----BEGIN PRIVATE KEY-----\n...\n-----END PRIVATE KEY-----\n",
        b"password = getpass()",
        b"A key begins with sk-ant- and AKIA.",
        b"\x7fELF\0" + GITHUB.encode(),
        b"wasm = '" + b"AGFzbQE" * 3_000 + b"A3TAAAAAAAAAAAAAAAAA" + b"AGFzbQE" * 3_000 + b"'",
    ],
)
def test_what_only_talks_about_secrets_is_none(content: bytes) -> None:
    """A scan that cries at every library's documentation is switched off."""
    assert _scanned(_layer({"x": (0o644, content)}), history=["RUN apt-get install passwd  # token"]) == []


def test_modes_and_caches_are_judged_as_a_container_sees_them() -> None:
    """Set-user-ID programs and files that all may write are what an escape looks for; caches only weigh."""
    base = _layer(
        {"bin/su": (0o4755, b"x"), "bin/ping": (0o2755, b"x"), "etc/x": (0o666, b"x")}, {"open": 0o777, "tmp": 0o1777}
    )
    upper = _layer({"bin/.wh.su": (0o600, b""), "var/cache/apt/pkgcache.bin": (0o644, b"x")})
    named = {each.name for each in _scanned(base, upper)}
    assert named == {
        "set-user-id:/bin/ping",
        "world-writable:/etc/x",
        "world-writable:/open",
        "cache:/var/cache/apt/pkgcache.bin",
    }


def test_packages_are_known_by_the_names_of_vulnerability_databases() -> None:
    """Debian's advisories name source packages, and PyPI's a normal form; other names match nothing and look clean."""
    status = "Package: libssl3\nStatus: install ok installed\nSource: openssl (3.0.1)\nVersion: 3.0.1+b1\n\n"
    status += "Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n"
    layer = _layer(
        {
            "usr/lib/os-release": (0o644, b'ID=debian\nVERSION_ID="12"\n'),
            "var/lib/dpkg/status": (0o644, status.encode()),
            "var/lib/dpkg/status.d/libc6": (0o644, b"Package: libc6\nSource: glibc\nVersion: 2.36-9\n"),
            "opt/x/Ruamel.Yaml-1.dist-info/METADATA": (0o644, b"Name: Ruamel.Yaml\nVersion: 1.0\n\ntext"),
            "usr/lib/node_modules/@a/b/package.json": (0o644, b'{"name": "@a/b", "version": "2.0.0"}'),
        }
    )
    with temporary() as work:
        _, found = scanned_image("planted", opened([_saved([layer], [], [], {})], work))
    assert found == {
        Package("Debian:12", "openssl", "3.0.1"),
        Package("Debian:12", "glibc", "2.36-9"),
        Package("PyPI", "ruamel-yaml", "1.0"),
        Package("npm", "@a/b", "2.0.0"),
    }
    assert packages({}) == set()


def test_debians_packages_without_a_known_release_are_not_left_out() -> None:
    """Debian's next release has no number before it is stable: an image of it would look as if it carried nothing."""
    layer = _layer({"var/lib/dpkg/status": (0o644, b"Package: libc6\nSource: glibc\nVersion: 2.41\n")})
    with temporary() as work:
        _, found = scanned_image("planted", opened([_saved([layer], [], [], {})], work))
    assert found == {Package("Debian:unknown", "glibc", "2.41")}


@pytest.fixture(params=NAMES)
def project_image(request: pytest.FixtureRequest, daemon: DockerClient, built: dict[str, str]) -> Iterator[Any]:
    """Each image of the project, scanned."""
    with temporary() as work:
        yield request.param, *scanned_image(request.param, opened(daemon.images.get(built[request.param]).save(), work))


def test_an_image_of_the_project_has_nothing_to_report(project_image: tuple[str, list[Finding], set[Package]]) -> None:
    """What is accepted stands in images/scan-exceptions.toml with a reason; there is nothing for these."""
    _, found, carried = project_image
    assert found == []
    assert len({each for each in carried if each.ecosystem == "Debian:12"}) >= 10


@pytest.fixture(scope="module")
def planted(daemon: DockerClient, built: dict[str, str], run_name: str) -> Iterator[str]:
    """An image that Docker really built, with a token in a deleted file and another as a build argument."""
    tag = f"{run_name}/planted:1"
    steps = ["COPY token /root/.netrc", "RUN rm /root/.netrc", "ARG NPM_TOKEN", "RUN chmod u+s /bin/cat"]
    dockerfile = "\n".join([f"FROM {built['base']}", *steps]).encode()
    context = io.BytesIO(_layer({"Dockerfile": (0o644, dockerfile), "token": (0o600, f"password {GITHUB}".encode())}))
    daemon.images.build(fileobj=context, custom_context=True, tag=tag, buildargs={"NPM_TOKEN": GITHUB}, rm=True)
    yield tag
    daemon.images.remove(tag)


def test_the_command_finds_what_was_planted_and_ends_with_one(planted: str) -> None:
    """The pipeline goes by the exit code; and a log that repeats a secret publishes it."""
    command = [sys.executable, "-m", "engine", "scan", "--image", planted]
    ended = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=200, check=False)
    assert ended.returncode == 1
    for name in ("secret:/root/.netrc", "secret:history/", "set-user-id:/usr/bin/cat"):
        assert name in ended.stdout
    assert "not judged" in ended.stdout
    assert GITHUB not in ended.stdout + ended.stderr


def test_the_command_says_which_image_is_not_there(daemon: DockerClient, run_name: str) -> None:
    """A scan of nothing that ends well is worse than none."""
    del daemon
    command = [sys.executable, "-m", "engine", "scan", "--image", f"{run_name}/absent:1"]
    ended = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=200, check=False)
    assert ended.returncode == 1
    assert f"There is no image {run_name}/absent:1" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    "name",
    [
        "absent", "absent:1", "team/absent_x/a.b-c:V_1.x-y", "example.com/absent", "EXAMPLE.com:5000/absent:1",
        "localhost/absent", "127.0.0.1:5000/absent", "absent@sha256:" + "0" * 64,
        "example.com/absent:1@sha256:" + "0" * 64, "sha256:" + "0" * 64, "0123456789ab", "a--b/c__d", "x" * 237,
    ],
)  # fmt: skip
def test_a_name_that_is_let_pass_is_one_that_docker_understands(daemon: DockerClient, name: str) -> None:
    """Prevents a check of our own that refuses what Docker takes, or lets pass what it answers with an error."""
    assert read_references(name) == [name]
    with pytest.raises(ImageNotFound):
        daemon.images.get(name)


def test_a_name_that_only_some_daemons_take_is_told_by_its_name(daemon: DockerClient) -> None:
    """Older daemons know no IPv6 host, and answer with another error than that there is no such image."""
    del daemon
    name = "[::1]:5000/absent"
    assert read_references(name) == [name]
    with pytest.raises(UserFacingError) as refused:
        list(scan_images({name: name}, None))
    assert name in refused.value.message
    assert "IMAGE=reference" in refused.value.remedy
