"""Debian's minimal system made by debootstrap and brought into the shape of the official slim image.

What the slim image leaves out and how its apt is set up is taken from debuerreotype, the program that makes the
official images (https://github.com/debuerreotype/debuerreotype: .slimify-excludes, debuerreotype-minimizing-config).
"""

import os
import re
import shutil
import stat
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

RELEASE = "bookworm"
MIRROR = "http://deb.debian.org/debian"
SECURITY_MIRROR = "http://deb.debian.org/debian-security"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
FILE_TIME = 1_767_225_600
"""Every file's modification time, in seconds since 1970 (2026-01-01): the same packages give the same bytes."""

FILES = {
    "etc/apt/sources.list.d/debian.sources": f"""Types: deb
URIs: {MIRROR}
Suites: {RELEASE} {RELEASE}-updates
Components: main
Signed-By: {KEYRING}

Types: deb
URIs: {SECURITY_MIRROR}
Suites: {RELEASE}-security
Components: main
Signed-By: {KEYRING}
""",
    "etc/apt/apt.conf.d/docker-clean": """DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb || true"; };
APT::Update::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb || true"; };
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
""",
    "etc/apt/apt.conf.d/docker-gzip-indexes": 'Acquire::GzipIndexes "true";\n',
    "etc/apt/apt.conf.d/docker-no-languages": 'Acquire::Languages "none";\n',
    "etc/apt/apt.conf.d/docker-autoremove-suggests": 'Apt::AutoRemove::SuggestsImportant "false";\n',
    "etc/dpkg/dpkg.cfg.d/docker-apt-speedup": "force-unsafe-io\n",
    "etc/dpkg/dpkg.cfg.d/docker": """path-exclude /usr/share/doc/*
path-include /usr/share/doc/*/copyright
path-exclude /usr/share/groff/*
path-exclude /usr/share/info/*
path-exclude /usr/share/linda/*
path-exclude /usr/share/lintian/*
path-exclude /usr/share/locale/*
path-exclude /usr/share/man/*
""",
    "usr/sbin/policy-rc.d": "#!/bin/sh\n# Nothing is started while packages are installed into an image.\nexit 101\n",
    # Empty, so that no two containers take themselves for the same machine.
    "etc/machine-id": "",
}

# The maker's own state and everything that differs between two runs.
LEFT_OUT = re.compile(
    r"^(dev|proc|sys|run|tmp|var/tmp|var/log|var/cache/apt|var/cache/ldconfig|var/cache/debconf|var/lib/apt/lists|boot|media|mnt)/."
    r"|^(etc/hostname|etc/resolv\.conf|etc/apt/sources\.list|etc/(passwd|group|shadow|gshadow|subuid|subgid)-)$"
    r"|^var/lib/dpkg/[^/]+-old$"
    r"|^usr/share/(groff|info|linda|lintian|locale|man)/."
    r"|^usr/share/doc/(?![^/]+(/copyright)?$)"
    r"|\.pyc$"
)


class CommandError(Exception):
    """A program ended with an error. `output` is what it said last."""

    def __init__(self, program: str, output: str) -> None:
        """`program` is its name, `output` its last lines."""
        super().__init__(f"{program} failed:\n{output}")
        self.program = program
        self.output = output


def run(command: list[str], *, timeout_seconds: float, log: Path) -> None:
    """Run a program to its end, its output appended to `log`; raise CommandError with the last lines of it.

    The program dies with this process, and what it mounted and started with it: a kill leaves only files behind.
    """
    alone = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    environment = {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "LC_ALL": "C",
        "DEBIAN_FRONTEND": "noninteractive",
        "HOME": "/root",
        **{name: value for name, value in os.environ.items() if name.lower() in {"http_proxy", "no_proxy"}},
    }
    with log.open("ab") as output:
        try:
            ended = subprocess.run(
                [*alone, *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                timeout=timeout_seconds,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise CommandError(command[0], f"it had not ended after {timeout_seconds:.0f} s") from error
    if ended.returncode:
        lines = log.read_text(errors="replace").strip().splitlines()
        raise CommandError(command[0], "\n".join(lines[-5:]))


def make(
    root: Path, packages: Path, log: Path, report: Callable[[str], None], *, architecture: str | None = None
) -> None:
    """Fill the empty folder `root` with the system. `packages` keeps downloads, so that a broken-off run resumes.

    `architecture` is Debian's name of another one than this machine's, whose programs an emulator registered with the
    kernel must run; all takes several times as long then.
    """
    packages.mkdir(parents=True, exist_ok=True)
    options = ["--variant=minbase", "--force-check-gpg", f"--keyring={KEYRING}", f"--cache-dir={packages}"]
    slower = 1 if architecture is None else 10
    if architecture is not None:
        options.append(f"--arch={architecture}")
    run(["debootstrap", *options, RELEASE, str(root), MIRROR], timeout_seconds=900 * slower, log=log)
    for name, text in FILES.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (root / "usr/sbin/policy-rc.d").chmod(0o755)
    (root / "etc/apt/sources.list").unlink(missing_ok=True)
    report("adding Debian's security updates (about 10 s)")
    for command in (["apt-get", "update"], ["apt-get", "--yes", "dist-upgrade"], ["apt-get", "clean"]):
        run(["chroot", str(root), *command], timeout_seconds=300 * slower, log=log)
    # Debian's programs write the day on which this runs beside every password.
    shadow = root / "etc/shadow"
    shadow.write_text(re.sub(r"(?m)^([^:\n]*:[^:\n]*:)\d+", rf"\g<1>{FILE_TIME // 86_400}", shadow.read_text()))


def _names(root: Path) -> Iterator[str]:
    for folder, folders, files in os.walk(root):
        folders.sort()
        relative = os.path.relpath(folder, root)
        for name in sorted(folders + files):
            path = name if relative == "." else f"{relative}/{name}"
            if not LEFT_OUT.search(path):
                yield path


def write_archive(root: Path, stream: IO[bytes]) -> None:
    """Write `root` as a tar archive: sorted, with one time for all, without what differs between two runs."""
    with tarfile.open(fileobj=stream, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        for name in sorted(_names(root)):
            path = root / name
            if not (path.is_symlink() or path.is_dir() or path.is_file()):
                continue
            entry = archive.gettarinfo(str(path), arcname=name)
            entry.mtime = FILE_TIME
            entry.uname = entry.gname = ""
            if entry.isreg():
                with path.open("rb") as content:
                    archive.addfile(entry, content)
            else:
                archive.addfile(entry)


def forget(root: Path) -> None:
    """Remove a made system, also one that was broken off; files only, as nothing stays mounted."""
    mounted = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    inside = [point for point in mounted if point.startswith(f"{root}/")]
    if inside:
        raise CommandError("rm", f"{inside[0]} is still mounted: umount it, then run this again")

    def writable(function: Callable[..., object], path: str, _: object) -> None:
        Path(path).parent.chmod(stat.S_IRWXU)
        function(path)

    if root.exists():
        shutil.rmtree(root, onerror=writable)
