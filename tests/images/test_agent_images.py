"""Agents' images: what is in them and what is not, their first process, and their health check (A2, A3, A5)."""

import contextlib
import hashlib
import io
import json
import shutil
import tarfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from agent_image import build_agent_image
from containers import Start, ended, logs, run_inside, state, wait_for
from docker import DockerClient
from docker.errors import NotFound
from family_samples import built_image
from image_builds import CHECKOUT
from image_layers import of_its_day, read

from engine.image_family import matrix
from engine.scanning.image_layers import opened, temporary
from engine.scanning.scan import scanned_image
from images.base.ensure import TAG, ensure_base

pytestmark = pytest.mark.timeout(1500)
PROGRAM = ["/usr/bin/python3", "-IS"]
HEALTH = [*PROGRAM, "/usr/local/lib/agent/health.py"]
EMPTY = f"sha256:{hashlib.sha256(bytes(1024)).hexdigest()}"
"""An archive without a file: what WORKDIR adds for a folder that is there."""
OPEN = {"/tmp": "", "/workspace": ""}
SHELLS = {"sh", "bash", "dash", "busybox", "apt", "apt-get", "dpkg", "pip", "pip3", "npm", "perl", "env", "su", "mount"}


@pytest.fixture(scope="session")
def agents(daemon: DockerClient, run_name: str) -> Iterator[dict[str, str]]:
    """The images of the python toolchain with and without a shell, by target."""
    ensure_base(lambda _: None)
    tags = {target: f"{run_name}/agent-{target}:1" for target in ("python", "python-hardened")}
    try:
        yield {target: build_agent_image(target, tag) for target, tag in tags.items()}
    finally:
        for tag in tags.values():
            with contextlib.suppress(NotFound):
                daemon.images.remove(tag)


@pytest.fixture(params=["python", "python-hardened"])
def image(request: pytest.FixtureRequest, agents: dict[str, str]) -> str:
    """Each of them."""
    return agents[request.param]


def files(daemon: DockerClient, image: str) -> list[tarfile.TarInfo]:
    """Everything in the image's file system."""
    container = daemon.containers.create(image)
    try:
        exported: Any = container.export()
        archive = io.BytesIO(b"".join(exported))
    finally:
        container.remove()
    with tarfile.open(fileobj=archive) as opened:
        return opened.getmembers()


def test_it_has_no_program_of_another_user_no_cache_and_no_secret(daemon: DockerClient, image: str) -> None:
    """Each is what an escape, a leak or a slow pull begins with."""
    found = files(daemon, image)
    assert [each.name for each in found if each.isfile() and each.mode & 0o6000] == []
    kept = (
        "var/cache/apt/archives/",
        "var/lib/apt/lists/",
        "root/.cache/",
        "root/.npm/",
        "build/",
        "tmp/",
        "run/secrets/",
    )
    assert [each.name for each in found if each.isfile() and each.name.startswith(kept)] == []
    configuration = daemon.images.get(image).attrs["Config"]
    assert configuration["User"] == "1001:1001"
    assert configuration["Healthcheck"]["Test"] == ["CMD", *HEALTH]
    history = json.dumps(daemon.images.get(image).history())
    assert "BEGIN CERTIFICATE" not in history


def test_nothing_is_of_the_day_of_the_build(daemon: DockerClient, image: str) -> None:
    """Prevents an image whose content is another tomorrow: nobody could tell by a build of their own what is in it."""
    assert of_its_day(read(daemon, TAG)[2], read(daemon, image)[2]) == []


def layers(daemon: DockerClient, name: str, checkout: Path, folder: Path) -> list[str]:
    """Build this image of a checkout as `make images` does, and return the digests of its layers that have content."""
    with built_image(daemon, folder, matrix.load().chosen([name])[0], checkout=checkout) as made:
        found = daemon.images.get(made).attrs["RootFS"]["Layers"]
    return [layer for layer in found if layer != EMPTY]


