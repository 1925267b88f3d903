"""`python -m fleet_runtime bundle ARCHIVE`: unpacks an image that the oci backend makes sandboxes from."""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from pydantic_settings import BaseSettings, SettingsConfigDict

from fleet_runtime.sandboxd.oci_archive import ImageError
from fleet_runtime.sandboxd.oci_images import Images

_DESCRIPTION = """Unpack a sandbox image for hosts without Docker, and print its ID, which templates name it by.

ARCHIVE is a tar file that `docker save` wrote or that holds an OCI image layout; - reads it from standard input. An
image that is unpacked already is left as it is. FLEET_OCI_STATE says where."""


class BundleSettings(BaseSettings):
    """The environment of the command, with the prefix FLEET_."""

    model_config = SettingsConfigDict(env_prefix="FLEET_", extra="ignore", frozen=True)

    log_level: str = "info"
    oci_state: Path = Path("/var/lib/agent-fleet/oci")
    """As in SandboxdSettings."""


def run_bundle_command(settings: BundleSettings, arguments: Sequence[str]) -> int:
    """Run the command and return its exit code: 0, or 1 where the image cannot be unpacked."""
    parser = argparse.ArgumentParser(
        prog="python -m fleet_runtime bundle",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("archive", metavar="ARCHIVE")
    parser.add_argument(
        "--keep",
        type=int,
        default=2,
        metavar="N",
        help="images that stay besides those in use, the last ones first (%(default)s)",
    )
    options = parser.parse_args(arguments)
    if options.keep < 1:
        parser.error(f"--keep: given {options.keep}; allowed from 1, because the image itself stays")
    images = Images(settings.oci_state / "images")
    try:
        if options.archive != "-":
            image = images.unpack(Path(options.archive), keep=options.keep)
        else:
            settings.oci_state.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=settings.oci_state) as whole:
                shutil.copyfileobj(sys.stdin.buffer, whole)
                whole.flush()
                image = images.unpack(Path(whole.name), keep=options.keep)
    except (ImageError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"{image}\n")
    return 0
