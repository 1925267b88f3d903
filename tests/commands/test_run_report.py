"""What tests/conftest.py makes of a run: the order, the skips, and the long tests."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

_TESTS = Path(__file__).parents[1]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with our conftest and a test in each of two groups."""
    tests = tmp_path / "tests"
    for group in ("stack", "unit"):
        (tests / group).mkdir(parents=True)
        (tests / group / f"test_{group}.py").write_text("def test_it():\n    pass\n")
    shutil.copy(_TESTS / "conftest.py", tests)
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = -p no:cacheprovider\n")
    return tmp_path


def _run(project: Path, *arguments: str, ci: bool = False) -> tuple[int, str]:
    environment = {name: value for name, value in os.environ.items() if name != "CI" and "PYTEST" not in name}
    environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # the other plugins take a second to load
    if ci:
        environment["CI"] = "true"
    process = subprocess.run(
        [sys.executable, "-m", "pytest", "-v", *arguments],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return process.returncode, process.stdout


def _skipping(project: Path, reason: str) -> None:
    path = project / "tests" / "unit" / "test_skipping.py"
    path.write_text(f"import pytest\n\n\ndef test_it():\n    pytest.skip({reason!r})\n")


def test_the_cheapest_group_comes_first_and_the_summary_last(project: Path) -> None:
    """Prevents half an hour of deployed stacks before a unit test fails; CI reads the last line."""
    code, output = _run(project)
    assert code == 0, output
    assert output.index("unit tests") < output.index("test_unit.py::") < output.index("stack tests")
    assert output.rstrip().splitlines()[-1].strip("= ").startswith("2 passed")


@pytest.mark.parametrize(
    ("reason", "ci", "code"),
    [("no Docker daemon answers", False, 0), ("no Docker daemon answers", True, 1), ("cannot be had here: x", True, 0)],
)
def test_a_skip_is_listed_and_fails_ci_when_it_could_be_avoided(
    project: Path, reason: str, ci: bool, code: int
) -> None:
    """Prevents a green run in CI that has tested nothing."""
    _skipping(project, reason)
    ended, output = _run(project, ci=ci)
    assert ended == code, output
    assert f"1 skipped: {reason}" in output
    assert ("The run fails: 1 tests were skipped" in output) == bool(code)
    assert "passed" in output.rstrip().splitlines()[-1]


def test_a_module_that_skips_itself_counts(project: Path) -> None:
    """Prevents `pytest.importorskip` from hiding a whole module."""
    (project / "tests" / "unit" / "test_module.py").write_text(
        "import pytest\n\npytest.skip('no such program', allow_module_level=True)\n"
    )
    ended, output = _run(project, ci=True)
    assert ended == 1
    assert "1 skipped: no such program" in output


def test_long_tests_run_only_when_asked_and_keep_their_results(project: Path) -> None:
    """Prevents `make test` from taking hours, and results of long runs that nobody can read later."""
    (project / "tests" / "unit" / "test_long.py").write_text(
        "import pytest\n\n\n@pytest.mark.soak\ndef test_long(record_property):\n    record_property('jobs', 1000)\n"
    )
    assert "test_long.py::" not in _run(project)[1]
    code, output = _run(project, "--soak")
    assert code == 0, output
    assert "test_unit.py" not in output
    [kept] = json.loads((project / "benchmarks" / "soak.json").read_text())["results"]
    assert kept.items() >= {"test": "tests/unit/test_long.py::test_long", "outcome": "passed", "jobs": 1000}.items()
    assert {"date", "commit", "processors", "seconds"} <= set(kept)


def test_a_part_of_the_long_tests_leaves_the_other_results(project: Path) -> None:
    """Prevents an hour's results from being lost because somebody ran one long test again."""
    for name in ("first", "second", "gone"):
        (project / "tests" / "unit" / f"test_{name}.py").write_text(
            "import pytest\n\n\n@pytest.mark.soak\ndef test_long():\n    pass\n"
        )
    assert _run(project, "--soak")[0] == 0
    (project / "tests" / "unit" / "test_gone.py").unlink()
    (project / "tests" / "unit" / "test_second.py").write_text(
        "import pytest\n\n\n@pytest.mark.soak\ndef test_long():\n    raise SystemError\n"
    )
    assert _run(project, "--soak", "tests/unit/test_second.py")[0] == 1
    kept = json.loads((project / "benchmarks" / "soak.json").read_text())["results"]
    outcomes = {each["test"].partition("::")[0]: each["outcome"] for each in kept}
    assert outcomes == {"tests/unit/test_first.py": "passed", "tests/unit/test_second.py": "failed"}
