"""What an error nobody expected says of itself in the log."""

import json
import subprocess
import sys

_PROGRAM = """
import structlog
from fleet_runtime.telemetry.logs import configure_logs

def broken(headers):
    code = "print('a stranger's')"
    raise RuntimeError("boom")

configure_logs("info", role="egress")
try:
    broken([("authorization", "Bearer sk-secret")])
except RuntimeError:
    structlog.get_logger().exception("connection_failed")
"""


def test_an_error_is_logged_with_its_places_and_without_its_variables() -> None:
    """Code, inputs, keys and credentials stand in variables, and structlog's own way writes them all down."""
    said = subprocess.run([sys.executable, "-c", _PROGRAM], check=True, capture_output=True, text=True).stdout
    (error,) = json.loads(said)["exception"]
    assert (error["exc_type"], error["exc_value"]) == ("RuntimeError", "boom")
    assert [frame["name"] for frame in error["frames"]] == ["<module>", "broken"]
    assert "secret" not in said
    assert "stranger" not in said
