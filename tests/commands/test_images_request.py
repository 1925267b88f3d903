"""`make images`: what is wrong is said before anything is built, and an interruption ends everything."""

import os
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from docker import DockerClient
from docker.errors import DockerException
from docker_objects import import_tiny_image

from engine.commands.images import produce
from engine.errors import UserFacingError
from engine.image_family import matrix
from engine.image_family.build import Source, check_sources
from engine.image_family.production import Production
from engine.image_family.request import Request, read_request
from engine.image_family.signing_key import make_key, read_key

CHECKOUT = Path(__file__).parents[2]
PASSWORD = {"COSIGN_PASSWORD": "only for this test"}


@pytest.mark.parametrize(
    ("variables", "message", "fix"),
    [
        ({"PUSH": "1"}, "PUSH=1 needs REGISTRY", "REGISTRY=127.0.0.1:5000"),
        ({"PUSH": "yes"}, "PUSH is 'yes'; allowed are 1 and 0", "Give PUSH=1"),
        ({"NO_CACHE": "true"}, "NO_CACHE is 'true'", "NO_CACHE=1"),
        ({"VERSION": "a b"}, "VERSION is 'a b'", "VERSION=1.4.0"),
        ({"VERSION": "-rf"}, "VERSION is '-rf'", "VERSION=1.4.0"),
        ({"VERSION": "v" * 129}, "at most 128", "VERSION=1.4.0"),
        ({"REGISTRY": "https://example.com"}, "REGISTRY is 'https://example.com'", "registry.example.com/team"),
        ({"REGISTRY": "example.com/Team"}, "REGISTRY is 'example.com/Team'", "registry.example.com/team"),
        ({"REGISTRY": "--push"}, "REGISTRY is '--push'", "registry.example.com/team"),
        ({"ONLY": "redsi"}, "did you mean redis?", "Allowed are: runtime,"),
        ({"ONLY": "redis,nothing-like-it"}, "'nothing-like-it', and there is no such image", "Allowed are: runtime,"),
        ({"KEY": "/nowhere/key"}, "which cannot be read", "images-key"),
        ({"KEY": str(CHECKOUT / "README.md")}, "no private key in cosign's format", "import-key-pair"),
    ],
)
def test_a_wrong_variable_is_told_with_what_is_allowed(variables: dict[str, str], message: str, fix: str) -> None:
    """Prevents an hour of builds that end with a refusal, or images under a name that nobody meant."""
    with pytest.raises(UserFacingError) as refused:
        read_request(variables, matrix.load())
    assert message in refused.value.message
    assert fix in refused.value.remedy


def test_what_is_asked_for_is_what_is_made() -> None:
    """Prevents a variable that is read and not obeyed."""
    asked = {
        "REGISTRY": "127.0.0.1:5000/team",
        "VERSION": "1.4.0",
        "PUSH": "1",
        "NO_CACHE": "1",
        "ONLY": "redis, runtime",
    }
    request = read_request(asked, matrix.load())
    assert [image.name for image in request.images] == ["runtime", "redis"]
    assert request.repository(request.images[0]) == "127.0.0.1:5000/team/agent-fleet/runtime"
    assert (request.version, request.push, request.no_cache) == ("1.4.0", True, True)
    everything = read_request({}, matrix.load())
    assert everything.images == matrix.load().image
    assert (everything.version, everything.push, everything.no_cache, everything.key) == ("dev", False, False, None)


