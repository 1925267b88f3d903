"""Settings as a stack of tests has them: its name and the day are fixed, so that no test fails on another day."""

from collections.abc import Mapping
from datetime import date
from typing import Any

from settings.load import from_mapping
from settings.model import Settings

STACK = "test"
TODAY = date(2026, 11, 21)


def read(given: Mapping[str, Any], *, stack: str = STACK, today: date = TODAY, secret: bool = False) -> Settings:
    """The settings of a stack that must be accepted. Raises SettingsError."""
    return from_mapping(given, stack=stack, today=today, secret=secret)
