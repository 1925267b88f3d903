"""What a scan says."""

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Finding:
    """One thing that is wrong. It never holds a secret itself."""

    check: str
    """The rule: `secret`, `set-user-id`, `world-writable`, `cache`, a rule of hadolint, or a vulnerability's id."""
    subject: str
    """What was judged: an image's name, or a file of the checkout."""
    place: str
    """Where in it: a path, a step of its history, or a package with its version."""
    what: str
    """A sentence for a reader."""
    fails: bool = True
    """Whether the scan fails on it. A vulnerability that nobody has mended yet is told and does not fail."""

    @property
    def name(self) -> str:
        """What an exception is written for."""
        return f"{self.check}:{self.place}"
