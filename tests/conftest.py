"""The order of a run, its headings and times, what counts as skipped, and which tests are the long ones."""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

# Before any stand-in, which puts an empty package in its place where it is not loaded.
import pulumi  # noqa: F401  # pyright: ignore[reportUnusedImport]
import pytest

# Cheapest first: a mistake shows before anything expensive has begun. Folders that are not named come before `stack`.
_GROUPS = ("unit", "policies", "commands", "images", "engine", "sandbox", "runtime")
_LAST_GROUPS = ("cluster", "stack")
_ROOT = Path(__file__).parent
_SOAK_RESULTS = _ROOT.parent / "benchmarks" / "soak.json"
_FAILURE_LINES = 12
# A skip whose reason begins so is one that no preparation of the machine could avoid.
_UNAVOIDABLE = "cannot be had here: "


def _group(path: Path) -> str:
    try:
        return path.relative_to(_ROOT).parts[0]
    except ValueError:
        return ""


def _rank(group: str) -> tuple[int, str]:
    if group in _GROUPS:
        return _GROUPS.index(group), ""
    if group in _LAST_GROUPS:
        return len(_GROUPS) + 1 + _LAST_GROUPS.index(group), ""
    return len(_GROUPS), group


def pytest_addoption(parser: pytest.Parser) -> None:
    """The choices of a run."""
    group = parser.getgroup("agent-fleet")
    group.addoption("--soak", action="store_true", help="run the long tests, and those only; keep their results")
    group.addoption(
        "--fail-on-skip",
        action="store_true",
        default=os.environ.get("CI", "").lower() in ("1", "true", "yes"),
        help="fail when a test was skipped that this machine could have run; the default under CI",
    )
    group.addoption(
        "--append-failures",
        type=Path,
        metavar="FILE",
        help="append what failed, in short: a run in several parts tells it again at its end",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker, and start the record of this run."""
    config.addinivalue_line("markers", "soak: takes minutes to hours; `make soak` runs it, `make test` does not")
    config.pluginmanager.register(_Run(config), "agent-fleet-run")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Choose the long tests or the others, and order the groups; within a group the order stays."""
    soak = bool(config.getoption("--soak"))
    chosen = [item for item in items if (item.get_closest_marker("soak") is not None) == soak]
    config.hook.pytest_deselected(items=[item for item in items if item not in set(chosen)])
    items[:] = sorted(chosen, key=lambda item: _rank(_group(item.path)))


class _Run:
    """What one run did: times by group, skips, and the outcomes of long tests."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._group = ""
        self._begun: dict[str, float] = {}
        self._ended: dict[str, float] = {}
        self._counts: dict[str, int] = {}
        self._skips: list[tuple[str, str]] = []
        self._soak: list[dict[str, object]] = []

    def _write(self, text: str) -> None:
        reporter = self._config.pluginmanager.get_plugin("terminalreporter")
        # Workers of xdist have no terminal, and with them groups do not run one after another.
        if reporter is not None and not self._config.getoption("numprocesses", None):
            reporter.ensure_newline()
            reporter.write_line(text, bold=True)

    def _group_of(self, nodeid: str) -> str:
        # Not the file that the function is in: the suites of sandboxes and of the runtime also run on a cluster.
        return _group(Path(self._config.rootpath) / nodeid.partition("::")[0])

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logstart(self, nodeid: str, location: tuple[str, int | None, str]) -> None:
        """A heading before the first test of each group."""
        del location
        group = self._group_of(nodeid)
        now = time.monotonic()
        self._begun.setdefault(group, now)
        if group != self._group:
            self._group = group
            self._write(f"\n{group} tests")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note times, skips and outcomes."""
        group = self._group_of(report.nodeid)
        self._ended[group] = time.monotonic()
        if report.when == "call" or report.outcome != "passed":
            self._counts[group] = self._counts.get(group, 0) + 1
        if report.skipped and not hasattr(report, "wasxfail"):
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
            self._skips.append((report.nodeid, reason.removeprefix("Skipped: ")))
        if self._config.getoption("--soak") and (report.when == "call" or report.outcome != "passed"):
            self._soak.append(
                {"test": report.nodeid, "outcome": report.outcome, "seconds": round(report.duration, 1)}
                | {str(name): value for name, value in report.user_properties}
            )

    @pytest.hookimpl(tryfirst=True)
    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A whole module that skips itself counts as well."""
        if report.skipped:
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
            self._skips.append((report.nodeid, reason.removeprefix("Skipped: ")))

    def _failures(self, terminalreporter: pytest.TerminalReporter) -> Iterator[str]:
        for report in (*terminalreporter.getreports("error"), *terminalreporter.getreports("failed")):
            ends = report.longreprtext.rstrip().splitlines()[-_FAILURE_LINES:]
            yield "\n    ".join([report.nodeid, *ends])
        if self._config.getoption("--fail-on-skip"):
            yield from (f"skipped: {name}: {reason}" for name, reason in self._avoidable())

    def _avoidable(self) -> list[tuple[str, str]]:
        return [skip for skip in self._skips if not skip[1].startswith(_UNAVOIDABLE)]

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Fail a run that skipped what it need not, and keep the results of long tests."""
        if self._config.getoption("--fail-on-skip") and self._avoidable() and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        if self._soak and not hasattr(self._config, "workerinput"):
            _keep(self._soak)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Times of the groups, and everything that was skipped with its reason."""
        file: Path | None = self._config.getoption("--append-failures")
        # Workers of xdist have a summary too, which nobody sees.
        if file is not None and not hasattr(self._config, "workerinput"):
            with file.open("a") as written:
                written.writelines(f"{each}\n" for each in self._failures(terminalreporter))
        terminalreporter.section("groups")
        for group, begun in sorted(self._begun.items(), key=lambda item: _rank(item[0])):
            seconds = self._ended.get(group, begun) - begun
            terminalreporter.write_line(f"{group:<12} {self._counts.get(group, 0):>5} tests {seconds:>8.1f} s")
        if not self._skips:
            return
        terminalreporter.section("skipped")
        by_reason: dict[str, list[str]] = {}
        for name, reason in self._skips:
            by_reason.setdefault(reason, []).append(name)
        for reason, names in sorted(by_reason.items()):
            terminalreporter.write_line(f"{len(names)} skipped: {reason}")
            for name in names[:5]:
                terminalreporter.write_line(f"    {name}")
        if self._config.getoption("--fail-on-skip") and self._avoidable():
            terminalreporter.write_line(
                f"The run fails: {len(self._avoidable())} tests were skipped that this machine could have run.",
                red=True,
            )


def _keep(results: list[dict[str, object]]) -> None:
    """Write down the outcomes. Those of tests that did not run now stay, so that a part can be run alone."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short=12", "HEAD"], cwd=_ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()
    ran = {"date": datetime.now(UTC).strftime("%Y-%m-%d"), "commit": commit or "unknown", "processors": os.cpu_count()}
    kept = {str(each["test"]): each for each in _kept_before()}
    # A test that passed and whose teardown failed has two outcomes, of which the worse one counts.
    for result in sorted(results, key=lambda each: each["outcome"] == "failed"):
        kept[str(result["test"])] = result | ran
    _SOAK_RESULTS.parent.mkdir(exist_ok=True)
    _SOAK_RESULTS.write_text(json.dumps({"results": [kept[name] for name in sorted(kept)]}, indent=2) + "\n")


def _kept_before() -> list[dict[str, object]]:
    """The outcomes of earlier runs, but for tests whose file is gone."""
    try:
        results: list[dict[str, object]] = json.loads(_SOAK_RESULTS.read_text())["results"]
    except FileNotFoundError:
        return []
    return [each for each in results if (_ROOT.parent / str(each["test"]).partition("::")[0]).exists()]
