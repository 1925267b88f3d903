"""The base image that every image of the project starts from.

It is the official slim Debian, by digest, where a registry answers, and else the same made on this machine.
"""

import fcntl
import os
import selectors
import shutil
import subprocess
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from images.base import root_filesystem
from images.base.root_filesystem import CommandError

TAG = "agent-fleet/base:bookworm-1"
"""What Dockerfiles name. An image that has this tag is used as it is; the number counts up with the base's shape."""

OFFICIAL = "debian@sha256:88200866dfff7ea7f5cbcb6ec7c8a701889efe6fe859fe64d6990e4b07ea4171"
"""The index of the official image debian:12.15-slim (amd64, arm64 and others)."""

ANSWER_SECONDS = 15.0
"""How long a registry may take to answer at all."""

DISK_BYTES = 1_500_000_000
"""Free space that making the base needs: the system, its packages, and the image."""

FULL_BYTES = 20_000_000
"""Less than this after a failure, and the failure was a full disk."""

Report = Callable[[str], None]


class BaseImageError(Exception):
    """The base image is not there and cannot be had. The message says why and what to do."""


def ensure_base(
    report: Report, *, tag: str = TAG, official: str = OFFICIAL, docker: str = "docker", cache: Path | None = None
) -> str:
    """Make sure that Docker has the base image, and return its tag.

    `report` gets a line before anything that takes more than a second. `docker` is the program to call. `cache` keeps
    downloads and the work in progress; by default it is the user's cache. Raises BaseImageError.
    """
    if _exists(docker, tag):
        return tag
    cache = cache or _user_cache()
    with _alone(cache / "lock", report):
        if _exists(docker, tag):
            return tag
        refusal = _pull(docker, official, report)
        if refusal is None:
            _docker(docker, "tag", official, tag)
            return tag
        report(f"no registry gives the official Debian image ({refusal})")
        _make(docker, tag, cache, report)
    return tag


def _user_cache() -> Path:
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "agent-fleet" / "base"


@contextmanager
def _alone(lock: Path, report: Report) -> Generator[None]:
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report("another run is making the base image; waiting for it")
            fcntl.flock(held, fcntl.LOCK_EX)
        yield


def _exists(docker: str, tag: str) -> bool:
    try:
        found = subprocess.run(
            [docker, "image", "inspect", "--format", "{{.Id}}", tag],
            capture_output=True,
            timeout=60,
            check=False,
            text=True,
        )
    except FileNotFoundError:
        raise BaseImageError(f"The program {docker} is not installed. Install Docker, then run this again.") from None
    except subprocess.TimeoutExpired:
        raise BaseImageError(
            "Docker has not answered for 60 s. Check the daemon (docker info), then run this again."
        ) from None
    if found.returncode and "no such image" not in found.stderr.lower():
        raise BaseImageError(f"Docker does not answer: {found.stderr.strip()}\nStart the daemon, then run this again.")
    return not found.returncode


def _docker(docker: str, *arguments: str) -> None:
    ended = subprocess.run([docker, *arguments], capture_output=True, timeout=120, check=False, text=True)
    if ended.returncode:
        raise BaseImageError(f"docker {arguments[0]} failed: {ended.stderr.strip()}")


