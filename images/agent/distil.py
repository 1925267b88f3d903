"""Makes the root of the hardened images: Python and the C library with what they need, and no program beside them.

Called while the image is built, as `distil.py FOLDER`. What was taken from which package stands in
/var/lib/dpkg/status.d, where scanners look for it. Ends with an error if a program or library would miss another one.
"""

import compileall
import fnmatch
import os
import py_compile
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

_LIBRARIES = (
    *("libbz2-1.0", "libexpat1", "libffi8", "libgcc-s1", "liblzma5", "libncursesw6", "libreadline8"),
    *("libsqlite3-0", "libssl3", "libstdc++6", "libtinfo6", "libuuid1", "zlib1g", "libc6", "libcrypt1"),
)
_PYTHON = ("libpython3.11-minimal", "libpython3.11-stdlib", "python3-minimal", "python3.11-minimal")
_OTHERS = ("base-files", "ca-certificates", "libc-bin", "tzdata")

TAKEN = ("/lib/*", "/lib64/*", "/usr/lib/*", "/usr/bin/python3*", "/etc/os-release", "/usr/share/zoneinfo/*")
"""Of those packages; without their documents and maintainers' scripts."""

LEFT_OUT = (
    *(f"/usr/lib/python3.11/{name}/*" for name in ("pydoc_data", "lib2to3", "distutils", "idlelib", "test")),
    *("/usr/lib/python3.11/turtle*", "/usr/lib/python3.11/lib-dynload/nis.*", "/usr/lib/python3.11/lib-dynload/_dbm.*"),
    *("/usr/lib/python3.11/sitecustomize.py", "/etc/python3.11/*", "/usr/share/zoneinfo/right/*"),
    *("/usr/share/zoneinfo/posix/*", "*/gconv/*", "*.pyc"),
)
"""What draws, teaches or tests, and what needs a library that nothing else does."""

FILES = {
    "etc/passwd": "root:x:0:0:root:/nonexistent:/usr/sbin/nologin\n"
    "agent:x:1001:1001::/home/agent:/usr/sbin/nologin\n"
    "sandbox:x:10001:10001::/tmp:/usr/sbin/nologin\n"
    "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
    "etc/group": "root:x:0:\nagent:x:1001:\nsandbox:x:10001:\nnogroup:x:65534:\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
}
FOLDERS = {
    **dict.fromkeys(("dev", "proc", "run", "run/egress", "sys", "usr/local", "usr/local/bin"), (0, 0, 0o755)),
    "usr/local/lib/agent": (0, 0, 0o755),
    "tmp": (0, 0, 0o1777),
    "home/agent": (1001, 1001, 0o755),
    "job": (10001, 10001, 0o700),
    "workspace": (10001, 10001, 0o1777),
}
"""Owner, group and mode, as in the images with a shell."""
FILE_TIME = 1_767_225_600
"""The base's time of all files, in seconds since 1970: the same packages give the same bytes."""


def said(*command: str) -> str:
    """Return the output of a command that must succeed."""
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def real(path: str) -> Path:
    """Resolve links among its folders: packages still say /lib for /usr/lib."""
    return Path(path).parent.resolve() / Path(path).name


def taken(package: str) -> Iterator[Path]:
    """Yield the files and links of an installed package that come along."""
    for path in said("dpkg-query", "--listfiles", package).splitlines():
        chosen = any(fnmatch.fnmatch(path, pattern) for pattern in TAKEN)
        dropped = any(fnmatch.fnmatch(path, pattern) for pattern in LEFT_OUT)
        place = real(path)
        if chosen and not dropped and place.exists() and (place.is_symlink() or not place.is_dir()):
            yield place


def copy(source: Path, root: Path) -> None:
    """Copy one file or link to the same place below `root`, without set-user-ID bits."""
    target = root / source.relative_to("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source, target, follow_symlinks=False)
    if not target.is_symlink():
        target.chmod(stat.S_IMODE(target.stat().st_mode) & 0o0755)


def fill(root: Path) -> set[Path]:
    """Copy what the packages have, with each one's licence and description; return what was copied."""
    copied: set[Path] = set()
    for package in (*_LIBRARIES, *_PYTHON, *_OTHERS):
        files = set(taken(package))
        for source in sorted(files):
            copy(source, root)
        copied |= files
        described = root / "var/lib/dpkg/status.d" / package
        described.parent.mkdir(parents=True, exist_ok=True)
        described.write_text(said("dpkg-query", "--status", package))
    return copied


def finish(root: Path) -> None:
    """Make what no package owns: users, folders, and links of merged folders; and public authorities' certificates."""
    for name, (user, group, mode) in FOLDERS.items():
        (root / name).mkdir(parents=True, exist_ok=True)
        os.chown(root / name, user, group)
        (root / name).chmod(mode)
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    for name in ("bin", "lib", "lib64", "sbin"):
        if Path("/", name).is_symlink():
            (root / "usr" / name).mkdir(parents=True, exist_ok=True)
            (root / name).symlink_to(f"usr/{name}")
    copy(Path("/etc/ssl/certs/ca-certificates.crt"), root)
    (root / "usr/lib/ssl").mkdir(parents=True, exist_ok=True)
    (root / "usr/lib/ssl/cert.pem").unlink(missing_ok=True)
    (root / "usr/lib/ssl/cert.pem").symlink_to("/etc/ssl/certs/ca-certificates.crt")


def missing_libraries(copied: set[Path]) -> Iterator[str]:
    """Yield what the copied programs and libraries need and nobody copied."""
    for program in sorted(copied):
        with program.open("rb") as content:
            if content.read(4) != b"\x7fELF":
                continue
        for line in subprocess.run(["ldd", str(program)], capture_output=True, text=True, check=False).stdout.split(
            "\n"
        ):
            name, _, found = line.strip().partition(" => ")
            if found and real(found.partition(" (")[0]) not in copied:
                yield f"{program} needs {name}"


def main(root: Path) -> None:
    """Make the root in the folder."""
    copied = fill(root)
    finish(root)
    if missing := list(missing_libraries({path for path in copied if path.is_file()})):
        raise SystemExit("not taken into the image:\n" + "\n".join(missing))
    # The root is read-only where this runs: what has no byte code is compiled again at every start.
    library, mode = root / "usr/lib/python3.11", py_compile.PycInvalidationMode.UNCHECKED_HASH
    if not compileall.compile_dir(library, quiet=1, stripdir=str(root), prependdir="/", invalidation_mode=mode):
        raise SystemExit("a module of Python's library does not compile")
    for path in sorted(root.rglob("*"), reverse=True):
        os.utime(path, (FILE_TIME, FILE_TIME), follow_symlinks=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
