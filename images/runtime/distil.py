"""Makes the runtime image's root file systems: of Debian's packages only the files that the service needs.

Called while the image is built, as `distil.py FOLDER`. It writes FOLDER/system and FOLDER/python, each of which becomes
a layer. What was taken from which package stands in /var/lib/dpkg/status.d, where scanners look for it. Ends with an
error if a program or library would miss another one.
"""

import compileall
import fnmatch
import os
import py_compile
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

_LIBRARIES = ("/lib/*/lib*.so*", "/usr/lib/*/lib*.so*")

LAYERS: Mapping[str, Mapping[str, Sequence[str]]] = {
    "system": {
        "base-files": ("/etc/debian_version", "/etc/os-release", "/usr/lib/os-release"),
        # Images are held on a cluster's nodes by a container that sleeps in each (components: ImagePrepull).
        "coreutils": ("/bin/sleep", "/bin/true"),
        "libc-bin": ("/usr/lib/locale/C.utf8/*",),
        "libc6": (*_LIBRARIES, "/lib/ld-*", "/lib64/ld-*", "/lib/*/ld-*"),
        "libgcc-s1": _LIBRARIES,
        "libstdc++6": _LIBRARIES,
        "tzdata": ("/usr/share/zoneinfo/*",),
        "zlib1g": _LIBRARIES,
    },
    "python": {
        "libbz2-1.0": _LIBRARIES,
        "libexpat1": _LIBRARIES,
        "libffi8": _LIBRARIES,
        "liblzma5": _LIBRARIES,
        "libpython3.11-minimal": ("/usr/lib/python3.11/*",),
        "libpython3.11-stdlib": ("/usr/lib/python3.11/*",),
        "libssl3": ("/usr/lib/*/libcrypto.so*", "/usr/lib/*/libssl.so*"),
        "libuuid1": _LIBRARIES,
        "python3-minimal": ("/usr/bin/python3",),
        "python3.11-minimal": ("/usr/bin/python3.11",),
    },
}
"""By layer and package, the files that are taken."""

# Modules that draw, teach, test or convert, and those that need a library which nothing else here does: Berkeley's
# database, NIS (which brings Kerberos), terminals, sound.
LEFT_OUT = (
    *(
        f"/usr/lib/python3.11/{name}/*"
        for name in ("pydoc_data", "lib2to3", "distutils", "idlelib", "test", "turtledemo")
    ),
    *("/usr/lib/python3.11/turtle.py", "/usr/lib/python3.11/sqlite3/*", "/usr/lib/python3.11/curses/*"),
    *(
        f"/usr/lib/python3.11/lib-dynload/{name}.cpython*"
        for name in (
            "_curses*",
            "_dbm",
            "_sqlite3",
            "_crypt",
            "_test*",
            "_xxtest*",
            "nis",
            "ossaudiodev",
            "readline",
            "xxlimited*",
        )
    ),
    *("/usr/share/zoneinfo/right/*", "/usr/share/zoneinfo/posix/*"),
)

FILES = {
    "etc/passwd": "root:x:0:0:root:/nonexistent:/usr/sbin/nologin\n"
    "fleet:x:1001:1001::/nonexistent:/usr/sbin/nologin\n"
    "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
    "etc/group": "root:x:0:\nfleet:x:1001:\nnogroup:x:65534:\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
}
FOLDERS = ("dev", "proc", "run", "sys", "var/lib/dpkg/status.d")
AUTHORITIES = "/opt/fleet/lib/python3.11/site-packages/certifi/cacert.pem"
LINKS = {
    "var/run": "/run",
    # Whom TLS trusts is one list, which is pinned with the other dependencies.
    "etc/ssl/certs/ca-certificates.crt": AUTHORITIES,
    "usr/lib/ssl/cert.pem": AUTHORITIES,
}
MERGED = ("bin", "lib", "lib64", "sbin")
"""Links into usr/, where the system that the image is made of has them."""

FILE_TIME = 1_767_225_600
"""The base's time of all files, in seconds since 1970: the same packages give the same bytes."""


