"""What an image is made of, as an SPDX document, written by syft from the finished image.

A tool outside the build, because BuildKit before 0.11 writes none, and because it sees what really ended up inside.
"""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

from engine.errors import UserFacingError
from engine.image_family.oci_layout import Exported
from engine.image_family.provenance import SPDX, STATEMENT, subject
from engine.standins.build_command import BuildCommand
from engine.standins.build_run import BuildRunner
from engine.standins.engine_log import EngineLog, StatusLine
from engine.standins.standin import OperationError

# No look for a newer version, no catalogue beyond the image: the document depends on the image alone.
_ENVIRONMENT = {"SYFT_CHECK_FOR_APP_UPDATE": "false", "SYFT_PARALLELISM": "2"}


def find_syft() -> str:
    """The user's own syft on PATH, else the one in this project's Python environment; raises UserFacingError."""
    own = Path(sys.executable).parent / "syft"
    found = shutil.which("syft") or (str(own) if own.exists() else None)
    if found is None:
        raise UserFacingError(
            "There is no syft, which writes the images' SBOMs.",
            "Install it (https://github.com/anchore/syft), or run `make environment`, which brings it as a wheel.",
        )
    return found


def write_sbom(name: str, layout: Path, file: Path, runner: BuildRunner) -> dict[str, Any]:
    """Write the SPDX document of the image in `layout` to `file`, and return it; raises UserFacingError."""
    part = file.with_name(f"{file.name}.part")
    words = [
        find_syft(),
        "scan",
        f"oci-dir:{layout}",
        "--quiet",
        "--source-name",
        name,
        "--output",
        f"spdx-json={part}",
    ]
    try:
        runner.run(BuildCommand(words, _ENVIRONMENT), StatusLine(EngineLog(""), ""), set(), "\n".join)
    except OperationError as error:
        raise UserFacingError(f"{name}: syft wrote no SBOM: {error}", "Check the syft on PATH.") from None
    document: dict[str, Any] = json.loads(part.read_text())
    part.write_text(json.dumps(document, indent=1))
    part.replace(file)
    return document


def statement(document: dict[str, Any], repository: str, exported: Exported) -> dict[str, Any]:
    """The document as a statement about the image, to be signed."""
    return {
        "_type": STATEMENT,
        "subject": subject(repository, exported),
        "predicateType": SPDX,
        "predicate": document,
    }
