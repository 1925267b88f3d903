"""Software that nobody here wrote, and its own tests: what passes outside the sandbox passes inside it."""

import json
import uuid
from dataclasses import dataclass
from typing import Any

import pytest
from deployed_stack import DeployedStack
from published_packages import HYPOTHESIS, PYTEST, Files, as_archive, as_job, npm_package, source_distribution, wheels

_PREPARE = """
import glob, json, os, sys, zipfile
for wheel in glob.glob("wheels/*.whl"):
    zipfile.ZipFile(wheel).extractall("site-packages")
sys.path[:0] = paths = [os.path.abspath(each) for each in ("site-packages", "src", ".")]
os.environ["PYTHONPATH"] = os.pathsep.join(paths)
"""

UNITTEST = (
    _PREPARE
    + """
import unittest
suite = unittest.defaultTestLoader.discover("tests", top_level_dir=".")
result = unittest.TextTestRunner(verbosity=0).run(suite)
bad = [str(test) for test, _ in result.errors + result.failures]
passed = result.testsRun - len(bad) - len(result.skipped) - len(result.expectedFailures)
print(json.dumps({"passed": passed, "bad": bad, "skipped": len(result.skipped)}))
"""
)

PYTEST_RUN = (
    _PREPARE
    + """
import pytest

class Count:
    passed, skipped, bad = 0, 0, []
    def pytest_runtest_logreport(self, report):
        self.passed += report.when == "call" and report.passed
        self.skipped += report.skipped
        if report.failed:
            self.bad.append(report.nodeid)
    def pytest_collectreport(self, report):
        if report.failed:
            self.bad.append(report.nodeid)

count = Count()
pytest.main(["-q", "-p", "no:cacheprovider", "--tb=short", "tests"], plugins=[count])
print("\\n" + json.dumps({"passed": count.passed, "bad": count.bad, "skipped": count.skipped}))
"""
)

NODE_TEST = """
const { run } = require('node:test');
const tests = require('fs').readdirSync('test').filter((name) => name.endsWith('.test.js'));
const files = tests.map((name) => `test/${name}`);
const count = { passed: 0, bad: [], skipped: 0 };
run({ files, concurrency: 1 })
  .on('test:pass', (test) => { if (test.skip !== undefined) count.skipped += 1; else count.passed += 1; })
  .on('test:fail', (test) => count.bad.push(test.name))
  .on('end', () => console.log(JSON.stringify(count)))
  .resume();
"""

SANDBOX_USER = 10001


@dataclass(frozen=True)
class Suite:
    """A package with its tests. `at_least` keeps a suite from passing because it found no tests."""

    name: str
    style: str
    files: Files
    language: str
    code: str
    at_least: int
    bad_everywhere: frozenset[str] = frozenset()
    """Tests that fail outside as well, for want of a program that the image does not have."""


def _idna() -> Suite:
    files = source_distribution("idna==3.20", "a7db850025b95ded1eae8a46181a1a6c56c92c96f0e2b005d9ff8dc0210cab44")
    return Suite("idna", "unittest", files | wheels(HYPOTHESIS | PYTEST), "python", UNITTEST, 6000)


def _more_itertools() -> Suite:
    digest = "cbf08fd0af284dc69718b9b76a8e6203df624d70209ea511e4219d350c856f63"
    files = source_distribution("more-itertools==11.2.1", digest)
    return Suite("more-itertools", "unittest and doctest", files, "python", UNITTEST, 900)


def _click() -> Suite:
    files = source_distribution("click==8.5.1", "9bbfada76703fd1d784b83eea012e3e8c6a001a876543ef104fa56aaaeb072b4")
    # Its wheel as well: the tests ask for the metadata of an installed click.
    installed = {"click==8.5.1": "8bb5376d2006950386f8c6427613334a2acadc5f559cb80e638d00b4df957e37"}
    pager = frozenset({"tests/test_utils/test_echo_via_pager.py::test_echo_via_pager"})
    return Suite("click", "pytest", files | wheels(PYTEST | installed), "python", PYTEST_RUN, 2400, pager)


