"""What a job asks the proxy for: the first and only request of a connection, parsed strictly (RFC 9112)."""

import re
from dataclasses import dataclass

import h11

from fleet_runtime.egress.domains import parse_authority

_METHODS = frozenset({b"CONNECT", b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS"})
_ABSOLUTE = re.compile(rb"(?i:http)://([^/?#]*)([/?][^#]*)?\Z")


class BadRequest(Exception):  # noqa: N818 - it is a verdict
    """The proxy does not understand the request, or will not; the text is for the job."""


@dataclass(frozen=True)
class Target:
    """Where a request goes. `path` is empty for a tunnel."""

    host: str
    port: int
    path: bytes

    @property
    def tunnel(self) -> bool:
        """Whether it asks for a tunnel."""
        return not self.path


def target_of(request: h11.Request, within: Target | None = None) -> Target:
    """Return where a request goes; raises BadRequest. `within` is the tunnel in which it came, if it came in one."""
    if request.method not in _METHODS or (within is not None and request.method == b"CONNECT"):
        raise BadRequest("this method is not taken")
    framing = [name for name, _ in request.headers if name in (b"content-length", b"transfer-encoding")]
    if len(framing) > 1:
        raise BadRequest("a request has one of Content-Length and Transfer-Encoding, once")
    try:
        if within is not None and request.target.startswith(b"/"):
            target = Target(within.host, within.port, request.target)
        else:
            target = _tunnel(request.target) if request.method == b"CONNECT" else _absolute(request.target)
        _check_host(request, target)
    except ValueError as error:
        raise BadRequest(str(error)) from None
    if target.tunnel and framing:
        raise BadRequest("a CONNECT has no body")
    if within is not None and target.host != within.host:
        raise BadRequest("the request asks for another host than its tunnel was made to")
    return target


def _tunnel(text: bytes) -> Target:
    host, port = parse_authority(text, None)
    return Target(host, port, b"")


def _absolute(text: bytes) -> Target:
    match = _ABSOLUTE.match(text)
    if match is None:
        raise ValueError("the target is not http://host/path: this is a proxy")
    host, port = parse_authority(match[1], 80)
    path = match[2] or b"/"
    return Target(host, port, path if path.startswith(b"/") else b"/" + path)


def _check_host(request: h11.Request, target: Target) -> None:
    """Refuse a Host that says something else: somebody would believe it."""
    for name, value in request.headers:
        if name == b"host":
            default = target.port if target.tunnel else 80
            if parse_authority(value, default) != (target.host, target.port):
                raise ValueError("the header Host names another host than the target")
