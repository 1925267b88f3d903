"""What was made of an image last time: it tells the next run what is unchanged, and people what they have."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from engine.paths import CHECKOUT
from engine.report import private_file

FOLDER = CHECKOUT / "dist" / "images"


class Verified(BaseModel):
    """The outcome of one step."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    step: str
    outcome: str
    found: str


class Record(BaseModel):
    """`dist/images/<name>/record.json`, written last: without it the folder counts as empty."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    repository: str
    version: str
    image_id: str
    """As this machine's Docker names it."""
    digest: str
    """The manifest's, as a registry names it."""
    config: str
    context_hash: str
    file_tree: str
    bytes: int
    compressed_bytes: int
    layers: int
    seconds: float
    """What the build took."""
    commit: str
    signed_by: str = ""
    """The public key's SHA-256; empty: not signed."""
    verified: list[Verified] = []


def folder(name: str, root: Path = FOLDER) -> Path:
    """Where everything about the image of this name is."""
    return root / name


def read(path: Path) -> Record | None:
    """The record in a folder; None when there is none, or one that another version wrote."""
    try:
        return Record.model_validate_json((path / "record.json").read_text())
    except (OSError, ValidationError, UnicodeDecodeError):
        return None


def write(path: Path, record: Record) -> None:
    """Keep a record, whole or not at all."""
    private_file(path / "record.json", record.model_dump_json(indent=1) + "\n")
