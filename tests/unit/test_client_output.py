"""Following a job's output where what answers is no fleet, over HTTP."""

import http.server
import threading
from collections.abc import Generator
from contextlib import contextmanager

import pytest
from agent_fleet_client import Fleet
from agent_fleet_client.errors import AnswerError, BrokenStreamError

_ID = "01932f5e-7d2a-7c3b-9f00-3a5f0d9b1c2d"


@contextmanager
def _answering(media_type: str, body: bytes) -> Generator[str]:
    """Serve one answer to everything, and give the address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", media_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Nobody reads it."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_a_page_of_something_else_is_not_asked_for_again_and_again() -> None:
    """A proxy's page for logging in, with status 200, was fetched twice a second for ever."""
    with (
        _answering("text/html", b"<html></html>") as url,
        Fleet(url, "key") as fleet,
        pytest.raises(AnswerError, match="is that the fleet's address"),
    ):
        list(fleet.output(_ID))


def test_a_stream_that_never_brings_anything_is_given_up() -> None:
    """Something in between that cuts every stream at once would have the client try for ever."""
    with (
        _answering("text/event-stream", b"retry: 1\n\n") as url,
        Fleet(url, "key", patience_seconds=0) as fleet,
        pytest.raises(BrokenStreamError, match="breaks off"),
    ):
        list(fleet.output(_ID))


def test_a_line_without_end_is_an_error_of_this_package() -> None:
    """Programs catch FleetError; anything else takes them down."""
    with (
        _answering("text/event-stream", b"x" * (17 * 1024 * 1024)) as url,
        Fleet(url, "key", patience_seconds=0) as fleet,
        pytest.raises(AnswerError, match="a line of more than"),
    ):
        list(fleet.output(_ID))
