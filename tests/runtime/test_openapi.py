"""The OpenAPI document against the API, by a checker that nobody here wrote."""

import random
import sys
import time
from collections.abc import Callable, Generator
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, seed, settings
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
    (method, path, mode)
    for method, path in OPERATIONS
    for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
    if mode is GenerationMode.POSITIVE or path not in ("/usage", "/health", "/ready")
]
_BOUNDS = settings(
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)
_SOAK_SECONDS = 600


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


def _check(document: Any, key: str, case: tuple[str, str, GenerationMode], chosen: settings, seeded: int = 0) -> None:
    method, path, mode = case
    strategy = document[path][method].as_strategy(generation_mode=mode)

    @seed(seeded)
    @chosen
    @given(case=strategy)
    def check(case: Any) -> None:
        # A made-up wait would only be waited for.
        case.headers.pop("Prefer", None)
        case.call_and_validate(headers={"Authorization": key}, checks=CHECKS, timeout=60)

    check()


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]} {case[1]} {case[2].value}")
def test_no_request_gets_a_server_error_or_an_answer_that_is_not_declared(
    document: Any, key: str, case: tuple[str, str, GenerationMode]
) -> None:
    """A client that is built from the document must be able to understand every answer."""
    _check(document, key, case, settings(_BOUNDS, max_examples=80, derandomize=True))


@pytest.mark.soak
@pytest.mark.timeout(1_800)
def test_ten_minutes_of_requests_get_no_server_error_and_no_answer_that_is_not_declared(
    document: Any,
    key: str,
    record_property: Callable[[str, object], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What is wrong with one request in a thousand is found by thousands of them, new ones in each run."""
    begun, rounds, first = time.monotonic(), 0, random.randrange(1 << 32)
    record_property("seed", first)
    while time.monotonic() - begun < _SOAK_SECONDS:
        for case in CASES:
            _check(document, key, case, settings(_BOUNDS, max_examples=40, database=None), first + rounds)
        rounds += 1
        with capsys.disabled():
            sys.stdout.write(f"\n{rounds} rounds of {len(CASES)} x 40 requests in {time.monotonic() - begun:.0f} s")
            sys.stdout.flush()
    record_property("rounds", rounds)


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
