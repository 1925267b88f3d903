"""The Python packages of a bundle: wheels for this platform, as uv.lock pins them, and the uv that installs them."""

import re
import subprocess
import sys
import zipfile
from pathlib import Path

from engine.bundle.writing import Staging, digest_of
from engine.errors import UserFacingError
from engine.paths import CHECKOUT
from engine.report import Report
from engine.toolchain import uv_program

KIND = "wheel"
MEMBERS = ("agent-fleet-project", "agent-fleet-client")
"""Whose dependencies are in it: what deploys a fleet, and the command `fleet`. Not what tests need."""
_BUILD = ("hatchling>=1.27,<2", "editables>=0.5,<1")
"""What the project's own packages are installed with."""
_DOWNLOAD_SECONDS = 1800


def uv_version() -> str:
    """The version that engine/bootstrap.sh pins."""
    found = re.search(r"^uv_version=(\S+)$", (CHECKOUT / "engine" / "bootstrap.sh").read_text(), re.MULTILINE)
    if found is None:
        raise UserFacingError("engine/bootstrap.sh pins no uv.", "Restore the file from git.")
    return found[1]


def platform() -> str:
    """What the wheels are for: this Python and this machine."""
    import sysconfig

    return f"cp{sys.version_info[0]}{sys.version_info[1]} {sysconfig.get_platform()}"


def add(staging: Staging, work: Path, report: Report) -> None:
    """Download what is missing, and make each wheel an entry; hashes are checked against uv.lock."""
    work.mkdir(parents=True, exist_ok=True)
    identity = digest_of([CHECKOUT / "uv.lock", CHECKOUT / "engine" / "bootstrap.sh"]) + platform()
    mark = work / ".complete"
    if not mark.exists() or mark.read_text() != identity:
        mark.unlink(missing_ok=True)
        report("Downloading the wheels that uv.lock names (about 90 MB; what is there already is not loaded again).")
        requirements = work / "requirements.txt"
        requirements.write_text(exported())
        wanted = work / "wheels"
        _pip("--require-hashes", "--no-deps", "-r", str(requirements), into=wanted)
        _pip(f"uv=={uv_version()}", *_BUILD, into=wanted)
        mark.write_text(identity)
    for wheel in sorted((work / "wheels").glob("*.whl")):
        if zipfile.is_zipfile(wheel):
            staging.add_file(f"wheels/{wheel.name}", KIND, wheel)


def exported() -> str:
    """The requirements with their hashes, as pip reads them."""
    packages = [part for member in MEMBERS for part in ("--package", member)]
    command = [str(uv_program()), "export", "--quiet", "--frozen", "--offline", "--no-dev", "--no-emit-workspace"]
    run = subprocess.run(
        [*command, *packages, "--no-annotate", "--no-header"], cwd=CHECKOUT, capture_output=True, text=True, check=False
    )
    if run.returncode:
        raise UserFacingError(f"uv could not read uv.lock: {run.stderr.strip()}", "Restore the file from git.")
    return run.stdout


def _pip(*arguments: str, into: Path) -> None:
    # uv itself downloads nothing; the pip beside it does.
    python = uv_program().resolve().with_name("python")
    command = [str(python), "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"]
    run = subprocess.run(
        [*command, "--only-binary", ":all:", "--dest", str(into), *arguments],
        capture_output=True, text=True, check=False, timeout=_DOWNLOAD_SECONDS,
    )  # fmt: skip
    if run.returncode:
        said = (run.stderr.strip().splitlines() or ["no output"])[-1]
        raise UserFacingError(
            f"The wheels could not be downloaded: {said}",
            "Check the network, and run the command again: what has been downloaded is kept.",
        )
