"""Hosts as a job may write them: one notation each, and none for an address."""

import socket

import h11
import pytest
from fleet_runtime.egress.domains import DomainList, is_domain, parse_authority
from fleet_runtime.egress.request import BadRequest, Target, target_of
from hypothesis import given
from hypothesis import strategies as st

LABELS = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?", fullmatch=True)
DOMAINS = st.lists(LABELS, min_size=1, max_size=4).map(lambda labels: ".".join([*labels, "org"]))


@pytest.mark.parametrize(
    "authority",
    [
        "127.0.0.1:443",
        "2130706433:443",
        "0x7f000001:443",
        "0177.0.0.1:443",
        "127.1:443",
        "1.2.3.4.:443",
        "[::1]:443",
        "[::ffff:169.254.169.254]:443",
        "::1:443",
        "localhost:443",
        "host.docker.internal.:443",
        "user@api.example.com:443",
        "api.example.com:443@evil.example",
        "api.example.com:0",
        "api.example.com:65536",
        "api.example.com:443:443",
        "api.example.com:",
        "api.example.com:+443",
        "api.example.com: 443",
        "api..example.com:443",
        ".example.com:443",
        "-a.example.com:443",
        "api_x.example.com:443",
        "api.example.com/:443",
        "api.example.com#x:443",
        "api.example.com%00.evil.example:443",
        "api.example.com\0:443",
        "b\u00fccher.example:443",
        "api\u3002example.com:443",
        "x" * 64 + ".example.com:443",
        "a." * 130 + "com:443",
        "",
        ":443",
    ],
)
def test_what_is_no_plain_domain_and_port_is_refused(authority: str) -> None:
    """Every other notation is one that two programs read differently."""
    with pytest.raises(ValueError, match="target"):
        parse_authority(authority.encode(), None)


@given(text=st.text(max_size=40) | st.ip_addresses().map(str) | st.integers(0, 2**32).map(str))
def test_a_name_is_never_an_address(text: str) -> None:
    """Resolvers take many texts for addresses and then ask nobody."""
    if is_domain(text):
        with pytest.raises(OSError, match="illegal IP address"):
            socket.inet_aton(text)


@given(host=DOMAINS, port=st.integers(1, 65_535), upper=st.booleans())
def test_case_does_not_matter(host: str, port: int, upper: bool) -> None:
    """A list in small letters must hold for what is written in large ones."""
    written = f"{host.upper() if upper else host}:{port}"
    assert parse_authority(written.encode(), None) == (host, port)


@given(host=DOMAINS, listed=DOMAINS)
def test_a_domain_is_allowed_only_as_it_is_listed(host: str, listed: str) -> None:
    """`evil-example.com` ends with `example.com`, and `example.com.evil.org` begins with it."""
    assert DomainList([listed]).allows(host) == (host == listed)
    below = DomainList([f"*.{listed}"])
    assert below.allows(host) == host.endswith(f".{listed}")
    assert not below.allows(listed)
    assert below.allows(f"a.b.{listed}")
    assert not below.allows(f"a{listed}")
    assert not below.names(f"a.{listed}")


@pytest.mark.parametrize("entry", ["*", "*.", "com", "*.*.com", "a.*.com", "1.2.3.4", "api.example.com:443", ""])
def test_a_list_takes_two_forms_only(entry: str) -> None:
    """An entry that is understood in another way than it was meant opens more than was meant."""
    with pytest.raises(ValueError, match="neither"):
        DomainList([entry])


def request(method: str, target: str, *headers: tuple[str, str], version: str = "1.1") -> h11.Request:
    """A request as it comes out of the parser."""
    return h11.Request(method=method, target=target, headers=list(headers), http_version=version.encode())


HOST = ("Host", "api.example.com")


@pytest.mark.parametrize(
    ("asked", "target"),
    [
        (
            request("CONNECT", "api.example.com:443", ("Host", "api.example.com:443")),
            Target("api.example.com", 443, b""),
        ),
        (request("CONNECT", "api.example.com:443", HOST), Target("api.example.com", 443, b"")),
        (request("CONNECT", "API.example.com:443", version="1.0"), Target("api.example.com", 443, b"")),
        (request("GET", "http://api.example.com/a?b", HOST), Target("api.example.com", 80, b"/a?b")),
        (request("GET", "HTTP://api.example.com:80", HOST), Target("api.example.com", 80, b"/")),
        (request("GET", "http://api.example.com?b", HOST), Target("api.example.com", 80, b"/?b")),
        (
            request("GET", "http://api.example.com/http://evil.example/", HOST),
            Target("api.example.com", 80, b"/http://evil.example/"),
        ),
    ],
)
def test_what_a_client_sends_is_understood(asked: h11.Request, target: Target) -> None:
    """curl, Python and Node each write it in their own way."""
    assert target_of(asked) == target


@pytest.mark.parametrize(
    "asked",
    [
        request("CONNECT", "api.example.com:443", ("Host", "evil.example:443")),
        request("CONNECT", "api.example.com:443", ("Host", "api.example.com:80")),
        request("CONNECT", "api.example.com", HOST),
        request("CONNECT", "http://api.example.com:443/", HOST),
        request("CONNECT", "api.example.com:443", HOST, ("Content-Length", "5")),
        request("CONNECT", "api.example.com:443", HOST, ("Transfer-Encoding", "chunked")),
        request("GET", "http://api.example.com/", ("Host", "evil.example")),
        request("GET", "http://api.example.com/", ("Host", "api.example.com:8080")),
        request("GET", "/", HOST),
        request("GET", "*", HOST),
        request("GET", "https://api.example.com/", HOST),
        request("GET", "ftp://api.example.com/", HOST),
        request("GET", "http://api.example.com/#x", HOST),
        request("GET", "http://x@api.example.com/", HOST),
        request("GET", "http:///etc/passwd", HOST),
        request("GET", "http://api.example.com\\@evil.example/", HOST),
        request("TRACE", "http://api.example.com/", HOST),
        request("PRI", "*", HOST),
        request("POST", "http://api.example.com/", HOST, ("Content-Length", "5"), ("Transfer-Encoding", "chunked")),
    ],
)
def test_what_could_be_understood_in_two_ways_is_refused(asked: h11.Request) -> None:
    """The proxy and the server behind it must agree on whom a request is for and where it ends."""
    with pytest.raises(BadRequest):
        target_of(asked)


@given(target=st.binary(max_size=60), host=st.binary(max_size=30), method=st.sampled_from(["GET", "CONNECT", "POST"]))
def test_whatever_is_asked_the_answer_is_a_domain_or_no(target: bytes, host: bytes, method: str) -> None:
    """A parser that breaks on a byte ends the connection without a word, or lets something through."""
    try:
        asked = h11.Request(method=method, target=target, headers=[(b"Host", host)])
    except h11.LocalProtocolError:
        return
    try:
        found = target_of(asked)
    except BadRequest:
        return
    assert is_domain(found.host)


def test_a_request_in_a_tunnel_is_for_the_tunnels_host() -> None:
    """A tunnel to an allowed host would be a way to any other."""
    tunnel = Target("api.example.com", 80, b"")
    assert target_of(request("GET", "/x", HOST), tunnel) == Target("api.example.com", 80, b"/x")
    for wrong in (
        request("GET", "/x", ("Host", "evil.example")),
        request("GET", "http://evil.example/", ("Host", "evil.example")),
        request("CONNECT", "evil.example:443", ("Host", "evil.example:443")),
    ):
        with pytest.raises(BadRequest):
            target_of(wrong, tunnel)
