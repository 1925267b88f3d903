"""The bundle's archive: a tar whose first entry lists all others with their SHA-256; how it is checked and unpacked.

Needs nothing but Python itself, because it is what installs everything else: `python3 engine/bundle/archive.py BUNDLE
CHECKOUT` checks the bundle, unpacks it into the user's cache and prints the folder.
"""

import fcntl
import hashlib
import json
import os
import shutil
import sys
import tarfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any

MANIFEST = "manifest.json"
FORMAT = 1
_CHUNK_BYTES = 1 << 20
_MANIFEST_BYTES = 4 << 20
"""A longer manifest is none of ours: a real one has a few hundred entries."""
_COMPLETE = ".complete"
_RESERVED = (MANIFEST, _COMPLETE)

Report = Callable[[str], None]


class BundleError(Exception):
    """The bundle must not be used. The first line says which entry is wrong and how, the others what to do."""


def unpack(bundle: Path, cache: Path, report: Report) -> Path:
    """The folder with the bundle's entries, each checked against the manifest; raises BundleError.

    Everything is read and checked on every call, and the folder appears whole or not at all: nothing of a bundle with
    one wrong entry is used. What is unpacked already, from the same manifest, is checked too, and written again only
    where it was changed since.
    """
    try:
        size = bundle.stat().st_size
        with tarfile.open(bundle, "r:") as archive, _alone(cache, report):
            return _unpacked(archive, bundle, size, cache, report)
    except FileNotFoundError:
        raise BundleError(f"{bundle} does not exist.\nBUNDLE names the archive that `make bundle` wrote.") from None
    except tarfile.ReadError as error:
        raise BundleError(f"{bundle} is no bundle, or its first entry is cut off: {error}.\n{_AGAIN}") from error
    except OSError as error:
        raise BundleError(f"{bundle} could not be unpacked: {error}.") from error


@contextmanager
def _alone(cache: Path, report: Report) -> Generator[None]:
    """Wait for other commands that unpack: one would take away the folder from which the other installs."""
    folder = cache / "bundles"
    folder.mkdir(parents=True, exist_ok=True)
    # The folder itself is the lock: a refused bundle leaves no file.
    lock = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report("Waiting for another command that unpacks a bundle.")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


_AGAIN = "Copy it again from where it was made, and compare the SHA-256 beside it."


def _unpacked(archive: tarfile.TarFile, bundle: Path, size: int, cache: Path, report: Report) -> Path:
    text, manifest = _manifest(archive, bundle)
    wanted: dict[str, dict[str, Any]] = manifest["entries"]
    folder = cache / "bundles" / hashlib.sha256(text).hexdigest()[:16]
    there = (folder / _COMPLETE).exists() and _is_whole(folder, text, wanted)
    part = folder.with_name(f"{folder.name}.part-{os.getpid()}")
    report(f"Checking {bundle.name}: {len(wanted)} entries, {size / 1e6:.0f} MB.")
    if not there:
        _remove_abandoned(folder)
        _check_space(cache, size)
        part.mkdir(parents=True)
        (part / MANIFEST).write_bytes(text)
    try:
        seen = _entries(archive, bundle, wanted, None if there else part)
        if missing := sorted(wanted.keys() - seen):
            raise BundleError(f"{bundle.name} is cut off: {missing[0]} is missing ({len(missing)} in all).\n{_AGAIN}")
        if not there:
            (part / _COMPLETE).touch()
            shutil.rmtree(folder, ignore_errors=True)
            part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return folder


def _is_whole(folder: Path, manifest: bytes, wanted: dict[str, dict[str, Any]]) -> bool:
    """Say whether the folder still has what was unpacked: that is what gets installed, and not the archive."""
    try:
        if (folder / MANIFEST).read_bytes() != manifest:
            return False
        for name, listed in wanted.items():
            with (folder / name).open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != listed["sha256"]:
                    return False
    except OSError:
        return False
    # A wheel that is there beside them would be found among the others.
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}
    return found == {*wanted, MANIFEST, _COMPLETE}


def _remove_abandoned(folder: Path) -> None:
    """Remove what runs that were killed had begun to unpack: it is as large as the bundle."""
    for part in folder.parent.glob("*.part-*"):
        try:
            os.kill(int(part.name.rpartition("-")[2]), 0)
        except ProcessLookupError:
            shutil.rmtree(part, ignore_errors=True)
        except (PermissionError, ValueError):
            continue


