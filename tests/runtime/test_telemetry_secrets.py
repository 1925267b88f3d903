"""What jobs are made of and what opens doors, in nothing that the fleet tells of itself."""

import secrets
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from calls import result, run, submit
from collector import collecting
from runtime_processes import Stack, start_stack, until


def _jobs(stack: Stack, client: httpx.Client, marker: str) -> None:
    """Run jobs that succeed, fail, are refused, break their sandbox and are cancelled, each with the marker inside."""
    inputs: dict[str, Any] = {"stdin": marker, "files": {f"{marker}.txt": marker}}
    ended = run(client, code=f"import sys; print('{marker}'); print(sys.stdin.read(), file=sys.stderr)", **inputs)
    assert marker in ended["stdout"]
    assert marker in ended["stderr"]
    assert run(client, code=f"raise ValueError('{marker}')", **inputs)["status"] == "failed"
    assert run(client, code=f"#sandbox: lost\n# {marker}", **inputs)["error"]["code"] == "sandbox_terminated"
    assert client.post("/execute", json={"language": marker, "code": marker}).status_code == 422
    assert client.post("/execute", content=f'{{"code": "{marker}'.encode()).status_code == 422
    assert client.get(f"/result/{marker}").status_code == 404
    assert client.get("/jobs", params={"cursor": marker}).status_code == 422
    waiting = submit(client, code=f"import time; time.sleep(60)  # {marker}", **inputs, idempotency_key=marker)
    with client.stream("GET", f"/jobs/{waiting}/output") as events:
        assert events.status_code == 200
    client.delete(f"/jobs/{waiting}")
    assert result(client, waiting, wait=30)["status"] == "cancelled"
    wrong = {"Authorization": f"Bearer {marker}", "traceparent": marker, "X-Request-Id": f"{marker} and a space"}
    assert httpx.get(f"{stack.url}/jobs", headers=wrong).status_code == 401


def test_no_log_line_metric_or_span_has_code_inputs_outputs_keys_or_the_database_password(database_url: str) -> None:
    """Logs and traces go to people and systems that may see neither a tenant's data nor a way in."""
    marker = f"marker{secrets.token_hex(8)}"
    password = urlsplit(database_url).password
    assert password
    with (
        collecting() as collector,
        start_stack(database_url, workers=1, OTLP_ENDPOINT=collector.url, LOG_LEVEL="debug") as stack,
    ):
        keys = list(stack.keys.values())
        with stack.client() as client:
            _jobs(stack, client, marker)
        until(lambda: any(span.name == "attempt" for _, span in collector.spans()), what="the spans")
        told = {"API's metrics": httpx.get(f"{stack.metrics_url}/metrics").content}
        for process in stack.processes:
            process.terminate()
            process.popen.wait(timeout=60)
            told[f"log {process.log.name}"] = Path(process.log).read_bytes()
        # The processes have ended, so that nothing is still on its way.
        told["spans"] = b"".join(collector.bodies)
    assert b'"event": "attempt_ended"' in b"".join(told.values())
    assert b"attempt" in told["spans"]
    for what, text in told.items():
        for name, value in (("the marker", marker), ("the password", password), *(("a key", key) for key in keys)):
            found = text.find(value.encode())
            assert found < 0, f"{what} has {name}: …{text[max(0, found - 200) : found + 60]!r}"
