"""What the user is told when the first job fails."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from engine import first_job
from engine.errors import UserFacingError
from engine.stack_state import StackState


class _Refusing(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(401)
        self.end_headers()
        self.wfile.write(b'{"detail": "The API key is not known."}')

    def log_message(self, format: str, *args: object) -> None:
        del format, args


@pytest.fixture
def refusing() -> Iterator[str]:
    """The URL of an API that knows no key."""
    with HTTPServer(("127.0.0.1", 0), _Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_key_that_is_not_accepted_is_told_with_the_way_to_a_new_one(refusing: str, tmp_path: Path) -> None:
    """Prevents a stack that no `make up` mends after its own key was revoked."""
    begin = "urn:pulumi:probe::agent-fleet::agent-fleet:index:Vm$random:index/randomBytes:RandomBytes::probe"
    urns = [f"{begin}-{end}" for end in ("api-key", "api-key-id", "password")]
    state = StackState(tmp_path, "probe")
    state.checkpoint.parent.mkdir(parents=True)
    state.checkpoint.write_text(json.dumps({"checkpoint": {"latest": {"resources": [{"urn": urn} for urn in urns]}}}))
    with pytest.raises(UserFacingError, match="does not accept the stack's own API key") as refused:
        first_job.run(refusing, "key", state.named("-api-key-id", "-api-key"))
    command = f"pulumi up --target-replace '{begin}-api-key' --target-replace '{begin}-api-key-id'\n"
    assert command in refused.value.remedy
