"""Every way in which a request can be wrong has its own answer, as a problem document that names the field."""

import base64
import contextlib
import json
import socket
from collections.abc import Generator
from typing import Any

import httpx
import pytest
from calls import fields, problem
from runtime_processes import Stack

JOB = {"language": "python", "code": ""}


@pytest.fixture(scope="module")
def client(stack: Stack) -> Generator[httpx.Client]:
    """A client of a tenant that no other test has."""
    with stack.client() as opened:
        yield opened


def post(client: httpx.Client, **body: Any) -> httpx.Response:
    """Send a job that is valid but for `body`."""
    return client.post("/execute", content=json.dumps({**JOB, **body}))


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ({"language": "cobol"}, {"language"}),
        ({"language": None}, {"language"}),
        ({"code": 1}, {"code"}),
        ({"code": "a" * 100_001}, {"code"}),
        ({"code": "a\0b"}, {"code"}),
        ({"code": "\ud800"}, {"code"}),
        ({"stdin": "\udfff"}, {"stdin"}),
        ({"stdin": "\0"}, {"stdin"}),
        ({"timeout_seconds": 0}, {"timeout_seconds"}),
        ({"timeout_seconds": 3601}, {"timeout_seconds"}),
        ({"timeout_seconds": "5"}, {"timeout_seconds"}),
        ({"timeout_seconds": float("nan")}, {"timeout_seconds"}),
        ({"priority": 101}, {"priority"}),
        ({"priority": True}, {"priority"}),
        ({"max_attempts": 0}, {"max_attempts"}),
        ({"max_attempts": 11}, {"max_attempts"}),
        ({"idempotency_key": ""}, {"idempotency_key"}),
        ({"idempotency_key": "k" * 256}, {"idempotency_key"}),
        ({"idempotency_key": "\0"}, {"idempotency_key"}),
        ({"workspace": "w"}, {"workspace"}),
        ({"unknown": 1}, {"unknown"}),
        ({"extra\ud800": 1}, {"body"}),
        ({"timeout_seconds": -1, "priority": 1000}, {"timeout_seconds", "priority"}),
        ({"files": []}, {"files"}),
        ({"files": {f"f{n}": "" for n in range(1_001)}}, {"files"}),
        ({"files": {"a": 1}}, {"files['a']"}),
        ({"files": {"a": {"base64": 1}}}, {"files['a']"}),
        ({"files": {"a": {"base64": "$"}}}, {"files['a'].base64"}),
        ({"files": {"a": {"base64": "YQ"}}}, {"files['a'].base64"}),
        ({"files": {"a": "x\0"}}, {"files['a']"}),
        ({"files": {"a": "\ud800"}}, {"files['a']"}),
        ({"files": {"/a": ""}}, {"files['/a']"}),
        ({"files": {"a/../b": ""}}, {"files['a/../b']"}),
        ({"files": {"a//b": ""}}, {"files['a//b']"}),
        ({"files": {"": ""}}, {"files['']"}),
        ({"files": {"a/b": "", "a": ""}}, {"files['a/b']"}),
        ({"files": {"main.py": ""}}, {"files['main.py']"}),
        ({"agent": "coder", "prompt": "do"}, {"agent"}),
    ],
    ids=lambda value: ascii(value)[:40] if isinstance(value, dict) else "",
)
def test_a_wrong_field_is_named(client: httpx.Client, body: dict[str, Any], names: set[str]) -> None:
    """An error without the field's name leaves the client guessing."""
    assert fields(post(client, **body)) == names


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"code": "a" * 100_001}, "code: has 100001 characters; at most 100000 are allowed"),
        ({"code": "\ud800"}, "code: holds a lone surrogate, which is not valid Unicode"),
        ({"code": "a\0b"}, "code: holds a NUL character, which is not allowed in text"),
        ({"idempotency_key": "k" * 256}, "idempotency_key: has 256 characters; at most 255 are allowed"),
        ({"idempotency_key": ""}, "idempotency_key: must not be empty"),
        ({"files": {f"f{n}": "" for n in range(1_001)}}, "files: has more than 1000 entries"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_limit_is_told_in_the_fields_own_terms(client: httpx.Client, body: dict[str, Any], message: str) -> None:
    """A text that is too long has too many characters, and only files have entries."""
    assert problem(post(client, **body), 422)["detail"] == message


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"null", b"[]", b'"x"', b"\xff", b'{"a":' * 50_000, b"1" * 5_000, b'{"language": "python"}'],
    ids=lambda value: repr(value)[:20],
)
def test_a_body_that_is_no_job_is_refused(client: httpx.Client, content: bytes) -> None:
    """Whatever comes in, the parser must not be what fails."""
    assert fields(client.post("/execute", content=content)) <= {"body", "code"}


