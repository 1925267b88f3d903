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
# Imported late, and alone: the stand-ins' part of Pulumi takes the whole one's place where it is loaded first.
_ALONE = ["image_times"]
_OTHERS = sorted({file.stem for file in (_CHECKOUT / "benchmarks").glob("*.py")} - {*_ALONE, "__init__", "__main__"})


def _python(*words: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        [sys.executable, *words],
        cwd=_CHECKOUT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("program", _PROGRAMS)
def test_a_measurement_says_how_it_is_called(program: str) -> None:
    """Prevents a `make bench` that ends in a stack trace, because a module it shares with the tests was moved."""
    process = _python("-m", f"benchmarks.{program}", "--help")
    assert (process.returncode, process.stderr) == (0, "")
    assert process.stdout.startswith(f"usage: {program}.py")


@pytest.mark.parametrize("modules", [_ALONE, _OTHERS], ids=["alone", "others"])
def test_every_module_of_the_measurements_can_be_loaded(modules: list[str]) -> None:
    """Prevents the same in a part that is loaded only when it is measured, after an hour of the others."""
    process = _python("-c", "".join(f"import benchmarks.{module}\n" for module in modules))
    assert (process.returncode, process.stderr) == (0, "")


def test_measurements_are_looked_for_where_they_are() -> None:
    """Prevents the tests above from passing over an empty list."""
    assert {"__main__", "sandbox_pods"} <= set(_PROGRAMS)
    assert {"figures", "scaling"} <= set(_OTHERS)
