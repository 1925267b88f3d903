"""Whom the commands take for the fleet's API; the API keys go to whoever that is."""

import json
import socket
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, cast

import pytest

from engine.targets import cluster_entrance
from engine.targets.cluster_client import ClusterClient
from engine.targets.kubeconfig import Kubeconfig

_FORWARDED = 4711


class _Cluster:
    """The answers of an API server for a fleet with one API on a node's port."""

    config = Kubeconfig(Path("config"), None, "the test")

    def __init__(self, node_port: int) -> None:
        ports = [{"nodePort": node_port, "port": 80, "targetPort": 8080}]
        self._service = {"metadata": {"name": "api"}, "spec": {"type": "NodePort", "ports": ports}}

    def get(self, path: str, **parameters: str) -> dict[str, Any]:
        del parameters
        pod = {"metadata": {"name": "api-0"}, "spec": {"containers": [{}]}, "status": {"phase": "Running"}}
        return {"items": [self._service if path.endswith("/services") else pod]}

    def get_all(self, paths: object) -> dict[str, Any]:
        del paths
        return {}

    @contextmanager
    def forward(self, *where: object) -> Generator[int]:
        del where
        yield _FORWARDED


def _entered(port: int) -> str:
    with cluster_entrance.entrance(cast("ClusterClient", _Cluster(port)), "agent-fleet-probe", {}) as found:
        return found.url


@pytest.fixture
def listening(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[bytes], int]]:
    """Starts a site that answers every GET with a text; its port."""
    monkeypatch.setattr(cluster_entrance, "_NODE_PORT_SECONDS", 0.0)
    servers: list[HTTPServer] = []

    def start(text: bytes) -> int:
        class Site(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                assert "Authorization" not in self.headers
                self.send_response(200)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, format: str, *args: object) -> None:
                del format, args

        servers.append(HTTPServer(("127.0.0.1", 0), Site))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return servers[-1].server_port

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_nodes_port_on_which_the_api_answers_is_the_entrance(listening: Callable[[bytes], int]) -> None:
    """Prevents a forward through the API server where the fleet can be had directly."""
    port = listening(json.dumps({"status": "ok"}).encode())
    assert _entered(port) == f"http://127.0.0.1:{port}"


@pytest.mark.parametrize("text", [b"<html>Welcome</html>", b'{"status": "UP"}', b'["ok"]'])
def test_another_site_on_that_port_of_this_machine_gets_no_key(listening: Callable[[bytes], int], text: bytes) -> None:
    """Prevents the API keys from going to whatever program listens on 127.0.0.1."""
    assert _entered(listening(text)) == f"http://127.0.0.1:{_FORWARDED}"


def test_a_program_on_that_port_that_speaks_no_http_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prevents a stack trace where another protocol's server has the port."""
    monkeypatch.setattr(cluster_entrance, "_NODE_PORT_SECONDS", 0.0)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def greet() -> None:
            for _ in range(2):  # the probe's connection, and the request's
                connection, _ = listener.accept()
                with connection:
                    connection.sendall(b"220 mail.invalid ready\r\n")

        threading.Thread(target=greet, daemon=True).start()
        assert _entered(listener.getsockname()[1]) == f"http://127.0.0.1:{_FORWARDED}"
