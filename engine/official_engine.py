"""The official Pulumi engine: the one on PATH, or the official download where that is to be had."""

import hashlib
import platform
import re
import shutil
import socket
import subprocess
import tarfile
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import AbstractContextManager
from http.client import HTTPResponse
from pathlib import Path

from engine.errors import UserFacingError
from engine.report import Report
from engine.versions import ENGINE

DOWNLOADS = "https://get.pulumi.com/releases/sdk"
CONNECT_SECONDS = 5.0
_SYSTEMS = {"Linux": "linux", "Darwin": "darwin"}
_MACHINES = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64"}


class NotToBeHadError(Exception):
    """The official download does not answer here; the text says why."""


def on_path(environment: Mapping[str, str], own: Path) -> Path | None:
    """A complete official engine on PATH: new enough, with its Python language host beside it. Never our own."""
    folders = [folder for folder in environment.get("PATH", "").split(":") if folder and Path(folder) != own]
    found = shutil.which("pulumi", path=":".join(folders))
    if found is None:
        return None
    program = Path(found).resolve()
    if program.is_relative_to(own) or not (program.parent / "pulumi-language-python").exists():
        return None
    try:
        run = subprocess.run([program, "version"], capture_output=True, text=True, check=False, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    version = re.match(r"v(\d+)\.(\d+)\.", run.stdout)
    required = tuple(map(int, ENGINE.split(".")[:2]))
    if run.returncode or version is None or (int(version[1]), int(version[2])) < required or version[1] != "3":
        return None
    return program


def download(folder: Path, report: Report) -> None:
    """Unpack the official engine into `folder`. Raises `NotToBeHadError` when the download does not answer."""
    system, machine = _SYSTEMS.get(platform.system()), _MACHINES.get(platform.machine())
    if system is None or machine is None:
        raise NotToBeHadError(f"there is none for {platform.system()} on {platform.machine()}")
    name = f"pulumi-v{ENGINE}-{system}-{machine}.tar.gz"
    sums = _get(f"{DOWNLOADS}/pulumi-{ENGINE}-checksums.txt").decode()
    expected = next((line.split()[0] for line in sums.splitlines() if line.endswith(name)), None)
    if expected is None:
        raise NotToBeHadError(f"the list of checksums does not name {name}")
    report(f"Downloading the official Pulumi engine v{ENGINE} (about 150 MB).")
    archive = folder / name
    digest = hashlib.sha256()
    try:
        with _open(f"{DOWNLOADS}/{name}") as source, archive.open("wb") as target:
            while chunk := source.read(1024 * 1024):
                digest.update(chunk)
                target.write(chunk)
    except (OSError, urllib.error.URLError) as error:
        raise NotToBeHadError(_reason(error)) from error
    if digest.hexdigest() != expected:
        raise UserFacingError(
            f"The download of {name} has the SHA-256 {digest.hexdigest()}, but its list of checksums says {expected}.",
            "Something between this machine and the download changes it. Nothing of it is used.",
        )
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    archive.unlink()
    for program in (folder / "pulumi").iterdir():
        program.rename(folder / program.name) if program.name != "pulumi" else None
    (folder / "pulumi" / "pulumi").rename(folder / "pulumi.unpacked")
    (folder / "pulumi").rmdir()
    (folder / "pulumi.unpacked").rename(folder / "pulumi")


def _open(url: str) -> AbstractContextManager[HTTPResponse]:
    # The time-out holds for the connection and for each read after it.
    return urllib.request.urlopen(url, timeout=CONNECT_SECONDS)  # noqa: S310 - https, from a constant


def _get(url: str) -> bytes:
    try:
        with _open(url) as answer:
            return answer.read()
    except (OSError, urllib.error.URLError) as error:
        raise NotToBeHadError(_reason(error)) from error


def _reason(error: OSError) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"it answered {error.code}"
    inner = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(inner, socket.gaierror):
        return "its name is not known on this network"
    if isinstance(inner, TimeoutError):
        return f"no answer within {CONNECT_SECONDS:.0f} s"
    return str(inner)