def _pull(docker: str, official: str, report: Report) -> str | None:
    """Pull the official image. Return None when it is there, else in a few words why not."""
    report("asking the registry for the official Debian image (30 MB)")
    with subprocess.Popen(
        [docker, "pull", official], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as pulling:
        assert pulling.stdout is not None  # noqa: S101 - asked for just above
        said = b""
        deadline = time.monotonic() + ANSWER_SECONDS
        with selectors.DefaultSelector() as ready:
            ready.register(pulling.stdout, selectors.EVENT_READ)
            while time.monotonic() < deadline:
                if not ready.select(timeout=deadline - time.monotonic()):
                    continue
                piece = os.read(pulling.stdout.fileno(), 65536)
                if not piece:
                    break
                if not said:
                    # It answers: from here on the download may take its time.
                    deadline = time.monotonic() + 600
                said += piece
            else:
                pulling.kill()
                return "it answered and then stopped" if said else f"no answer within {ANSWER_SECONDS:.0f} s"
        if pulling.wait() == 0:
            return None
    last = said.decode(errors="replace").strip().splitlines() or ["it gave no reason"]
    return last[-1].removeprefix("Error response from daemon: ")


def _make(docker: str, tag: str, cache: Path, report: Report) -> None:
    if os.geteuid() != 0:
        raise BaseImageError(
            "The base image can be made on this machine only by root, and you are not.\n"
            f"Run this once as root, allow Docker to reach its registry, or tag a Debian 12 image of yours as {tag}."
        )
    free = shutil.disk_usage(cache).free
    if free < DISK_BYTES:
        raise BaseImageError(
            f"The disk is nearly full: {cache} has {free // 1_000_000} MB free, and making the base image needs "
            f"{DISK_BYTES // 1_000_000} MB. Free some space, then run this again."
        )
    root, log = cache / "root", cache / "debootstrap.log"
    try:
        root_filesystem.forget(root)
        log.unlink(missing_ok=True)
        _need_debootstrap(log, report)
        report("making the base image with debootstrap (about 30 s, 45 MB to download)")
        root_filesystem.make(root, cache / "packages", log, report)
        report("handing the base image to Docker (about 5 s)")
        _import(docker, tag, root)
    except CommandError as error:
        raise BaseImageError(_explain(error, log)) from None
    except OSError as error:
        raise BaseImageError(f"Making the base image failed: {error.strerror} ({error.filename or cache}).") from None
    finally:
        root_filesystem.forget(root)


def _need_debootstrap(log: Path, report: Report) -> None:
    missing = [
        package
        for package, file in (
            ("debootstrap", shutil.which("debootstrap")),
            ("debian-archive-keyring", root_filesystem.KEYRING),
        )
        if file is None or not Path(file).exists()
    ]
    if not missing:
        return
    names = " and ".join(missing)
    if shutil.which("apt-get") is None:
        raise BaseImageError(
            f"Making the base image needs {names}, and this system has no apt-get. Install them, then run this again."
        )
    report(f"installing {names} with apt-get (about 10 s)")
    with log.open("ab") as output:
        for command in (["update"], ["install", "--yes", "--no-install-recommends", *missing]):
            ended = subprocess.run(
                ["apt-get", "-q", *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
                timeout=600,
                check=False,
            )
            if ended.returncode and command[0] == "install":
                raise BaseImageError(
                    f"apt-get could not install {names}; see {log}. Install them, then run this again."
                )


def _import(docker: str, tag: str, root: Path) -> None:
    """Docker gives the tag only when the whole archive has arrived, so a broken-off run leaves no half image."""
    changes = ['CMD ["bash"]', "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]
    changes += ["LABEL agent-fleet.base=debootstrap", f"LABEL agent-fleet.base.release={root_filesystem.RELEASE}"]
    flags = [part for change in changes for part in ("--change", change)]
    with subprocess.Popen(
        [docker, "import", *flags, "-", tag], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as importing:
        assert importing.stdin is not None  # noqa: S101 - asked for just above
        assert importing.stderr is not None  # noqa: S101
        try:
            root_filesystem.write_archive(root, importing.stdin)
            importing.stdin.close()
        except BrokenPipeError:
            pass
        except BaseException:
            importing.kill()
            raise
        said = importing.stderr.read().decode(errors="replace")
        if importing.wait():
            raise CommandError("docker import", said.strip())


def _explain(error: CommandError, log: Path) -> str:
    text = error.output.lower()
    last = error.output.strip().rpartition("\n")[2]
    # debootstrap says only which package it was at: what tar said to it went to the full disk.
    if "no space left" in text or shutil.disk_usage(log.parent).free < FULL_BYTES:
        return f"The disk with {log.parent} is full.\nFree about {DISK_BYTES // 1_000_000} MB, then run this again."
    if any(
        words in text
        for words in ("couldn't download", "failed getting release", "could not resolve", "temporary failure")
    ):
        return (
            f"Debian's mirror {root_filesystem.MIRROR} cannot be reached, nor a registry with its official image.\n"
            f"Check the network or the proxy (http_proxy), then run this again. The whole log is {log}."
        )
    if "operation not permitted" in text or "unshare failed" in text:
        return f"This system does not let root make a base image: {last}\nThe whole log is {log}."
    return f"Making the base image failed. {error}\nThe whole log is {log}."
