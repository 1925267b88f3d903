"""Secrets in an image: in the files of every layer, in its history (build arguments), its environment and its labels.

What a secret looks like is detect-secrets' knowledge (https://github.com/Yelp/detect-secrets), without its guesses by
entropy, which find thousands in any library. Compiled and compressed files are not looked into.
"""

import re
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

from detect_secrets.core.plugins import initialize
from detect_secrets.plugins.base import BasePlugin

from engine.scanning.findings import Finding
from engine.scanning.image_layers import Entry

_IN_FILES = (
    *("AWSKeyDetector", "AzureStorageKeyDetector", "GitHubTokenDetector", "GitLabTokenDetector", "JwtTokenDetector"),
    *("NpmDetector", "OpenAIDetector", "PypiTokenDetector", "SendGridDetector", "SlackDetector"),
    *("SquareOAuthDetector", "StripeDetector"),
)
# An AWS key is twenty capitals and digits, of which a program in base64 has many.
_IN_LONG_LINES = tuple(name for name in _IN_FILES if name != "AWSKeyDetector")
_IN_WORDS = (*_IN_FILES, "BasicAuthDetector", "KeywordDetector", "PrivateKeyDetector", "TwilioKeyDetector")

# A line without any of these cannot match a detector; nearly all lines of an image have none.
_SIGNS = re.compile(
    rb"(?i:aws)|AKIA|ASIA|ABIA|ACCA|A3T|AccountKey|gh[pousr]_|gl[a-z]{2,5}-|GR1348941|eyJ|_authToken|pypi-AgE"
    rb"|xox[a-z]-|hooks\.slack|[rs]k_live|SG\.|sq0csp|sk-"
)
_LINE_CHARACTERS = 20_000
"""Of a longer line pieces of this length are judged: what detectors take grows faster than the line."""
_OVERLAP_CHARACTERS = 1_000
_PRIVATE_KEY = re.compile(
    rb"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY(?: BLOCK)?-----(?:\r?\n|\\n)"
    # Of a key with a password, or PGP's, headers and an empty line come first.
    rb"(?:[A-Za-z-]+: [^\r\n]{1,200}?(?:\r?\n|\\n))*(?:\r?\n|\\n)?[A-Za-z0-9+/=:, -]{40}"
)
# The key that agents of this fleet would carry.
_ANTHROPIC = re.compile(rb"sk-ant-[a-z0-9]{3,10}-[A-Za-z0-9_-]{20,}")
_NAMES = re.compile(
    r"/(\.git|\.env|\.env\.[^/]+|\.netrc|\.pypirc|\.npmrc|id_(rsa|dsa|ecdsa|ed25519)|\.pgpass|\.git-credentials"
    r"|\.aws/credentials|\.docker/config\.json|\.kube/config|\.cargo/credentials(\.toml)?|\.claude/\.credentials\.json)$"
)
_ASSIGNED = re.compile(
    r"(?i)\b([A-Z0-9_]*(?:PASSWORD|PASSWD|TOKEN|SECRET|API_?KEY|CREDENTIALS?))[=:]\s*['\"]?([^\s'\"$]{6,})"
)


@cache
def _plugins(names: tuple[str, ...]) -> tuple[BasePlugin, ...]:
    return tuple(initialize.from_plugin_classname(name) for name in names)


def in_files(subject: str, entries: Iterable[Entry]) -> Iterator[Finding]:
    """What the files of any layer hold; each kind of secret once per file."""
    for entry in entries:
        if _NAMES.search(entry.path) and "/node_modules/" not in entry.path and (entry.is_folder or entry.size):
            yield _finding(subject, entry, "a file of this name holds credentials", None)
        if not entry.content or b"\0" in entry.content[:8192]:
            continue
        told: set[str] = set()
        for kind, line in _kinds(entry.content):
            if kind not in told:
                told.add(kind)
                yield _finding(subject, entry, kind, line)


def _kinds(content: bytes) -> Iterator[tuple[str, int]]:
    for kind, pattern in (("a private key", _PRIVATE_KEY), ("an Anthropic API key", _ANTHROPIC)):
        if found := pattern.search(content):
            yield kind, content.count(b"\n", 0, found.start()) + 1
    if not _SIGNS.search(content):
        return
    for number, line in enumerate(content.splitlines(), 1):
        for piece in _pieces(line):
            if _SIGNS.search(piece):
                text = piece.decode("utf-8", "replace")
                for plugin in _plugins(_IN_FILES if len(line) <= _LINE_CHARACTERS else _IN_LONG_LINES):
                    if any(True for _ in plugin.analyze_string(text)):
                        yield plugin.secret_type, number


def _pieces(line: bytes) -> Iterator[bytes]:
    """Yield a line, or of a long one pieces that overlap: a secret that is cut by one stands whole in the next."""
    step = _LINE_CHARACTERS - _OVERLAP_CHARACTERS
    for start in range(0, max(1, len(line) - _OVERLAP_CHARACTERS), step):
        yield line[start : start + _LINE_CHARACTERS]


def _finding(subject: str, entry: Entry, kind: str, line: int | None) -> Finding:
    where = f"layer {entry.layer}" + ("" if line is None else f", line {line}")
    return Finding("secret", subject, entry.path, f"{kind} ({where}), which every pull brings along")


def in_configuration(subject: str, configuration: dict[str, Any]) -> Iterator[Finding]:
    """What the image's history, environment and labels tell: build arguments stand in them."""
    inner: dict[str, Any] = configuration.get("config") or {}
    words = [
        (f"history/{number}", str(each.get("created_by", ""))) for number, each in enumerate(configuration["history"])
    ]
    words += [(f"environment/{each.partition('=')[0]}", each) for each in inner.get("Env") or []]
    words += [(f"labels/{name}", f"{name}={value}") for name, value in (inner.get("Labels") or {}).items()]
    for place, text in words:
        kinds = [f"a value for {found[1]}" for found in _ASSIGNED.finditer(text)]
        kinds += ["an Anthropic API key"] if _ANTHROPIC.search(text.encode()) else []
        kinds += [
            plugin.secret_type for plugin in _plugins(_IN_WORDS) if any(True for _ in plugin.analyze_string(text))
        ]
        if kinds:
            yield Finding(
                "secret", subject, place, f"{kinds[0]}: pass it as a build secret, or when a container starts"
            )
