"""Names of hosts as a job may write them, and the list of those that a pool allows."""

import re
from collections.abc import Iterable

_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_NAME = re.compile(rf"(?=.{{1,253}}\Z)(?:{_LABEL}\.)+[a-z](?:[a-z0-9-]{{0,61}}[a-z0-9])\Z")
"""At least two labels, the last one beginning with a letter: so no form of an IP address is a name."""
_AUTHORITY = re.compile(rb"([^:@\[\]/?#\s]+)(?::([0-9]{1,5}))?\Z")


def is_domain(text: str) -> bool:
    """Whether a text is a host name in the only form that is taken: small letters, no dot at its end."""
    return _NAME.match(text) is not None


def parse_authority(authority: bytes, default_port: int | None) -> tuple[str, int]:
    """Return the host, in small letters, and the port of `host:port`; raises ValueError with a sentence.

    Literal addresses of any notation, user names, other scripts than ASCII and a dot at the end are refused.
    """
    match = _AUTHORITY.match(authority)
    if match is None:
        raise ValueError("the target is not host:port; addresses and user names are not taken")
    port = default_port if match[2] is None else int(match[2])
    if port is None or not 0 < port < 65_536:
        raise ValueError("the target has no port from 1 to 65535")
    host = match[1].decode("latin-1").lower()
    if not is_domain(host):
        raise ValueError("the target is not a domain name; addresses are not taken")
    return host, port


class DomainList:
    """Exact names, and `*.` before a name for every name below it, but not that name itself."""

    def __init__(self, domains: Iterable[str]) -> None:
        """Take the list as it is configured; raises ValueError for an entry that is neither of the two forms."""
        exact: set[str] = set()
        below: set[str] = set()
        for entry in domains:
            name = entry.removeprefix("*.")
            if not is_domain(name):
                raise ValueError(f"{entry!r} is neither a domain nor *. before one")
            (below if entry.startswith("*.") else exact).add(name)
        self._exact, self._below = frozenset(exact), frozenset(below)

    def allows(self, host: str) -> bool:
        """Whether the host, in small letters, is on the list."""
        if host in self._exact:
            return True
        _, _, parent = host.partition(".")
        while parent:
            if parent in self._below:
                return True
            _, _, parent = parent.partition(".")
        return False

    def names(self, host: str) -> bool:
        """Whether the host stands on the list by its full name."""
        return host in self._exact
