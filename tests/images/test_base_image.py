"""The base image: pulled by digest where a registry answers, made here where none does, or one clear error."""

import contextlib
import hashlib
import io
import os
import shutil
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from containers import Start, ended, wait_for
from docker import DockerClient
from docker.errors import ImageNotFound
from image_builds import CHECKOUT
from small_registry import small_registry

from images.base import ensure, root_filesystem
from images.base.ensure import BaseImageError, ensure_base

NOWHERE = "127.0.0.1:9/debian@sha256:" + "0" * 64
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="debootstrap works for root only")


@pytest.fixture
def tag(daemon: DockerClient, run_name: str) -> Iterator[str]:
    """A tag that nothing has yet."""
    name = f"{run_name}/base-{uuid.uuid4().hex[:6]}:1"
    yield name
    with contextlib.suppress(ImageNotFound):
        daemon.images.remove(name, force=True)


def _exists(daemon: DockerClient, tag: str) -> bool:
    try:
        daemon.images.get(tag)
    except ImageNotFound:
        return False
    return True


def _refused(tag: str, cache: Path, official: str = NOWHERE) -> str:
    with pytest.raises(BaseImageError) as refusal:
        ensure_base(lambda _: None, tag=tag, official=official, cache=cache)
    return str(refusal.value)


def test_the_official_image_is_named_by_digest() -> None:
    """A tag would give two machines two bases."""
    name, _, digest = ensure.OFFICIAL.partition("@sha256:")
    assert name == "debian"
    assert len(bytes.fromhex(digest)) == 32


def test_an_image_that_is_there_is_used_without_a_word(daemon: DockerClient, built: dict[str, str]) -> None:
    """A second run must change nothing, and need neither a network nor root."""
    said: list[str] = []
    assert ensure_base(said.append, official=NOWHERE, cache=Path("/nonexistent/cache")) == ensure.TAG
    assert said == []
    assert daemon.images.get(ensure.TAG).id == built["base"]


def test_a_registry_that_answers_gives_the_image(daemon: DockerClient, tag: str, tmp_path: Path) -> None:
    """Users with an open network get the image that Debian publishes."""
    said: list[str] = []
    with small_registry(tag.encode()) as registry:
        assert ensure_base(said.append, tag=tag, official=registry.reference, cache=tmp_path) == tag
        assert registry.reference in daemon.images.get(tag).attrs["RepoDigests"]
        daemon.images.remove(registry.reference)
    assert len(said) == 1


