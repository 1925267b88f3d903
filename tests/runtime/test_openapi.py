"""The OpenAPI document against the API, by a checker that nobody here wrote."""

from collections.abc import Generator
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from runtime_processes import Stack, start_stack
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    unsupported_method,
]


OPERATIONS = [
    ("POST", "/execute"),
    ("GET", "/result/{id}"),
    ("GET", "/jobs"),
    ("DELETE", "/jobs/{id}"),
    ("GET", "/usage"),
    ("GET", "/health"),
    ("GET", "/ready"),
]
# These take nothing, so nothing that they are sent can be wrong.
CASES = [
    pytest.param(method, path, mode, id=f"{method} {path} {mode.value}")
    for method, path in OPERATIONS
    for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
    if mode is GenerationMode.POSITIVE or path not in ("/usage", "/health", "/ready")
]


@pytest.fixture(scope="module")
def checked_stack(shared_database_url: str) -> Generator[Stack]:
    """A stack whose queue never fills and whose waits are not waited for."""
    with start_stack(shared_database_url, workers=1) as started:
        yield started


@pytest.fixture(scope="module")
def document(checked_stack: Stack) -> Any:
    """The document as a client gets it."""
    return schemathesis.openapi.from_url(f"{checked_stack.url}/openapi.json")


@pytest.fixture(scope="module")
def key(checked_stack: Stack) -> str:
    """A key, as a header's value."""
    with checked_stack.client() as client:
        return client.headers["authorization"]


@pytest.mark.parametrize(("method", "path", "mode"), CASES)
def test_no_request_gets_a_server_error_or_an_answer_that_is_not_declared(
    document: Any, key: str, method: str, path: str, mode: GenerationMode
) -> None:
    """A client that is built from the document must be able to understand every answer."""
    strategy = document[path][method].as_strategy(generation_mode=mode)

    @settings(
        max_examples=80,
        deadline=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
    )
    @given(case=strategy)
    def check(case: Any) -> None:
        # A made-up wait would only be waited for.
        case.headers.pop("Prefer", None)
        case.call_and_validate(headers={"Authorization": key}, checks=CHECKS, timeout=30)

    check()


def test_every_operation_declares_what_the_contract_asks_for(checked_stack: Stack) -> None:
    """An answer that is not in the document is a surprise to every generated client."""
    paths = httpx.get(f"{checked_stack.url}/openapi.json").json()["paths"]
    declared = {
        (path, method): set(operation["responses"])
        for path, item in paths.items()
        for method, operation in item.items()
    }
    assert declared == {
        ("/execute", "post"): {"200", "202", "401", "408", "413", "422", "429", "503"},
        ("/result/{id}", "get"): {"200", "401", "404", "410", "503"},
        ("/jobs", "get"): {"200", "401", "422", "503"},
        ("/jobs/{id}", "delete"): {"200", "202", "401", "404", "410", "503"},
        ("/jobs/{id}/output", "get"): {"200", "204", "401", "404", "410", "422", "429", "503"},
        ("/usage", "get"): {"200", "401", "503"},
        ("/health", "get"): {"200"},
        ("/ready", "get"): {"200", "503"},
    }
    for path, item in paths.items():
        for operation in item.values():
            for status, answer in operation["responses"].items():
                if status in ("429", "503"):
                    assert answer["headers"]["Retry-After"]["required"], path
                if int(status) >= 400:
                    assert list(answer["content"]) == ["application/problem+json"], (path, status)
