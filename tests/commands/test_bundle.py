"""The bundle's archive: written whole, checked whole, and refused by the name of what is wrong in it."""

import fcntl
import io
import json
import os
import subprocess
import sys
import tarfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from small_bundle import small_staging

from engine.bundle import archive
from engine.bundle.archive import BundleError, unpack
from engine.bundle.writing import Staging, check_space
from engine.errors import UserFacingError

_ID = "sha256:" + "a1" * 32


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A whole bundle of three small entries."""
    target = tmp_path / "bundle.tar"
    small_staging(tmp_path / "work").write(target)
    return target


def _quiet(line: str) -> None:
    """Nobody reads it."""


def _rewritten(bundle: Path, change: dict[str, bytes | None], more: dict[str, bytes] | None = None) -> None:
    """The same archive with some entries changed, or left out where None is given, and others added at its end."""
    with tarfile.open(bundle) as source:
        kept = {member.name: source.extractfile(member).read() for member in source}  # type: ignore[union-attr]
    kept |= more or {}
    with tarfile.open(bundle, "w") as target:
        for name, content in kept.items():
            replaced = change.get(name, content)
            if replaced is not None:
                member = tarfile.TarInfo(name)
                member.size = len(replaced)
                target.addfile(member, io.BytesIO(replaced))


def _refused(bundle: Path, cache: Path) -> str:
    with pytest.raises(BundleError) as refusal:
        unpack(bundle, cache, _quiet)
    left = [path for path in cache.rglob("*") if path.is_file()]
    assert not left, left
    return str(refusal.value)


def test_a_whole_bundle_is_unpacked_as_it_was_written(bundle: Path, tmp_path: Path) -> None:
    """Prevents entries that are lost or changed on the way."""
    folder = unpack(bundle, tmp_path / "cache", _quiet)
    assert (folder / "README.md").read_text() == "read me\n"
    assert (folder / "images" / "runtime.tar.gz").read_text() == "layers" * 5000
    assert unpack(bundle, tmp_path / "cache", _quiet) == folder


@pytest.mark.parametrize("entry", ["README.md", "images/runtime.tar.gz", "wheels/one.whl"])
def test_a_changed_entry_is_named_and_nothing_is_unpacked(bundle: Path, tmp_path: Path, entry: str) -> None:
    """Prevents an install from what somebody changed on the way, and a refusal that leaves one guessing."""
    with tarfile.open(bundle) as source:
        content = bytearray(source.extractfile(entry).read())  # type: ignore[union-attr]
    content[-1] ^= 1
    _rewritten(bundle, {entry: bytes(content)})
    assert f"{entry} was changed" in _refused(bundle, tmp_path / "cache")


def test_a_changed_entry_is_refused_of_a_bundle_that_was_installed_before(bundle: Path, tmp_path: Path) -> None:
    """Prevents trust in what was checked once."""
    unpack(bundle, tmp_path / "cache", _quiet)
    _rewritten(bundle, {"wheels/one.whl": b"another"})
    with pytest.raises(BundleError, match=r"wheels/one\.whl was changed"):
        unpack(bundle, tmp_path / "cache", _quiet)


@pytest.mark.parametrize("damage", ["changed", "removed", "added", "manifest"])
def test_what_was_changed_since_it_was_unpacked_is_not_used(bundle: Path, tmp_path: Path, damage: str) -> None:
    """Prevents an install from files that nobody checked: a power cut, or somebody, has changed them since."""
    folder = unpack(bundle, tmp_path / "cache", _quiet)
    wheel = folder / "wheels" / "one.whl"
    if damage == "removed":
        wheel.unlink()
    else:
        name = {"changed": wheel, "added": folder / "wheels" / "evil.whl", "manifest": folder / "manifest.json"}
        name[damage].write_text("another")
    assert unpack(bundle, tmp_path / "cache", _quiet) == folder
    assert wheel.read_text() == "a wheel"
    assert not (folder / "wheels" / "evil.whl").exists()
    assert "README.md" in json.loads((folder / "manifest.json").read_text())["entries"]


@pytest.mark.parametrize("made", ["dangling", "link", "deep"])
def test_a_manifest_that_nobody_can_have_written_is_refused(tmp_path: Path, made: str) -> None:
    """Prevents a stack trace, and a manifest that is a link to gigabytes, which would be read into memory."""
    bundle = tmp_path / "bundle.tar"
    with tarfile.open(bundle, "w") as target:
        member = tarfile.TarInfo("manifest.json")
        if made == "deep":
            member.size = 200_000
            target.addfile(member, io.BytesIO(b"[" * member.size))
        else:
            member.type, member.linkname = tarfile.SYMTYPE, "large"
            target.addfile(member)
        if made == "link":
            large = tarfile.TarInfo("large")
            large.size = 10
            target.addfile(large, io.BytesIO(b"0123456789"))
    assert ("cannot be read" if made == "deep" else "is no bundle") in _refused(bundle, tmp_path / "cache")


@pytest.mark.parametrize("left", [10, 700, 5_000, 20_000])
def test_a_bundle_that_is_cut_off_is_refused(bundle: Path, tmp_path: Path, left: int) -> None:
    """Prevents an install from a copy that broke off, wherever it did."""
    bundle.write_bytes(bundle.read_bytes()[:left])
    said = _refused(bundle, tmp_path / "cache")
    assert "cut off" in said or "no bundle" in said
    assert "Copy it again" in said


def test_a_missing_entry_is_named(bundle: Path, tmp_path: Path) -> None:
    """Prevents an install that fails in its middle for want of a file."""
    _rewritten(bundle, {"images/runtime.tar.gz": None})
    assert "images/runtime.tar.gz is missing" in _refused(bundle, tmp_path / "cache")


def test_an_entry_that_the_manifest_does_not_list_is_refused(bundle: Path, tmp_path: Path) -> None:
    """Prevents a wheel that somebody added, which pip would find among the others."""
    _rewritten(bundle, {}, {"wheels/evil.whl": b"evil"})
    assert "wheels/evil.whl is not in its manifest.json" in _refused(bundle, tmp_path / "cache")


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "wheels/../../outside", ".complete", "wheels/a\0b"])
def test_a_manifest_that_lists_a_path_outside_is_refused(bundle: Path, tmp_path: Path, name: str) -> None:
    """Prevents an archive from writing where it likes, and one that ends with a stack trace."""
    entry = {"kind": "text", "bytes": 0, "sha256": "0" * 64}
    _rewritten(bundle, {"manifest.json": json.dumps({"format": 1, "entries": {name: entry}}).encode()})
    assert repr(name)[1:-1] in _refused(bundle, tmp_path / "cache")


@pytest.mark.parametrize("text", [b"", b"[]", b"{", b'{"entries": {"a": {}}}', b'{"entries": []}'])
def test_a_manifest_that_cannot_be_read_is_an_error_of_one_line(bundle: Path, tmp_path: Path, text: bytes) -> None:
    """Prevents a stack trace."""
    _rewritten(bundle, {"manifest.json": text})
    assert "manifest.json of bundle.tar cannot be read" in _refused(bundle, tmp_path / "cache")


def test_a_bundle_of_another_version_is_refused_by_the_commit_that_it_needs(bundle: Path, tmp_path: Path) -> None:
    """Prevents a long install that ends with wheels which uv.lock does not know."""
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    (checkout / "uv.lock").write_text("another")
    run = subprocess.run(
        [sys.executable, "-I", "-S", archive.__file__, bundle, checkout],
        capture_output=True, text=True, check=False, timeout=60, env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert run.returncode == 1
    assert "made from commit c0ffee" in run.stderr
    assert "Traceback" not in run.stderr


def test_the_archive_is_the_same_whenever_it_is_written(bundle: Path, tmp_path: Path) -> None:
    """Prevents two bundles of one content that cannot be told from a changed one."""
    other = tmp_path / "other.tar"
    small_staging(tmp_path / "elsewhere").write(other)
    assert other.read_bytes() == bundle.read_bytes()


def test_an_entry_that_was_finished_is_not_made_again(tmp_path: Path) -> None:
    """Prevents a second hour after an interruption."""
    made: list[str] = []

    def make(part: Path) -> None:
        made.append(part.name)
        part.write_text("content")

    for _ in range(2):
        Staging(tmp_path).add("images/a.tar.gz", "image", make, "one")
    assert len(made) == 1
    Staging(tmp_path).add("images/a.tar.gz", "image", make, "another")
    assert len(made) == 2


def test_a_run_that_broke_off_leaves_no_archive(tmp_path: Path) -> None:
    """Prevents half an archive under the name of a whole one."""
    staging = small_staging(tmp_path / "work")
    (tmp_path / "work" / "entries" / "wheels" / "one.whl").unlink()
    with pytest.raises(FileNotFoundError):
        staging.write(tmp_path / "bundle.tar")
    assert not (tmp_path / "bundle.tar").exists()


def test_a_disk_without_room_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    """Prevents a disk that is full after half an hour."""
    with pytest.raises(UserFacingError, match="GB are free"):
        check_space(tmp_path, 1 << 60)


def test_what_killed_runs_had_begun_to_unpack_is_removed(bundle: Path, tmp_path: Path) -> None:
    """Prevents a cache with gigabytes of each kill, in which at last no bundle has room."""
    bundles = tmp_path / "cache" / "bundles"
    dead, alive = bundles / f"a1.part-{2**22 - 1}", bundles / "a1.part-1"
    for part in (dead, alive):
        (part / "images").mkdir(parents=True)
    folder = unpack(bundle, tmp_path / "cache", _quiet)
    assert sorted(bundles.iterdir()) == sorted([folder, alive])


def test_two_commands_that_unpack_one_bundle_take_turns(bundle: Path, tmp_path: Path) -> None:
    """The second would take away the folder from which the first installs."""
    cache, waiting = tmp_path / "cache", threading.Event()

    def report(line: str) -> None:
        if line.startswith("Waiting"):
            waiting.set()

    (cache / "bundles").mkdir(parents=True)
    lock = os.open(cache / "bundles", os.O_RDONLY)
    with ThreadPoolExecutor(1) as pool:
        fcntl.flock(lock, fcntl.LOCK_EX)
        second = pool.submit(unpack, bundle, cache, report)
        assert waiting.wait(30)
        assert not second.done()
        assert not list((cache / "bundles").iterdir())
        os.close(lock)
        assert (second.result(30) / "manifest.json").exists()