def _said(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _real(path: str) -> Path:
    """The path with links among its folders resolved: packages still say /lib for /usr/lib."""
    return Path(path).parent.resolve() / Path(path).name


def taken(package: str, patterns: Sequence[str]) -> Iterator[Path]:
    """Every file and link of an installed package that the patterns choose; an error if one of them chooses none."""
    owned = _said("dpkg-query", "--listfiles", package).splitlines()
    if not any(fnmatch.fnmatch(path, pattern) for path in owned for pattern in patterns):
        raise SystemExit(f"{package} has no file like {', '.join(patterns)}")
    for path in owned:
        chosen = any(fnmatch.fnmatch(path, pattern) for pattern in patterns)
        dropped = any(fnmatch.fnmatch(path, pattern) for pattern in LEFT_OUT)
        if (
            chosen
            and not dropped
            and "/gconv/" not in path
            and not (Path(path).is_dir() and not Path(path).is_symlink())
        ):
            yield _real(path)


def _copy(source: Path, root: Path) -> None:
    target = root / source.relative_to("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source, target, follow_symlinks=False)
    if not target.is_symlink():
        target.chmod(stat.S_IMODE(target.stat().st_mode) & 0o0755)


def fill(root: Path, packages: Mapping[str, Sequence[str]]) -> set[Path]:
    """Copy what `packages` name into `root`, with each package's licence and description; return what was copied."""
    copied: set[Path] = set()
    for package, patterns in packages.items():
        files = set(taken(package, patterns))
        for source in sorted(files):
            _copy(source, root)
        copied |= files
        licence = Path("/usr/share/doc", package, "copyright").resolve()
        if licence.is_file():
            _copy(licence, root)
        described = root / "var/lib/dpkg/status.d" / package
        described.parent.mkdir(parents=True, exist_ok=True)
        described.write_text(_said("dpkg-query", "--status", package))
    return copied


def finish_system(root: Path) -> None:
    """What no package owns: users, folders that are mounted over, and links."""
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    for name in FOLDERS:
        (root / name).mkdir(parents=True, exist_ok=True)
    (root / "tmp").mkdir()
    (root / "tmp").chmod(0o1777)
    merged = {name: f"usr/{name}" for name in MERGED if Path("/", name).is_symlink()}
    for name, target in {**LINKS, **merged}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).symlink_to(target)
        if name in merged:
            (root / target).mkdir(parents=True, exist_ok=True)


def check_libraries(programs: Iterator[Path], present: set[Path], own: Path) -> None:
    """End with an error if a program or library needs one that is neither `present` nor in the folder `own`."""
    missing: list[str] = []
    for program in programs:
        with program.open("rb") as content:
            if content.read(4) != b"\x7fELF":
                continue
        for line in _said("ldd", str(program)).splitlines():
            name, _, found = line.strip().partition(" => ")
            place = found.partition(" (")[0]
            if found and _real(place) not in present and not Path(place).resolve().is_relative_to(own):
                missing.append(f"{program} needs {name}")
    if missing:
        raise SystemExit("not taken into the image:\n" + "\n".join(missing))


def main(folder: Path, own: Path) -> None:
    """Make both layers in `folder`; `own` is the service with its dependencies, which comes on top of them."""
    roots = {name: folder / name for name in LAYERS}
    copied = {name: fill(roots[name], packages) for name, packages in LAYERS.items()}
    finish_system(roots["system"])
    present = {path for files in copied.values() for path in files}
    check_libraries((path for path in [*present, *own.rglob("*.so*")] if path.is_file()), present, own)
    library = roots["python"] / "usr/lib/python3.11"
    # The root is read-only where this runs: what has no byte code is compiled again at every start.
    if not compileall.compile_dir(
        library,
        quiet=1,
        stripdir=str(roots["python"]),
        prependdir="/",
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    ):
        raise SystemExit("a module of Python's library does not compile")
    for path in sorted(folder.rglob("*"), reverse=True):
        os.utime(path, (FILE_TIME, FILE_TIME), follow_symlinks=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path("/opt/fleet"))
