"""What is wrong between settings that are each allowed alone."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Violation:
    """Two or more settings that cannot stand together."""

    path: str
    """Dotted, below `fleet`: the setting that the error is reported at."""
    sentence: str
    """What was given, what is allowed and how to put it right, without a full stop."""
    reads: tuple[str, ...] = ()
    """The other settings that were looked at, dotted. Where one of them is refused itself, this is not judged."""
