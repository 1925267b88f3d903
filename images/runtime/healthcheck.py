"""A container's health check: exit code 0 when the role answers as it should, else 1 and the reason.

Called as `python -S healthcheck.py TARGET`, every few seconds in every container, so it imports as little as it can.
TARGET is `http://ADDRESS:PORT/PATH` (healthy: status 200) or `unix:PATH`, sandboxd's socket (healthy: its answer to
`count` says so).
"""

import socket
import sys

TIMEOUT_SECONDS = 3.0
LARGEST_ANSWER = 65_536


def _over_http(target: str) -> str | None:
    """Return why the address is not healthy, or None."""
    host_and_port, _, path = target.removeprefix("http://").partition("/")
    host, _, port = host_and_port.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=TIMEOUT_SECONDS) as connection:
        request = (
            f"GET /{path} HTTP/1.1\r\nHost: {host_and_port}\r\nUser-Agent: healthcheck\r\nConnection: close\r\n\r\n"
        )
        connection.sendall(request.encode("ascii"))
        answer = b""
        while b"\n" not in answer and (piece := connection.recv(4096)):
            answer += piece
    line = answer.partition(b"\r\n")[0].decode("latin-1")
    parts = line.split(" ", 2)
    return None if len(parts) > 1 and parts[1] == "200" else f"{target} answered {line!r}"


def _of_sandboxd(path: str) -> str | None:
    """Return why sandboxd is not healthy, or None. A message is a 4-byte length and that much JSON."""
    import json

    question = b'{"op":"count"}'
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(TIMEOUT_SECONDS)
        connection.connect(path)
        connection.sendall(len(question).to_bytes(4, "big") + question)
        answer = _exactly(connection, int.from_bytes(_exactly(connection, 4), "big"))
    header = json.loads(answer)
    if not isinstance(header, dict):
        return f"sandboxd answered {header!r}"
    if header.get("event") == "count" and header.get("healthy") is True:
        return None
    return str(header.get("reason") or header.get("message") or header)


def _exactly(connection: socket.socket, size: int) -> bytes:
    if size > LARGEST_ANSWER:
        raise ValueError(f"an answer of {size} bytes is announced")
    received = b""
    while len(received) < size:
        piece = connection.recv(size - len(received))
        if not piece:
            raise ValueError("the connection was closed before the whole answer")
        received += piece
    return received


def check(target: str) -> str | None:
    """Return why `target` is not healthy, in a line, or None if it is."""
    try:
        if target.startswith("unix:"):
            return _of_sandboxd(target.removeprefix("unix:"))
        if target.startswith("http://"):
            return _over_http(target)
    except (OSError, ValueError) as error:
        return f"{target}: {error}"
    return f"the target {target!r} is neither http://ADDRESS:PORT/PATH nor unix:PATH"


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: healthcheck.py TARGET")
    # A string as exit status is written to standard error, and the status is then 1.
    sys.exit(check(sys.argv[1]))
