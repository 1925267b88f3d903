"""The host that a TLS client names is read from what real clients send, and nothing is guessed."""

import ssl

import pytest
from fleet_runtime.egress.client_hello import ClientHelloError, server_name
from hypothesis import given, settings
from hypothesis import strategies as st


def client_hello(host: str | None, *, oldest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2) -> bytes:
    """What OpenSSL sends first."""
    context = ssl.create_default_context()
    context.minimum_version = oldest
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    connection = context.wrap_bio(incoming, outgoing, server_hostname=host)
    with pytest.raises(ssl.SSLWantReadError):
        connection.do_handshake()
    return outgoing.read()


HELLO = client_hello("api.allowed.example")


def extension(kind: int, content: bytes) -> bytes:
    """One extension."""
    return kind.to_bytes(2, "big") + len(content).to_bytes(2, "big") + content


def sni(*names: tuple[int, bytes]) -> bytes:
    """The extension that names hosts."""
    inner = b"".join(bytes([kind]) + len(name).to_bytes(2, "big") + name for kind, name in names)
    return extension(0, len(inner).to_bytes(2, "big") + inner)


def made(*extensions: bytes) -> bytes:
    """A ClientHello with these extensions, in one record."""
    body = b"\3\3" + bytes(32) + b"\0" + b"\0\2\x13\1" + b"\1\0"
    inner = b"".join(extensions)
    body += len(inner).to_bytes(2, "big") + inner
    return record(b"\1" + len(body).to_bytes(3, "big") + body)


def record(content: bytes) -> bytes:
    """One record of a handshake."""
    return b"\x16\3\1" + len(content).to_bytes(2, "big") + content


@pytest.mark.parametrize("oldest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("host", ["api.allowed.example", "API.Allowed.Example"])
def test_the_name_in_a_real_clients_first_message_is_found(oldest: ssl.TLSVersion, host: str) -> None:
    """Every tunnel would be refused."""
    assert server_name(client_hello(host, oldest=oldest)) == "api.allowed.example"


@given(cut=st.integers(0, len(HELLO) - 1))
def test_part_of_a_message_asks_for_more(cut: int) -> None:
    """A message may come in any pieces."""
    assert server_name(HELLO[:cut]) is None


@given(size=st.integers(1, 400))
def test_a_message_over_several_records_is_put_together(size: int) -> None:
    """Some clients split the name itself over two records, to hide it from such as this."""
    content = HELLO[5:]
    pieces = b"".join(record(content[start : start + size]) for start in range(0, len(content), size))
    assert server_name(pieces) == "api.allowed.example"


@pytest.mark.parametrize(
    "message",
    [
        client_hello(None),
        made(),
        made(sni((0, b"api.allowed.example"), (0, b"evil.example"))),
        made(sni((0, b"api.allowed.example")), sni((0, b"evil.example"))),
        made(sni((1, b"api.allowed.example"))),
        made(sni((0, b""))),
        made(sni((0, b"api.allowed.example")), extension(0xFE0D, b"\0" * 8)),
        made(extension(0, b"\0\0")),
        made(extension(0, b"")),
        b"GET / HTTP/1.1\r\nHost: api.allowed.example\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\x80\x2e\1\3\1",
        b"\x17\3\3\0\5hello",
        record(b"\2\0\0\0"),
        record(b"\1\xff\xff\xff" + bytes(100)),
        b"\x16\3\1\0\0",
        record(HELLO[5:] + b"\1\0\0\0"),
    ],
)
def test_what_is_no_plain_client_hello_is_refused(message: bytes) -> None:
    """Where two hosts can be read from it, the server may take the other one."""
    with pytest.raises(ClientHelloError):
        server_name(message)


@settings(max_examples=300)
@given(
    data=st.binary(max_size=300) | st.binary(max_size=100).map(record) | st.binary(max_size=80).map(lambda b: made(b))
)
def test_no_bytes_break_the_parser(data: bytes) -> None:
    """It reads what strangers write."""
    try:
        found = server_name(data)
    except ClientHelloError:
        return
    assert found is None or found == found.lower()


@settings(max_examples=300)
@given(at=st.integers(5, len(HELLO) - 1), value=st.integers(0, 255))
def test_a_changed_byte_gives_another_name_or_none_and_never_an_error(at: int, value: int) -> None:
    """A length that is believed without a look reads beyond its field."""
    changed = HELLO[:at] + bytes([value]) + HELLO[at + 1 :]
    try:
        server_name(changed)
    except ClientHelloError:
        return