def _process_warning() -> Suite:
    digest = "oCkNVj4OKnKEcocVBcDfiIugN1/cE6rgfT3nCtzeqZPA8+rIxMaQ0xXzIkGP8Gj2qUaP1UR7uhJ1VD8lUCpzCg=="
    files = npm_package("process-warning", "5.1.1", digest)
    return Suite("process-warning", "node:test", files, "node", NODE_TEST, 10)


def _last_line(output: str) -> dict[str, Any]:
    lines = [line for line in output.splitlines() if line.startswith("{")]
    assert lines, output[-3000:]
    return json.loads(lines[-1])


def _outside(stack: DeployedStack, suite: Suite) -> dict[str, Any]:
    """Run the suite with the same interpreter and user in a plain container: no runner, no limits."""
    program, name = {"python": ("python3", "main.py"), "node": ("node", "main.js")}[suite.language]
    container = stack.docker.containers.create(
        _sandbox_image(stack),
        [name],
        entrypoint=program,
        name=f"{stack.fleet}-outside-{uuid.uuid4().hex[:6]}",
        user=str(SANDBOX_USER),
        working_dir="/job",
        network_mode="none",
        # The image's interpreter turns into the runner where it is process 1.
        init=True,
    )
    try:
        container.put_archive("/job", as_archive(suite.files | {name: suite.code.encode()}, SANDBOX_USER))
        container.start()
        container.wait(timeout=280)
        return _last_line(container.logs(stderr=False).decode())
    finally:
        container.remove(force=True, v=True)


def _sandbox_image(stack: DeployedStack) -> str:
    return str(stack.containers("sandbox")[0].attrs["Image"])


@pytest.mark.timeout(600)
@pytest.mark.parametrize("make", [_idna, _more_itertools, _click, _process_warning], ids=lambda make: make.__name__[1:])
def test_a_packages_own_tests_pass_as_they_do_outside(stack: DeployedStack, make: Any) -> None:
    """A sandbox that breaks ordinary programs (no /dev/shm, no locale, few processes) is of no use."""
    suite = make()
    job = stack.run(240, language=suite.language, code=suite.code, files=as_job(suite.files), timeout_seconds=230)
    assert job["status"] == "succeeded", job
    inside = _last_line(job["stdout"])
    assert inside["passed"] >= suite.at_least, job["stdout"][-3000:]
    assert inside == _outside(stack, suite)
    assert {name.partition("[")[0] for name in inside["bad"]} <= suite.bad_everywhere, job["stderr"][-3000:]


@pytest.mark.timeout(600)
def test_a_bash_job_builds_and_runs_a_c_program(stack: DeployedStack) -> None:
    """Compiling needs room for files, processes, memory and permission to execute what was made."""
    digest = "02b2f7b5a83485efe448a44ddf7983def05c3bb1dcf917d4f7154070260e13de"
    files = source_distribution("brotli==1.2.1", digest, ["c/", "LICENSE"])
    text = files["LICENSE"] * 500
    code = """
set -eu
gcc -O1 -Ic/include -o brotli c/common/*.c c/dec/*.c c/enc/*.c c/tools/brotli.c -lm
cat > text
./brotli --quality=5 --output=text.br text
./brotli --decompress --stdout text.br | cmp - text
./brotli --test text.br
./brotli --version
stat --format='%s %n' text text.br
"""
    job = stack.run(240, language="bash", code=code, files=as_job(files), stdin=text.decode(), timeout_seconds=200)
    assert job["status"] == "succeeded", job
    version, original, compressed = job["stdout"].splitlines()
    assert version == "brotli 1.2.1"
    assert original == f"{len(text)} text"
    assert 0 < int(compressed.split()[0]) < len(text) / 100