@pytest.mark.parametrize("name", ["agent-python", "agent-python-hardened"])
def test_an_edit_of_a_program_changes_the_last_layer_and_starts_no_tool(
    daemon: DockerClient, tmp_path: Path, name: str
) -> None:
    """Prevents minutes of waiting for the tools, which are started for the inventory in the layer before, and hosts
    that pull them again, at each edit."""
    ensure_base(lambda _: None)
    shutil.copytree(CHECKOUT / "images", tmp_path / "images", ignore=shutil.ignore_patterns("__pycache__"))
    before = layers(daemon, name, tmp_path, tmp_path / "out")
    with (tmp_path / "images" / "agent" / "program" / "start.py").open("a") as source:
        source.write(f'\nEDITED = "{uuid.uuid4()}"\n')
    after = layers(daemon, name, tmp_path, tmp_path / "out")
    assert after[:-1] == before[:-1]
    assert after[-1] != before[-1]


def test_the_scan_has_nothing_to_say_of_it(daemon: DockerClient, image: str) -> None:
    """A finding in an image of the family ends the pipeline before anything is published."""
    saved: Any = daemon.images.get(image).save()
    with temporary() as work:
        found, carried = scanned_image(image, opened(saved, work))
    assert found == []
    assert {each.ecosystem for each in carried} >= {"Debian:12", "PyPI"}


