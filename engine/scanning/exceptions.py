"""`images/scan-exceptions.toml`: findings that somebody has looked at and accepts until a day."""

import fnmatch
import tomllib
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from engine.errors import UserFacingError
from engine.scanning.findings import Finding

LONGEST = timedelta(days=366)
"""How far ahead an exception may end: a year, after which somebody looks again."""

Text = Annotated[str, Field(min_length=3)]


class ScanException(BaseModel):
    """One accepted finding."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Text
    """A finding's name, `check:place`, in which * stands for anything; or a vulnerability's id alone."""
    image: str = "*"
    """The image or file that it is for; * for all."""
    reason: Annotated[str, Field(min_length=20)]
    """Why it does no harm here."""
    owner: Text
    """Who is asked when it ends."""
    expires: date
    """The last day on which it counts."""

    def covers(self, finding: Finding) -> bool:
        """Whether it is for this finding."""
        named = fnmatch.fnmatchcase(finding.name, self.id) or finding.check == self.id
        return named and fnmatch.fnmatchcase(finding.subject, self.image)


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    exception: list[ScanException] = Field(default_factory=list[ScanException])


def read_exceptions(path: Path, today: date) -> list[ScanException]:
    """Read the file; raises UserFacingError for an entry that lacks something or ends too late."""
    try:
        entries = _File.model_validate(tomllib.loads(path.read_text())).exception
    except FileNotFoundError:
        return []
    except tomllib.TOMLDecodeError as error:
        raise UserFacingError(f"{path.name} is not TOML: {error}.", "Correct the file.") from None
    except ValidationError as error:
        first = error.errors()[0]
        number, *field = first["loc"][1:] or ("file",)
        raise UserFacingError(
            f"{path.name}, exception {number}, {'.'.join(map(str, field)) or 'entry'}: {first['msg']}.",
            "Each [[exception]] has id, reason (20 letters or more), owner and expires (a date), and may have image.",
        ) from None
    for entry in entries:
        if entry.expires - today > LONGEST:
            raise UserFacingError(
                f"{path.name}: the exception {entry.id} ends on {entry.expires}; allowed is at most a year ahead, "
                f"{today + LONGEST}.",
                "Choose a nearer day on which somebody looks again.",
            )
    return entries


def judged(found: list[Finding], exceptions: list[ScanException], today: date) -> tuple[list[Finding], list[str]]:
    """Return what still counts, an ended exception among it, and remarks on exceptions that nothing needs any more."""
    ended = [each for each in exceptions if each.expires < today]
    valid = [each for each in exceptions if each.expires >= today]
    left = [finding for finding in found if not any(each.covers(finding) for each in valid)]
    left += [
        Finding(
            "expired-exception",
            each.image,
            each.id,
            f"the exception {each.id} ended on {each.expires}: {each.owner} renews it with a reason, or it is mended",
        )
        for each in ended
    ]
    unused = [each.id for each in valid if not any(each.covers(finding) for finding in found)]
    return left, [f"the exception {name} covers nothing any more and can go" for name in unused]