def _images(**variables: str) -> tuple[int, str]:
    # A daemon that cannot be there: whatever is refused was refused before Docker was asked for anything.
    environment = {**os.environ, "DOCKER_HOST": "unix:///nowhere/docker.sock", **variables}
    command = [sys.executable, "-m", "engine", "images"]
    ended = subprocess.run(
        command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    return ended.returncode, ended.stdout + ended.stderr


def test_a_registry_that_does_not_answer_fails_before_anything_is_built() -> None:
    """Prevents an hour of builds whose result can go nowhere."""
    code, output = _images(PUSH="1", REGISTRY="127.0.0.1:9", ONLY="redis")
    assert code == 1
    assert "The registry 127.0.0.1:9 cannot be reached" in output
    assert "Traceback" not in output
    assert "building" not in output


def test_the_key_opens_with_its_password_alone(tmp_path: Path) -> None:
    """Prevents a key file that cosign could not read, and one that anybody can."""
    file = tmp_path / "keys" / "cosign.key"
    public = make_key(file, PASSWORD)
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.read_text().startswith("-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\n")
    assert read_key(file, PASSWORD).public_pem == public.read_text()
    with pytest.raises(UserFacingError, match="password does not open"):
        read_key(file, {"COSIGN_PASSWORD": "another"})
    with pytest.raises(UserFacingError, match="is there already"):
        make_key(file, PASSWORD)


def test_a_key_that_cosign_made_is_read() -> None:
    """Prevents a format of our own that only looks like cosign's. The file is of cosign 3.1.3, its password `x`."""
    key = read_key(Path(__file__).with_name("cosign_made.key"), {"COSIGN_PASSWORD": "x"})
    assert key.public_pem == Path(__file__).with_name("cosign_made.pub").read_text()


def test_every_entry_of_the_matrix_can_be_built_from_this_checkout(tmp_path: Path) -> None:
    """Prevents an entry whose folder or target was renamed."""
    check_sources(matrix.load().image)
    image = matrix.load().image[0]
    with pytest.raises(UserFacingError, match=r"has the target 'nothing'.*"):
        check_sources([image.model_copy(update={"target": "nothing"})])
    with pytest.raises(UserFacingError, match="and that is not there"):
        check_sources([image], tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[image]", "is not TOML"),
        ("", "image: Field required"),
        ("[[image]]\nname = 'Upper'\n", "image.0.name"),
        (
            "[[image]]\n[image.tools]\ngit = { command = ['git'], says = '(' }\n",
            "image.0.tools.git.says: Value error, given '('",
        ),
        ("[[image]]\nname = 'a'\nnonsense = 1\n", "image.0.nonsense: Extra inputs are not permitted"),
    ],
)
def test_a_mistake_in_the_matrix_is_named_by_its_place(tmp_path: Path, text: str, message: str) -> None:
    """Prevents a stack trace for a typing error."""
    file = tmp_path / "images.toml"
    file.write_text(text)
    with pytest.raises(UserFacingError) as refused:
        matrix.load(file)
    assert message in refused.value.message


@pytest.fixture
def sleepers(tmp_path: Path) -> Iterator[tuple[DockerClient, list[matrix.Image], str]]:
    """Two images whose builds never end, and the word that their processes are known by."""
    try:
        client = docker.from_env(timeout=60)
        client.ping()
    except DockerException as error:
        pytest.skip(f"needs a Docker daemon: {error}")
    tag, word = f"family-sleep-{uuid.uuid4().hex[:10]}:1", str(uuid.uuid4().int % 10**9 + 10**9)
    import_tiny_image(tag)
    images: list[matrix.Image] = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "Dockerfile").write_text(f"FROM {tag}\nRUN echo {name} && sleep {word}\n")
        entry = {"name": f"sleep-{name}", "context": name, "platforms": ["linux/amd64"], "megabytes": 9, "uid": 1}
        entry |= {"compressed_megabytes": 9, "probe": ["sh"], "shell": True, "no_health": "sleeps"}
        images.append(matrix.Image.model_validate(entry))
    yield client, images, word
    client.images.remove(tag, force=True)
    client.close()


def _asleep(word: str) -> int:
    found = 0
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                found += (folder / "cmdline").read_bytes().split(b"\0")[:2] == [b"sleep", word.encode()]
            except OSError:
                continue
    return found


def _until(condition: object, limit_seconds: float = 90) -> bool:
    assert callable(condition)
    for _ in range(int(limit_seconds / 0.1)):
        if condition():
            return True
        threading.Event().wait(0.1)
    return False


def test_an_interruption_ends_every_build(
    sleepers: tuple[DockerClient, list[matrix.Image], str], tmp_path: Path
) -> None:
    """Prevents builds that go on in the daemon for hours after Ctrl-C."""
    client, images, word = sleepers
    request = Request(images, "", "test", push=False, no_cache=True, key=None)
    production = Production(
        request, client, Source("", changed=False), ("", ""), lambda _: None, tmp_path / "dist", tmp_path
    )
    wanted = min(len(images), os.cpu_count() or 1)
    begun = threading.Event()

    def interrupt() -> None:
        if _until(lambda: _asleep(word) == wanted):
            begun.set()
        os.kill(os.getpid(), signal.SIGINT)

    waiting = threading.Thread(target=interrupt, daemon=True)
    waiting.start()
    with pytest.raises(KeyboardInterrupt):
        produce(production)
    waiting.join()
    assert begun.is_set(), "the builds did not begin"
    assert _until(lambda: _asleep(word) == 0), "a build goes on"
