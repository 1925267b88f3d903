"""One process of the pack for all tests."""

from collections.abc import Iterator

import pytest
from analyzer_process import Pack, running


@pytest.fixture(scope="session")
def _process() -> Iterator[Pack]:
    with running() as pack:
        yield pack


@pytest.fixture
def pack(_process: Pack) -> Pack:
    """The pack with its defaults."""
    _process.configure()
    return _process