def _manifest(archive: tarfile.TarFile, bundle: Path) -> tuple[bytes, dict[str, Any]]:
    first = archive.next()
    # A link would lead to any other entry, of any size.
    plain = first is not None and first.name == MANIFEST and first.isreg() and first.size <= _MANIFEST_BYTES
    source = archive.extractfile(first) if first is not None and plain else None
    if source is None:
        raise BundleError(f"{bundle} is no bundle: its first entry is not {MANIFEST}.\n{_AGAIN}")
    text = source.read()
    try:
        manifest = json.loads(text)
        entries = manifest["entries"]
        good = all(len(each["sha256"]) == 64 and each["bytes"] >= 0 for each in entries.values())
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        good, manifest, entries = False, {}, {}
    if not good:
        raise BundleError(f"{MANIFEST} of {bundle.name} cannot be read: it was changed or cut off.\n{_AGAIN}")
    if manifest.get("format") != FORMAT:
        raise BundleError(
            f"{bundle.name} has the format {manifest.get('format')!r}; this version of the project reads {FORMAT}.\n"
            "Install with the version that made the bundle; its README names it."
        )
    for name in entries:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or name != str(path) or "\0" in name or name in _RESERVED:
            raise BundleError(f"{MANIFEST} of {bundle.name} lists {name!r}, which would lie outside it.\n{_AGAIN}")
    return text, manifest


def _entries(
    archive: tarfile.TarFile, bundle: Path, wanted: dict[str, dict[str, Any]], folder: Path | None
) -> set[str]:
    """Check all entries; write them where there is a folder. Returns their names."""
    seen: set[str] = set()
    last = MANIFEST
    try:
        while (member := archive.next()) is not None:
            last = member.name
            listed = wanted.get(member.name)
            if listed is None or not member.isreg() or member.name in seen:
                raise BundleError(f"{bundle.name}: {member.name} is not in its {MANIFEST}.\n{_AGAIN}")
            source = archive.extractfile(member)
            assert source is not None  # noqa: S101 - a regular file, as was just asked
            target = None if folder is None else folder / member.name
            digest, read = _copied(source, target)
            if read != listed["bytes"] or digest != listed["sha256"]:
                how = "is cut off" if read < listed["bytes"] else "was changed"
                raise BundleError(
                    f"{bundle.name}: {member.name} {how} (SHA-256 {digest[:12]}…, listed {listed['sha256'][:12]}…).\n"
                    f"{_AGAIN}"
                )
            if target is not None and listed.get("executable"):
                target.chmod(0o755)
            seen.add(member.name)
    except tarfile.ReadError as error:
        raise BundleError(f"{bundle.name} is cut off in or after {last}: {error}.\n{_AGAIN}") from error
    return seen


def _copied(source: IO[bytes], target: Path | None) -> tuple[str, int]:
    digest, read = hashlib.sha256(), 0
    if target is not None:
        target.parent.mkdir(parents=True, exist_ok=True)
    with open(os.devnull if target is None else target, "wb") as output:  # noqa: PTH123 - one of two kinds of path
        while chunk := source.read(_CHUNK_BYTES):
            digest.update(chunk)
            read += len(chunk)
            output.write(chunk)
    return digest.hexdigest(), read


def _check_space(cache: Path, needed: int) -> None:
    cache.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(cache).free
    if free < needed:
        raise BundleError(
            f"Unpacking the bundle takes {needed / 1e9:.1f} GB in {cache}; {free / 1e9:.1f} GB are free.\n"
            "Free space there, or set XDG_CACHE_HOME to a folder on another disk."
        )


def refuse_other_version(folder: Path, checkout: Path) -> None:
    """Raise BundleError where the bundle's wheels are not those that the checkout's uv.lock names."""
    manifest = json.loads((folder / MANIFEST).read_text())
    lock = hashlib.sha256((checkout / "uv.lock").read_bytes()).hexdigest()
    if manifest.get("lock") != hashlib.sha256(lock.encode()).hexdigest():
        raise BundleError(
            f"The bundle was made from commit {manifest.get('commit')}, and this checkout has another uv.lock.\n"
            "Check that commit out, or make the bundle anew from this one."
        )


def main() -> None:
    """Print the folder; what is done goes to standard error."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "agent-fleet"
    try:
        folder = unpack(Path(sys.argv[1]), cache, lambda line: print(line, file=sys.stderr))  # noqa: T201
        refuse_other_version(folder, Path(sys.argv[2]))
    except BundleError as error:
        sys.exit(str(error))
    sys.stdout.write(f"{folder}\n")


if __name__ == "__main__":
    main()