def test_an_agent_job_is_told_that_no_agent_type_is_configured(client: httpx.Client) -> None:
    """An agent job that is queued for ever would be worse than refused."""
    answer = client.post("/execute", json={"agent": "coder", "prompt": "fix it"})
    document = problem(answer, 422)
    assert document["errors"][0]["field"] == "agent"
    assert "no agent type is configured in this stack" in document["errors"][0]["message"]


def test_files_above_sixteen_mebibytes_are_too_large(client: httpx.Client) -> None:
    """The contract's limit is on decoded bytes of all files together; exactly at it is allowed."""
    half = base64.b64encode(bytes(8 * 1024 * 1024)).decode()
    whole = {"a": {"base64": half}, "b": {"base64": half}}
    assert post(client, files=whole).status_code == 202
    document = problem(post(client, files={**whole, "c": "x"}), 413)
    assert document["errors"][0]["field"] == "files"


def test_a_body_is_refused_by_its_size_before_it_is_read(client: httpx.Client) -> None:
    """A client that declares a gigabyte must not get to send it."""
    url = httpx.URL(str(client.base_url))
    with socket.create_connection((url.host, url.port or 80), timeout=10) as connection:
        key = client.headers["authorization"]
        head = f"POST /execute HTTP/1.1\r\nHost: x\r\nAuthorization: {key}\r\nContent-Length: {1024**3}\r\n\r\n{{"
        connection.sendall(head.encode())
        answer = b"".join(iter(lambda: connection.recv(65_536), b""))
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"application/problem+json" in answer


def test_a_body_of_unknown_size_is_refused_where_it_passes_the_limit(client: httpx.Client) -> None:
    """Chunked bodies declare nothing, and are bounded all the same."""
    sent = 0

    def endless() -> Generator[bytes]:
        nonlocal sent
        while sent < 200 * 1024 * 1024:
            sent += 1024 * 1024
            yield b" " * 1024 * 1024

    # The server closes the connection, which the client may notice while it is still writing.
    with contextlib.suppress(httpx.TransportError):
        problem(client.post("/execute", content=endless()), 413)
    assert sent < 200 * 1024 * 1024


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Bearer x", "Basic eDp5", "Bearer fleet_00000000_" + "0" * 64, "Bearer fleet_\udcff"],
    ids=["none", "empty", "short", "basic", "unknown", "bytes"],
)
@pytest.mark.parametrize("call", [("POST", "/execute"), ("GET", "/jobs"), ("GET", "/result/x"), ("DELETE", "/jobs/x")])
def test_nothing_is_answered_without_a_valid_key(stack: Stack, call: tuple[str, str], authorization: str) -> None:
    """The key is checked before anything else is looked at."""
    header = [(b"Authorization", authorization.encode(errors="surrogateescape"))] if authorization else []
    answer = httpx.request(call[0], stack.url + call[1], headers=header)
    problem(answer, 401)
    assert answer.headers["www-authenticate"] == "Bearer"


def test_a_wrong_secret_for_a_known_key_id_is_refused(stack: Stack, client: httpx.Client) -> None:
    """The id finds the key; only all of it opens."""
    right = client.headers["authorization"]
    wrong = right[:-1] + ("0" if right[-1] != "0" else "1")
    problem(httpx.get(f"{stack.url}/jobs", headers={"Authorization": wrong}), 401)


@pytest.mark.parametrize("identifier", ["x", "0", "%00", "..", "01a1fbe5-4b67-77e1-ba6f-4a3d714d1c92", "é"])
def test_an_unknown_job_is_not_found(client: httpx.Client, identifier: str) -> None:
    """What cannot be an id is simply a job that does not exist."""
    problem(client.get(f"/result/{identifier}"), 404)
    problem(client.delete(f"/jobs/{identifier}"), 404)


@pytest.mark.parametrize("path", ["/jobs/", "/ready/", "/health/", "/execute/"])
def test_a_slash_too_many_is_another_path(client: httpx.Client, path: str) -> None:
    """A redirect would be an answer that the document does not declare."""
    problem(client.get(path), 404)


def test_an_unknown_path_and_a_wrong_method_are_problems_too(client: httpx.Client) -> None:
    """Every error has the same form."""
    problem(client.get("/nothing"), 404)
    answer = client.put("/execute")
    problem(answer, 405)
    assert answer.headers["allow"] == "POST"
