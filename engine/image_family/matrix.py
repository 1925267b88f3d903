"""What `images/images.toml` says: every image, what it is built from, what it may weigh and what must hold in it."""

import difflib
import re
import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator, model_validator

from engine.errors import UserFacingError
from engine.paths import CHECKOUT

FILE = CHECKOUT / "images" / "images.toml"

Platform = Literal["linux/amd64", "linux/arm64"]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=60)]
Words = Annotated[list[str], Field(min_length=1)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Tool(_Table):
    """A program that must answer in the image."""

    command: Words
    """Run in a container without the image's own entrypoint."""
    says: str = ""
    """A regular expression that its output must contain."""
    code: int = 0
    """Its exit code."""

    @field_validator("says")
    @classmethod
    def _says_is_an_expression(cls, given: str) -> str:
        try:
            re.compile(given)
        except re.error as error:
            raise ValueError(
                f"given {given!r}, and allowed is a regular expression: {error}; write a backslash before a sign that "
                "stands for itself"
            ) from None
        return given


class Health(_Table):
    """What the image's own health check needs in order to become healthy."""

    environment: dict[str, str] = Field(default_factory=dict)
    tmpfs: dict[str, str] = Field(default_factory=dict)
    """Mount options by path."""
    command: list[str] = Field(default_factory=list)
    """The container's command; empty: the image's."""


class Image(_Table):
    """One image of the family."""

    name: Name
    """The image is `agent-fleet/<name>`, and this is what `ONLY=` takes."""
    context: str
    """The folder that is sent to the builder, relative to the checkout."""
    dockerfile: str = ""
    """Relative to the checkout; by default the one in the context."""
    target: str = ""
    """A stage of the Dockerfile; by default its last."""
    build_args: dict[str, str] = Field(default_factory=dict)
    platforms: list[Platform]
    megabytes: Annotated[int, Field(gt=0)]
    """What it may weigh unpacked, in millions of bytes."""
    compressed_megabytes: Annotated[int, Field(gt=0)]
    """What its compressed layers may weigh together, in millions of bytes."""
    uid: Annotated[int, Field(gt=0)]
    """Whom it runs as."""
    probe: Words
    """The interpreter that the verification's probe runs in: a Python, or a POSIX shell."""
    shell: bool
    """Whether a shell is in it."""
    workspace: str = ""
    """Where a workspace is mounted, if it takes one."""
    environment: dict[str, str] = Field(default_factory=dict)
    """Variables that it sets."""
    tools: dict[str, Tool] = Field(default_factory=dict)
    """By the name that the documents' steps ask for: node, claude, git, and whatever the image is for."""
    health: Health | None = None
    """Left out: the image has no health check of its own, and `no_health` says why."""
    no_health: str = ""

    @model_validator(mode="after")
    def _health_or_a_reason(self) -> "Image":
        if (self.health is None) == (not self.no_health):
            raise ValueError("give exactly one of health and no_health: the reason why the image has no health check")
        return self

    @property
    def repository(self) -> str:
        """Its name without registry and tag."""
        return f"agent-fleet/{self.name}"

    @property
    def file(self) -> str:
        """The Dockerfile, relative to the checkout."""
        return self.dockerfile or f"{self.context}/Dockerfile"

    @property
    def speaks_python(self) -> bool:
        """Whether the probe is a Python."""
        return "python" in Path(self.probe[0]).name


class Matrix(_Table):
    """All images, in the order of the file."""

    image: Annotated[list[Image], Field(min_length=1)]

    @model_validator(mode="after")
    def _names_are_unique(self) -> "Matrix":
        names = [image.name for image in self.image]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"the name {twice[0]} is given twice")
        return self

    def chosen(self, names: list[str]) -> list[Image]:
        """The images of these names, or all; raises UserFacingError for a name that there is not."""
        known = {image.name: image for image in self.image}
        for name in names:
            if name not in known:
                near = difflib.get_close_matches(name, known, 1)
                raise UserFacingError(
                    f"ONLY names {name!r}, and there is no such image"
                    + (f"; did you mean {near[0]}?" if near else "."),
                    f"Allowed are: {', '.join(known)}.",
                )
        return [image for image in self.image if not names or image.name in names]


def load(file: Path = FILE) -> Matrix:
    """Read the matrix; raises UserFacingError with every mistake in it."""
    try:
        return Matrix.model_validate(tomllib.loads(file.read_text()))
    except FileNotFoundError:
        raise UserFacingError(f"There is no {file}.", "Restore it from git.") from None
    except tomllib.TOMLDecodeError as error:
        raise UserFacingError(f"{file} is not TOML: {error}.", "Correct the line.") from None
    except ValidationError as error:
        lines = [f"{'.'.join(str(part) for part in each['loc'])}: {each['msg']}" for each in error.errors()]
        raise UserFacingError(f"{file} has mistakes:\n" + "\n".join(lines), "Correct them.") from None
