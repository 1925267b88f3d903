"""Whether an egress list means what its writer thinks: no wildcard over strangers' names, no credential left over."""

from collections.abc import Iterator
from functools import cache

from publicsuffixlist import PublicSuffixList

from settings.model import Settings
from settings.violation import Violation

_HERE = "sandbox.egress"
_OWN_HEADERS = frozenset(
    {"host", "connection", "content-length", "transfer-encoding", "te", "upgrade", "expect", "accept-encoding"}
)
_LEAST_CHARACTERS, _MOST_CHARACTERS = 8, 8_192


@cache
def _public_suffixes() -> PublicSuffixList:
    return PublicSuffixList()


def egress_violations(settings: Settings) -> Iterator[Violation]:
    """Everything about `fleet.sandbox.egress` that no single key shows."""
    egress = settings.sandbox.egress
    for domain in egress.domains:
        base = domain.removeprefix("*.")
        if domain.startswith("*.") and ("." not in base or _public_suffixes().is_public(base)):
            yield Violation(
                f"{_HERE}.domains",
                f"given {domain}; anybody can have a name below {base}, a job's author too: name the domains that are "
                "meant",
            )
            return
    for domain, credential in egress.credentials.items():
        here = f"{_HERE}.credentials.{domain}"
        if domain not in egress.domains:
            yield Violation(
                here,
                f"given, and fleet.{_HERE}.domains does not have {domain} by its full name, without which nothing is "
                "sent there: add it, or remove the credential",
                (f"{_HERE}.domains",),
            )
        if credential.header.lower() in _OWN_HEADERS:
            yield Violation(
                f"{here}.header",
                f"given {credential.header}; the proxy sets that header itself: choose the one that {domain} reads its "
                "credential from",
            )
        value = credential.value
        printable = all(" " <= letter <= "~" for letter in value) and value == value.strip()
        if not printable or not _LEAST_CHARACTERS <= len(value) <= _MOST_CHARACTERS:
            # The value itself is never shown.
            yield Violation(
                f"{here}.value",
                f"given {len(value)} characters; allowed: {_LEAST_CHARACTERS} to {_MOST_CHARACTERS} printable ASCII "
                "characters with no space or line end around them",
            )


def unencrypted_credentials(settings: Settings) -> Iterator[str]:
    """A sentence for each credential, for a stack's file that holds them in the clear."""
    for domain in settings.sandbox.egress.credentials:
        path = f'fleet.{_HERE}.credentials["{domain}"].value'
        yield (
            f"fleet.{_HERE}.credentials.{domain}.value: given in the clear; only encrypted credentials are taken. In "
            f"`make shell`: pulumi config set --secret --path 'agent-fleet:{path}'."
        )
