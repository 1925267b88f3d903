"""Large requests beside clients that stall."""

import json
import socket
from urllib.parse import urlsplit

from runtime_processes import Stack

_MEBIBYTE = 1024 * 1024


def _stalled(stack: Stack, key: str) -> socket.socket:
    """Two of three mebibytes of a request, and then nothing."""
    address = urlsplit(stack.url)
    connection = socket.create_connection((address.hostname or "", address.port or 0), timeout=30)
    head = f"POST /execute HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\n"
    connection.sendall(f"{head}Content-Length: {3 * _MEBIBYTE}\r\n\r\n".encode() + b" " * 2 * _MEBIBYTE)
    return connection


def test_clients_that_stall_do_not_keep_others_out(stack: Stack) -> None:
    """Prevents four slow connections of one tenant from closing the service to everybody's large jobs."""
    with stack.client() as client:
        key = client.headers["Authorization"].removeprefix("Bearer ")
        stalled = [_stalled(stack, key) for _ in range(4)]
        try:
            body = json.dumps({"language": "python", "code": "1", "files": {"data": "x" * 2 * _MEBIBYTE}})
            answer = client.post("/execute", content=body, headers={"Content-Type": "application/json"}, timeout=30)
            assert answer.status_code == 202, answer.text
            for connection in stalled:
                assert b" 408 " in connection.recv(4096)
        finally:
            for connection in stalled:
                connection.close()
