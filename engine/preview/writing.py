"""Puts a report's files into a folder, each of them whole."""

from pathlib import Path
from urllib.parse import quote

from engine.errors import UserFacingError
from engine.paths import Paths
from engine.preview.json_document import json_document
from engine.preview.markdown import markdown
from engine.preview.result import Result
from engine.preview.sarif import sarif
from engine.report import private_file

PLAN = "plan.json"
FILES = ("preview.md", "preview.json", "preview.sarif", PLAN)


def prepare(folder: Path) -> None:
    """Have the folder, without the report of an earlier preview: what then stands in it is of this one.

    Raises UserFacingError where it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in FILES:
            (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise UserFacingError(
            f"REPORT is {str(folder)!r}, where no report can be written: {error.strerror or error}.",
            "Give a folder that is there, or that can be made: REPORT=folder.",
        ) from error


def write(folder: Path, result: Result, plan: Path | None = None) -> list[Path]:
    """Write every format, and the update plan where the engine made one; return what was written.

    It makes none of a preview that broke a rule.
    """
    # All texts before the first file: a fault of one format must not leave half a report.
    texts = {"preview.md": markdown(result), "preview.json": json_document(result), "preview.sarif": sarif(result)}
    if plan is not None and plan.is_file():
        texts[PLAN] = plan.read_text()
    written: list[Path] = []
    for name, text in texts.items():
        private_file(folder / name, text)
        written.append(folder / name)
    return written


def location(paths: Paths, stack: str, source: Path) -> str:
    """The settings file as a URI relative to the checkout, as GitHub wants it; one elsewhere counts as the stack's."""
    try:
        relative = source.resolve().relative_to(paths.root.resolve())
    except ValueError:
        relative = Path(paths.tracked_configuration(stack).name)
    return quote(relative.as_posix())