def test_a_hardened_image_has_no_shell_and_nothing_that_installs(daemon: DockerClient, agents: dict[str, str]) -> None:
    """Whoever gets into it must find nothing to go on with."""
    names = {Path(each.name).name for each in files(daemon, agents["python-hardened"]) if "/bin/" in f"/{each.name}"}
    assert names & SHELLS == set()
    assert {"python3", "pytest", "ruff", "bandit"} <= names


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        ({"tmpfs": {"/tmp": ""}}, 81, "no workspace is mounted at /workspace"),
        ({"environment": {"AGENT_WORKSPACE": "/nowhere"}}, 81, "/nowhere is not there"),
        ({"tmpfs": {"/tmp": "", "/workspace": "ro"}}, 82, "mounted read-only"),
        ({"volumes": {"/root": {"bind": "/workspace", "mode": "rw"}}, "tmpfs": {"/tmp": ""}}, 83, "belongs to 0:0"),
        ({"environment": {"TIMEOUT_DEFAULT": "soon"}}, 85, "TIMEOUT_DEFAULT: 'soon' was given"),
        ({"environment": {"MCP_PROXY_URL": "proxy"}}, 85, "MCP_PROXY_URL"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_is_missing_is_said_in_a_line_and_by_an_exit_code_of_its_own(
    image: str, start: Start, options: dict[str, object], code: int, words: str
) -> None:
    """An agent that starts without its workspace loses its work; a stack trace tells nobody why."""
    given, said = ended(start(image, ["python3", "-c", "print('ran')"], **{"tmpfs": OPEN, **options}))
    assert given == code, said
    assert words in said
    assert len(said.splitlines()) == 1


def test_credentials_that_cannot_be_read_are_named(image: str, start: Start, tmp_path: Path) -> None:
    """The agent would ask for a login that nobody is there to give."""
    tmp_path.chmod(0o755)
    secret = tmp_path / "credentials.json"
    secret.write_text("{}")
    secret.chmod(0)
    closed = tmp_path / "closed"
    closed.mkdir(mode=0)
    folder = "/home/agent/.claude"
    for source, place, words in (
        (secret, f"{folder}/.credentials.json", "cannot be read by user 1001"),
        (tmp_path, f"{folder}/.credentials.json", "are a folder"),
        (closed, folder, "cannot be read by user 1001"),
    ):
        mounts = {str(source): {"bind": place, "mode": "ro"}}
        code, said = ended(start(image, ["python3", "-c", ""], tmpfs=OPEN, volumes=mounts))
        assert code == 84, said
        assert words in said


def test_the_command_gets_signals_and_its_exit_code_is_the_containers(image: str, start: Start) -> None:
    """An agent that never hears of a stop is killed in the middle of its work."""
    wait = "import signal, sys; signal.signal(15, lambda *_: sys.exit(7)); print('up', flush=True); signal.pause()"
    container = start(image, ["python3", "-c", wait], tmpfs=OPEN)
    wait_for(lambda: "up" in logs(container), "the command runs")
    container.stop(timeout=20)
    assert state(container)["ExitCode"] == 7
    for command, code in (
        (["python3", "-c", "raise SystemExit(3)"], 3),
        (["python3", "-c", "import os; os.kill(os.getpid(), 9)"], 137),
        (["no-such-program"], 127),
        (["/etc/passwd"], 126),
    ):
        assert ended(start(image, command, tmpfs=OPEN))[0] == code


def test_without_a_command_it_stays_healthy_and_collects_orphans(image: str, start: Start, volume: str) -> None:
    """A standing agent fills its process limit with the dead, or takes ten seconds to stop."""
    container = start(image, volumes={volume: {"bind": "/workspace", "mode": "rw"}})
    wait_for(lambda: run_inside(container, *HEALTH)[0] == 0, "it is healthy")
    orphan = "import os; os.fork() or (os.fork() or os._exit(0), os._exit(0))"
    assert run_inside(container, "python3", "-c", orphan)[0] == 0
    zombies = "import glob; print(sum(') Z ' in open(name).read() for name in glob.glob('/proc/[0-9]*/stat')))"
    wait_for(lambda: run_inside(container, "python3", "-c", zombies) == (0, "0"), "the dead are collected")
    assert run_inside(container, "python3", "-c", "open('/workspace/f', 'w')") == (0, "")
    container.stop(timeout=20)
    assert state(container)["ExitCode"] == 0


def test_git_takes_the_workspace_whoever_owns_it(agents: dict[str, str], start: Start) -> None:
    """Git refuses a repository of another user, and `exec` does not see what the first process exported."""
    container = start(agents["python"], tmpfs=OPEN)
    wait_for(lambda: state(container)["Running"], "it runs")
    assert run_inside(container, "git", "init", "-q", ".", user="1002:1002")[0] == 0
    assert run_inside(container, "git", "status", "--short") == (0, "")


def test_it_runs_as_any_user_of_a_cluster(image: str, start: Start) -> None:
    """A cluster may choose the user, which then has no name and no home in the image."""
    show = "import os; print(os.getuid(), os.access(os.environ['HOME'], os.W_OK))"
    assert ended(start(image, ["python3", "-c", show], tmpfs=OPEN, user="1000660000:0")) == (0, "1000660000 True\n")


def test_the_first_process_of_another_program_is_not_taken_for_a_sandbox(image: str, start: Start) -> None:
    """A container whose definition names Python itself would wait for a job for ever."""
    assert ended(start(image, ["-c", "print(1)"], entrypoint="python3")) == (0, "1\n")


def test_a_tool_that_was_changed_is_unhealthy(agents: dict[str, str], start: Start) -> None:
    """The health check starts no tool: it must still see one that is not what was built."""
    container = start(agents["python"], tmpfs=OPEN, read_only=False, user="0:0")
    wait_for(lambda: run_inside(container, *HEALTH)[0] == 0, "it is healthy")
    assert run_inside(container, "bash", "-c", "echo >> /usr/bin/git")[0] == 0
    code, said = run_inside(container, *HEALTH)
    assert code == 1
    assert "git: /usr/bin/git is not the program that the image was built with" in said


def test_proxies_reach_programs_of_either_spelling(image: str, start: Start) -> None:
    """curl reads only the small letters, and much else only the large ones (G2)."""
    show = "import os; print(*(os.environ[n] for n in ('http_proxy', 'HTTPS_PROXY', 'NODE_USE_ENV_PROXY')))"
    environment = {"HTTP_PROXY": "http://p:1", "https_proxy": "http://p:2"}
    assert ended(start(image, ["python3", "-c", show], tmpfs=OPEN, environment=environment)) == (
        0,
        "http://p:1 http://p:2 1\n",
    )