def test_an_image_with_another_content_than_its_digest_is_not_taken(
    daemon: DockerClient, tag: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A registry that was broken into must not choose what everything here is built on."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with small_registry(tag.encode(), forged=True) as registry:
        _refused(tag, tmp_path, registry.reference)
    assert not _exists(daemon, tag)


def test_a_registry_that_says_nothing_is_not_waited_for(
    daemon: DockerClient, tag: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind some firewalls packets vanish, and Docker alone would wait for minutes."""
    monkeypatch.setattr(ensure, "ANSWER_SECONDS", 0.5)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    said: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as silent:
        official = f"127.0.0.1:{silent.getsockname()[1]}/debian@sha256:{'0' * 64}"
        with pytest.raises(BaseImageError):
            ensure_base(said.append, tag=tag, official=official, cache=tmp_path)
    assert any("no answer within" in line for line in said)
    assert not _exists(daemon, tag)


def test_without_root_it_is_said_who_can_make_it(tag: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """debootstrap's own message speaks of mknod."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    said = _refused(tag, tmp_path)
    assert "only by root" in said
    assert tag in said


def test_without_docker_it_is_said_that_docker_is_missing(tag: str, tmp_path: Path) -> None:
    """A FileNotFoundError would be a stack trace to the user."""
    with pytest.raises(BaseImageError, match="not installed"):
        ensure_base(lambda _: None, tag=tag, docker="no-such-docker", cache=tmp_path)


def test_a_daemon_that_is_away_is_named(tag: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It must not be taken for an image that is missing, and thirty seconds spent on making one."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nothing.sock")
    assert "Start the daemon" in _refused(tag, tmp_path)


def test_a_disk_that_is_nearly_full_is_said_at_once(tag: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would otherwise be found half-way."""

    class Usage(NamedTuple):
        total: int = 10**10
        used: int = 10**10 - 10**8
        free: int = 10**8

    monkeypatch.setattr(os, "geteuid", lambda: 0)

    def usage(path: object) -> Usage:
        return Usage()

    monkeypatch.setattr(shutil, "disk_usage", usage)
    assert "100 MB free" in _refused(tag, tmp_path)


def test_a_system_without_debootstrap_and_apt_is_told_what_to_install(
    tag: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fedora, for one, has root and Docker but no apt-get."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)

    def which(program: str) -> None:
        return None

    monkeypatch.setattr(shutil, "which", which)
    assert "needs debootstrap" in _refused(tag, tmp_path)


@needs_root
def test_a_mirror_that_cannot_be_reached_is_named(tag: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """debootstrap's last line is about a Release file."""
    monkeypatch.setattr(root_filesystem, "MIRROR", "http://127.0.0.1:9/debian")
    said = _refused(tag, tmp_path)
    assert "http://127.0.0.1:9/debian cannot be reached" in said
    assert not (tmp_path / "root").exists()


@needs_root
def test_a_disk_that_fills_up_is_named_and_nothing_stays(
    daemon: DockerClient, tag: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a system in the cache would fill the disk for good."""
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=60m", "tmpfs", str(small)], check=True, timeout=20)
    try:
        (small / "packages").symlink_to(_packages())
        monkeypatch.setattr(ensure, "DISK_BYTES", 0)
        assert f"The disk with {small} is full" in _refused(tag, small)
        assert not (small / "root").exists()
    finally:
        subprocess.run(["umount", str(small)], check=True, timeout=20)
    assert not _exists(daemon, tag)


def _packages() -> Path:
    """The packages that an earlier run downloaded, so that tests load the mirror no more than once."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "agent-fleet" / "base" / "packages"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _processes_in(folder: Path) -> list[str]:
    found: list[str] = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if str(folder) in words and entry.name != str(os.getpid()):
                found.append(words)
    return found


@needs_root
@pytest.mark.timeout(400)
def test_it_is_made_here_also_after_a_run_that_was_killed(
    daemon: DockerClient, tag: str, tmp_path: Path, start: Start
) -> None:
    """A kill must leave no process, no mount and no half image, and the next run must not trip over its files."""
    (tmp_path / "packages").symlink_to(_packages())
    program = (
        "import sys; from pathlib import Path; from images.base.ensure import ensure_base\n"
        "ensure_base(print, tag=sys.argv[1], official=sys.argv[2], cache=Path(sys.argv[3]))"
    )
    making = subprocess.Popen([sys.executable, "-c", program, tag, NOWHERE, str(tmp_path)], cwd=CHECKOUT)
    wait_for(lambda: (tmp_path / "root" / "proc" / "self").exists() or _unpacking(tmp_path), "it is unpacking", 120)
    making.send_signal(signal.SIGKILL)
    making.wait()
    wait_for(lambda: not _processes_in(tmp_path), "what it had started has ended")
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()
    assert not _exists(daemon, tag)
    assert (tmp_path / "root").exists()

    said: list[str] = []
    assert ensure_base(said.append, tag=tag, official=NOWHERE, cache=tmp_path) == tag
    assert not (tmp_path / "root").exists()
    assert any("about 30 s" in line for line in said)
    _assert_shape(daemon, tag, start)


def _unpacking(cache: Path) -> bool:
    return (cache / "root" / "usr" / "bin" / "dpkg").exists()


def _assert_shape(daemon: DockerClient, tag: str, start: Start) -> None:
    """As the official slim image: small, without caches, and with nothing of the machine that made it."""
    image = daemon.images.get(tag)
    assert image.attrs["Config"]["Cmd"] == ["bash"]
    assert image.attrs["Config"]["Labels"]["agent-fleet.base"] == "debootstrap"
    assert image.attrs["Size"] < 90_000_000
    script = """
find /var/cache/apt /var/lib/apt/lists /var/log /usr/share/man /usr/share/locale /usr/share/info -type f
find /usr/share/doc -type f ! -name copyright
find / -xdev -newermt 2026-01-02 -type f ! -path '/etc/host*' ! -path /etc/resolv.conf ! -path /.dockerenv
cat /etc/machine-id
ls /usr/local/share/ca-certificates /etc/ssl/certs 2>/dev/null
grep -c security /etc/apt/sources.list.d/debian.sources
cut -d: -f3 /etc/shadow | uniq
"""
    assert ended(start(tag, ["-c", script], entrypoint="bash", cap_drop=[])) == (0, "2\n20454\n")


def test_the_same_files_give_the_same_archive(tmp_path: Path) -> None:
    """Two machines must come to one layer, or nothing built on it can be compared."""
    digests: set[str] = set()
    for turn in ("first", "second"):
        root = tmp_path / turn
        for name in ("b", "a"):
            (root / "usr" / name).mkdir(parents=True)
            (root / "usr" / name / "file").write_text(name)
        (root / "var" / "log").mkdir(parents=True)
        (root / "var" / "log" / "made").write_text(turn)
        (root / "etc").mkdir()
        (root / "etc" / "resolv.conf").write_text(turn)
        (root / "usr" / "link").symlink_to("a/file")
        os.link(root / "usr" / "a" / "file", root / "usr" / "hard")
        os.utime(root / "usr" / "a" / "file", (1, len(turn)))
        stream = io.BytesIO()
        root_filesystem.write_archive(root, stream)
        digests.add(hashlib.sha256(stream.getvalue()).hexdigest())
    assert len(digests) == 1
