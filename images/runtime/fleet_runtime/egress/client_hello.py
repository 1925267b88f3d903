"""The host that a TLS client asks for, read from its first message (RFC 8446, 4.1.2), which is not encrypted.

Strict: what a server might read in another way than it is read here is refused.
"""

_HANDSHAKE, _CLIENT_HELLO = 22, 1
_SERVER_NAME, _HOST_NAME = 0, 0
_ENCRYPTED_CLIENT_HELLO = 0xFE0D
LONGEST_BYTES = 32 * 1024
"""Of the records that the message may be spread over. Browsers and libraries send less than 2 KiB."""


class ClientHelloError(Exception):
    """What came is no ClientHello that a tunnel is made for; the text says why."""


class _Fields:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> int:
        return len(self._data) - self._at

    def take(self, count: int) -> bytes:
        if count > self.left:
            raise ClientHelloError("the first TLS message is malformed")
        self._at += count
        return self._data[self._at - count : self._at]

    def number(self, width: int) -> int:
        return int.from_bytes(self.take(width), "big")

    def vector(self, width: int) -> "_Fields":
        return _Fields(self.take(self.number(width)))

    def end(self) -> None:
        if self.left:
            raise ClientHelloError("the first TLS message is malformed")


def server_name(data: bytes) -> str | None:
    """Return the host asked for, in small letters; None where more bytes are needed. Raises ClientHelloError."""
    message = _message(data)
    return None if message is None else _host(_extensions(message))


def _message(data: bytes) -> bytes | None:
    """Put the message together from its records."""
    message = b""
    while True:
        if not data:
            return _need_more(message)
        if data[0] != _HANDSHAKE or (len(data) > 1 and data[1] != 3):
            raise ClientHelloError("what was sent is not TLS")
        if len(data) < 5:
            return _need_more(message)
        length = int.from_bytes(data[3:5], "big")
        if not 0 < length <= 16_384:
            raise ClientHelloError("the first TLS record is malformed")
        if len(data) < 5 + length:
            return _need_more(message)
        message, data = message + data[5 : 5 + length], data[5 + length :]
        if message[0] != _CLIENT_HELLO:
            raise ClientHelloError("the first TLS message is not a ClientHello")
        if len(message) >= 4:
            wanted = 4 + int.from_bytes(message[1:4], "big")
            if wanted > LONGEST_BYTES or len(message) > wanted:
                raise ClientHelloError("the first TLS message is too long, or another one follows in its record")
            if len(message) == wanted:
                return message[4:]


def _need_more(message: bytes) -> None:
    if message and message[0] != _CLIENT_HELLO:
        raise ClientHelloError("the first TLS message is not a ClientHello")


def _extensions(message: bytes) -> dict[int, "_Fields"]:
    fields = _Fields(message)
    fields.take(2 + 32)
    fields.vector(1)
    fields.vector(2)
    fields.vector(1)
    if not fields.left:
        raise ClientHelloError("the TLS client names no host (SNI)")
    extensions = fields.vector(2)
    fields.end()
    found: dict[int, _Fields] = {}
    while extensions.left:
        kind, content = extensions.number(2), extensions.vector(2)
        if kind in found:
            raise ClientHelloError("the first TLS message has an extension twice")
        found[kind] = content
    return found


def _host(extensions: dict[int, "_Fields"]) -> str:
    if _ENCRYPTED_CLIENT_HELLO in extensions:
        raise ClientHelloError("the TLS client hides the host that it asks for (ECH)")
    if _SERVER_NAME not in extensions:
        raise ClientHelloError("the TLS client names no host (SNI)")
    content = extensions[_SERVER_NAME]
    names = content.vector(2)
    content.end()
    kind, name = names.number(1), names.vector(2)
    names.end()
    if kind != _HOST_NAME or not name.left:
        raise ClientHelloError("the TLS client names no host (SNI)")
    return name.take(name.left).decode("latin-1").lower()
