"""To whom the registry client gives Docker's login: to the registry that it is for, and never in plain text."""

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import urllib3

from engine.errors import UserFacingError
from engine.image_family.registry import Registry

LOGIN = base64.b64encode(b"pusher:only for this test").decode()


class _Server:
    """Answers every request with the same status and headers, and keeps what it was asked for."""

    def __init__(self, status: int) -> None:
        self.headers: dict[str, str] = {}
        self.heard: list[tuple[str, str | None]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.heard.append((self.path, self.headers["Authorization"]))
                self.send_response(status)
                for name, value in {"Content-Length": "0", **outer.headers}.items():
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def servers() -> Iterator[tuple[_Server, _Server]]:
    """A registry that hands everything on, and a stranger that wants a login."""
    made = _Server(307), _Server(401)
    yield made
    for each in made:
        each.close()


def _log_in_to(monkeypatch: pytest.MonkeyPatch, folder: Path, *hosts: str) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(folder))
    (folder / "config.json").write_text(json.dumps({"auths": {host: {"auth": LOGIN} for host in hosts}}))


@pytest.mark.parametrize("kind", ["Basic realm={}", 'Bearer realm="http://{}/token"'])
def test_a_host_that_the_registry_hands_on_to_gets_no_login(
    servers: tuple[_Server, _Server], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str
) -> None:
    """Prevents storage behind a registry, or whoever answers in its place, from asking for the user's password."""
    registry, stranger = servers
    registry.headers["Location"] = f"http://{stranger.host}/elsewhere"
    stranger.headers["WWW-Authenticate"] = kind.format(stranger.host)
    _log_in_to(monkeypatch, tmp_path, registry.host)
    with pytest.raises(UserFacingError, match="401"):
        Registry(registry.host).content("team/runtime", "blobs/sha256:1")
    assert stranger.heard == [("/elsewhere", None)]


def test_a_login_is_not_sent_to_an_address_without_tls(
    servers: tuple[_Server, _Server], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Prevents the user's password in plain text on the network, because a registry names such an address."""
    _, registry = servers
    registry.headers["WWW-Authenticate"] = 'Bearer realm="http://login.example/token",service="x"'
    _log_in_to(monkeypatch, tmp_path, registry.host)
    with pytest.raises(UserFacingError, match=r"http://login\.example/token"):
        Registry(registry.host).check()
    assert [authorization for _, authorization in registry.heard] == [None]


def test_an_upload_in_plain_text_gets_no_login(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prevents the token in plain text: behind a proxy that ends TLS, registries name places with http."""
    sent: list[tuple[str, dict[str, str]]] = []

    class Pool:
        def __init__(self, **_: Any) -> None:
            """Take no notice."""

        def request(self, method: str, url: str, headers: dict[str, str], body: object) -> Any:
            del body
            sent.append((url, headers))
            answer = {"HEAD": 404, "POST": 202}.get(method, 201)
            place = "http://registry.example/v2/team/runtime/blobs/uploads/1"
            return urllib3.HTTPResponse(b"", {"Location": place}, answer, request_url=url)

    monkeypatch.setattr(urllib3, "PoolManager", Pool)
    registry = Registry("registry.example")
    monkeypatch.setattr(registry, "_headers", {"Authorization": "Bearer token"})
    registry._push_blob("team/runtime", Path(__file__), "sha256:1")  # pyright: ignore[reportPrivateUsage]
    secured = {url.partition(":")[0]: "Authorization" in headers for url, headers in sent}
    assert secured == {"https": True, "http": False}
