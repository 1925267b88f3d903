"""The measurements of benchmarks/ start where pytest's own search path is not there."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

_CHECKOUT = Path(__file__).parents[2]
_PROGRAMS = sorted(
    file.stem for file in (_CHECKOUT / "benchmarks").glob("*.py") if "\nif __name__ ==" in file.read_text()
)


@pytest.mark.parametrize("program", _PROGRAMS)
def test_a_measurement_says_how_it_is_called(program: str) -> None:
    """Prevents a `make bench` that ends in a stack trace, because a module it shares with the tests was moved."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    process = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{program}", "--help"],
        cwd=_CHECKOUT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (process.returncode, process.stderr) == (0, "")
    assert process.stdout.startswith(f"usage: {program}.py")


def test_measurements_are_looked_for_where_they_are() -> None:
    """Prevents the test above from passing over an empty list."""
    assert {"__main__", "sandbox_pods"} <= set(_PROGRAMS)
