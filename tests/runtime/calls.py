"""Calls to the API, with what every test expects of the answers."""

from typing import Any

import httpx


def run(client: httpx.Client, wait: int = 30, **body: Any) -> dict[str, Any]:
    """Run a job to its end and return its result; `language` is python unless given."""
    answer = client.post("/execute", json={"language": "python", **body}, headers={"Prefer": f"wait={wait}"})
    assert answer.status_code == 200, answer.text
    return answer.json()


def submit(client: httpx.Client, **body: Any) -> str:
    """Have a job accepted and return its id."""
    answer = client.post("/execute", json={"language": "python", "code": "", **body})
    assert answer.status_code == 202, answer.text
    return answer.json()["id"]


def result(client: httpx.Client, identifier: str, wait: int = 0) -> dict[str, Any]:
    """Return a job's result, waiting for its end."""
    answer = client.get(f"/result/{identifier}", headers={"Prefer": f"wait={wait}"} if wait else {})
    assert answer.status_code == 200, answer.text
    return answer.json()


def problem(answer: httpx.Response, status: int) -> dict[str, Any]:
    """Return the problem document that an answer must be."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert document["status"] == status
    assert {"type", "title", "detail"} <= document.keys()
    return document


def fields(answer: httpx.Response) -> set[str]:
    """Return the fields that a 422 names."""
    return {error["field"] for error in problem(answer, 422)["errors"]}
