"""What a host is started with, searched for secrets."""

import base64
import binascii
import re
import zlib

# As far as a bomb of zeros may unfold: user data is 16 KB at most.
_LARGEST = 1 << 20
_GZIP = b"\x1f\x8b"
_PATTERNS = {
    "an access key's id": re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    "a private key": re.compile(r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY-----"),
    "a GitHub token": re.compile(r"\bgh[pousr]_[A-Za-z0-9]{36}"),
    "a password in a URL": re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s/:@'\"$]+:[^\s/@'\"${}]+@"),
    "a secret in a variable": re.compile(
        r"(?i)\b[a-z0-9_]*(?:password|passwd|secret_access_key|secret_key|api_?key|auth_?token)"
        r"[\"']?\s*[=:]\s*[\"']?(?![\s\"'$<{(/]|arn:|file:|true\b|false\b|null\b|none\b)[^\s\"'$]{6,}"
    ),
}


def secrets_in(text: str) -> list[str]:
    """What secrets user data seems to hold, by kind; it may be plain, base64, or base64 of gzip."""
    readable = "\n".join(_readings(text))
    return [name for name, pattern in _PATTERNS.items() if pattern.search(readable)]


def _readings(text: str) -> list[str]:
    found = [text]
    try:
        content = base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        return found
    if content.startswith(_GZIP):
        try:
            content = zlib.decompressobj(wbits=31).decompress(content, _LARGEST)
        except zlib.error:
            return found
    return [*found, content.decode("utf-8", errors="replace")]
