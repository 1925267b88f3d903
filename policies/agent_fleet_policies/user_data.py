"""What a host is started with, searched for secrets."""

import base64
import binascii
import re
import zlib

# As far as a bomb of zeros may unfold: user data is 16 KB at most.
_LARGEST = 1 << 20
_GZIP = b"\x1f\x8b"
_DEEPEST = 3
_ENCODED = re.compile(r"[A-Za-z0-9+/]{24,}={0,2}")
_ALONE = ("an access key's id", "a private key", "a GitHub token")
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
    try:
        readable = "\n".join(_readings(text))
    except OverflowError:
        return ["more than can be read"]
    return [name for name, pattern in _PATTERNS.items() if pattern.search(readable)]


def tokens_in(text: str) -> list[str]:
    """What in a text is a secret whatever stands before it, by kind."""
    return [name for name in _ALONE if _PATTERNS[name].search(text)]


def _readings(text: str, depth: int = 0) -> list[str]:
    """The text, and what is encoded in it: all of it, or files in it (cloud-init's `write_files`)."""
    found = [text]
    if depth == _DEEPEST:
        return found
    whole = "".join(text.split())
    for part in {whole, *_ENCODED.findall(text)}:
        try:
            content = base64.b64decode(part, validate=True)
        except (binascii.Error, ValueError):
            continue
        found += _readings(_unpacked(content).decode("utf-8", errors="replace"), depth + 1)
    return found


def _unpacked(content: bytes) -> bytes:
    """Raises OverflowError for a bomb, behind which anything could stand."""
    if not content.startswith(_GZIP):
        return content
    packed = zlib.decompressobj(wbits=31)
    try:
        found = packed.decompress(content, _LARGEST)
    except zlib.error:
        return content
    if packed.unconsumed_tail:
        raise OverflowError
    return found
