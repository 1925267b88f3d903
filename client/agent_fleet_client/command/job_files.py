"""`--file path[=target]`: files and folders of this machine, as files of a job."""

import os
import stat
from collections.abc import Generator, Iterable
from pathlib import Path, PurePosixPath

from agent_fleet_client.errors import FleetError, InvalidJobError
from agent_fleet_client.jobs import MAXIMUM_FILE_BYTES, MAXIMUM_FILES


def read_job_files(arguments: Iterable[str]) -> dict[str, bytes]:
    """Return target → content for all arguments; raises FleetError, and no more is read than a job may have."""
    files: dict[str, bytes] = {}
    left = MAXIMUM_FILE_BYTES
    for argument in arguments:
        path, target = split(argument)
        for name, source in _sources(path, target):
            if name in files:
                raise FleetError(f"--file: {name} is given twice; each target is one file (path=target names it).")
            if len(files) == MAXIMUM_FILES:
                raise InvalidJobError("files", f"are more than {MAXIMUM_FILES}, which is the limit; send an archive")
            files[name] = _read(source, left)
            left -= len(files[name])
    return files


def split(argument: str) -> tuple[str, str]:
    """Return the path and the target of `path[=target]`: the last `=` parts them.

    Without a target, it is the path where that is relative and stays below this folder, and its last name otherwise. A
    file whose name has a `=` can be given without a target where nothing else can be meant.
    """
    before, equals, after = argument.rpartition("=")
    if equals and before:
        whole, part = os.path.lexists(argument), os.path.lexists(before)
        if not whole or part:
            if whole:
                raise FleetError(f"--file: both {argument} and {before} are there; say {argument}=TARGET to be clear.")
            if not after:
                raise FleetError(f"--file: {argument} has no target after its `=`.")
            return before, after
    if not argument:
        raise FleetError("--file: a path is missing; it is --file path, or --file path=target.")
    return argument, _default_target(argument)


def _default_target(path: str) -> str:
    normal = os.path.normpath(path)
    if normal.startswith("/") or normal.split("/", 1)[0] == "..":
        normal = PurePosixPath(normal).name
    # The folder itself: what is in it goes to the job's folder.
    return "" if normal in (".", "..", "/") else normal


def _sources(path: str, target: str) -> Generator[tuple[str, Path]]:
    """Give target and source of a file, or of every file below a folder, in the order of their names."""
    root = Path(path)
    if not root.is_dir():
        yield _text(target or PurePosixPath(path).name, path), root
        return
    for folder, folders, names in os.walk(root, onerror=_fail):
        folders.sort()
        for name in sorted(names):
            source = Path(folder, name)
            relative = source.relative_to(root).as_posix()
            if not stat.S_ISREG(_status(source).st_mode):
                raise FleetError(
                    f"--file: {_shown(str(source))} is no regular file; name the files of the folder apart."
                )
            yield _text(f"{target}/{relative}" if target else relative, str(source)), source


def _fail(error: OSError) -> None:
    raise FleetError(f"--file: {_shown(str(error.filename))} cannot be read: {error.strerror}.")


def _status(path: Path) -> os.stat_result:
    try:
        return path.stat()
    except OSError as error:
        raise FleetError(f"--file: {_shown(str(path))} cannot be read: {error.strerror}.") from None


def _read(path: Path, left: int) -> bytes:
    """Read a file of at most `left` bytes; a pipe, where it was named by itself, is read to its end."""
    try:
        with path.open("rb") as file:
            data = file.read(left + 1)
    except OSError as error:
        raise FleetError(f"--file: {_shown(str(path))} cannot be read: {error.strerror}.") from None
    except ValueError as error:
        raise FleetError(f"--file: {_shown(str(path))} cannot be a path: {error}.") from None
    if len(data) > left:
        raise InvalidJobError(
            "files",
            f"are more than {MAXIMUM_FILE_BYTES} bytes in all, which is the limit (reached at {_shown(str(path))})",
        )
    return data


def _text(target: str, source: str) -> str:
    try:
        target.encode()
    except UnicodeEncodeError:
        raise FleetError(f"--file: the name {_shown(source)} is not UTF-8; give it a target, path=target.") from None
    return target


def _shown(path: str) -> str:
    return path.encode(errors="surrogateescape").decode(errors="replace")
