"""A job is what `python3 main.py`, `bash main.sh` or `node main.js` would be, warm or not."""

import asyncio
import json

import pytest
from fleet_runtime.sandboxd.client import RunResult, SandboxRefused
from sandbox_daemon import Daemon, programs, source


@pytest.mark.parametrize("program", programs("semantics"))
async def test_a_python_job_is_the_same_as_python3_main_py(daemon: Daemon, program: str) -> None:
    """The warm interpreter must not show: no frame of the runner, no other exit code, no lost output."""
    await assert_same_as_plain(daemon, source(program), {"beside.py": b"value = 8"})


async def test_what_hangs_on_a_warm_module_is_finalised(daemon: Daemon) -> None:
    """The collector skips what was warm, and must not skip what the job has hung onto it."""
    async with asyncio.timeout(60):
        while True:
            await daemon.warm()
            # A sandbox that says that it is ready goes on to load the warm modules.
            await asyncio.sleep(0.2)
            result = await daemon.run("python", HANGS_ON_A_WARM_MODULE)
            was_warm, _, found = result.stdout.decode().partition("\n")
            if was_warm == "True":
                break
    assert found.split() == ["main", "module", "class", "replaced"]


HANGS_ON_A_WARM_MODULE = """
import os, sys
warm = "json" in sys.modules
import json
def left(name):
    file = open(name, "w")
    file.write(name)
    return file
if os.fork() == 0:
    main = left("main")
    json.left = left("module")
    json.JSONEncoder.left = left("class")
    replaced = left("replaced")
    json.JSONEncoder.default = lambda self, value: main
    sys.exit()
os.wait()
print(warm, *(open(name).read() for name in ("main", "module", "class", "replaced")), sep="\\n")
"""


@pytest.mark.parametrize(
    "files",
    [
        {"json.py": b"mine = 1", "random.py": b"mine = 2"},
        {"json/__init__.py": b"from . import decoder", "json/decoder.py": b"mine = 3"},
        {"datetime.pyc": b"not byte code", "functools.txt": b"", "re": b""},
        # Loaded before main.py in any case, or built in: a file does not hide these.
        {"os.py": b"mine = 4", "time.py": b"mine = 5", "math.py": b"mine = 6", "codecs.py": b"mine = 7"},
        # Folders that are no packages: were enum loaded a second time, re's flags would be none of its flags.
        {"enum/notes.txt": b"", "collections/a.json": b"", "json/a.json": b""},
    ],
    ids=lambda files: " ".join(files),
)
async def test_a_python_job_imports_its_own_modules_before_warm_ones(daemon: Daemon, files: dict[str, bytes]) -> None:
    """A job's folder comes first on the path, whatever the runner has loaded under the same name."""
    plain = await assert_same_as_plain(daemon, IMPORTS, files)
    assert plain.exit_code == 0, plain.stderr
    hides = b"mine" in b"".join(files.values()) and "os.py" not in files
    assert (b"/job/" in plain.stdout) == hides


IMPORTS = """
import importlib
for name in ("codecs", "collections", "datetime", "enum", "functools", "json", "json.decoder", "math", "os", "random",
             "re", "time"):
    try:
        module = importlib.import_module(name)
    except ImportError as error:
        print(name, type(error).__name__, error)
    else:
        print(name, getattr(module, "__file__", None), getattr(module, "mine", None))
import enum, re
print(isinstance(re.I, enum.Flag))
"""


async def assert_same_as_plain(daemon: Daemon, code: str, files: dict[str, bytes]) -> RunResult:
    """Run `code` as a Python job and as `python3 main.py` in a Bash job; return the latter's result."""
    warm, plain = await asyncio.gather(
        daemon.run("python", code, files=files),
        daemon.run("bash", "exec python3 main.py </dev/null", files={**files, "main.py": code.encode()}),
    )
    assert (warm.reason, warm.exit_code, warm.signal) == (plain.reason, plain.exit_code, plain.signal)
    assert warm.stdout.replace(b"'main.sh', ", b"") == plain.stdout
    assert warm.stderr == plain.stderr
    return plain


@pytest.mark.parametrize(
    ("language", "code"),
    [
        ("python", "import sys; data = sys.stdin.buffer.read(); sys.stdout.write(str(len(data)) + str(sum(data)))"),
        (
            "bash",
            'python3 -c \'import sys; data = sys.stdin.buffer.read(); print(len(data), sum(data), sep="", end="")\'',
        ),
        (
            "node",
            "const d = require('fs').readFileSync(0); process.stdout.write(`${d.length}${d.reduce((a, b) => a + b)}`)",
        ),
    ],
)
async def test_standard_input_arrives_whole(daemon: Daemon, language: str, code: str) -> None:
    """More than a pipe holds must not block the runner, nor be cut."""
    stdin = bytes(range(256)) * 4096
    result = await daemon.run(language, code, stdin=stdin)
    assert result.stdout.decode() == f"{len(stdin)}{sum(stdin)}", result.stderr


async def test_standard_input_that_nobody_reads_does_not_hold_a_job(daemon: Daemon) -> None:
    """A job may end without reading."""
    assert (await daemon.run("bash", "exit 5", stdin=b"x" * 4_000_000)).exit_code == 5


@pytest.mark.parametrize(
    ("language", "code"),
    [
        ("python", "import sys; print(repr(sys.stdin.read()))"),
        ("bash", 'printf "%q\\n" "$(cat)"'),
        ("node", "console.log(JSON.stringify(require('fs').readFileSync(0, 'utf8')))"),
    ],
)
async def test_without_standard_input_a_job_reads_its_end(daemon: Daemon, language: str, code: str) -> None:
    """A job must not wait for input that never comes."""
    result = await daemon.run(language, code)
    assert result.exit_code == 0
    assert result.stdout in {b"''\n", b'""\n'}


async def test_files_are_there_with_their_content_and_scripts_are_executable(daemon: Daemon) -> None:
    """`files` are the only way in, so they must come unchanged, at the paths given."""
    files = {"a/b/c.bin": bytes(range(256)), "grüße/x y": b"", "run.sh": b"#!/bin/sh\necho ran\n", "main.py": b"kept"}
    code = "cat a/b/c.bin | od -An -tx1 -v | tr -d ' \\n'; ls -A grüße; ./run.sh; cat main.py; find . -type f | wc -l"
    result = await daemon.run("bash", code, files=files)
    assert result.stdout.decode() == bytes(range(256)).hex() + "x y\nran\nkept5\n"


async def test_node_is_current_and_runs_its_own_tests(daemon: Daemon) -> None:
    """Debian's node is years old; packages' tests need the current runner."""
    code = "const {test} = require('node:test'); test('it', () => {}); console.log(process.version)"
    result = await daemon.run("node", code)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith(b"v24.") or b"v24." in result.stdout


async def test_a_job_compiles_and_runs_a_c_program(daemon: Daemon) -> None:
    """Scratch is a tmpfs, which Docker mounts noexec unless told otherwise."""
    files = {
        "x.c": b'#include <stdio.h>\nint main(void) { puts("compiled"); return 0; }\n',
        "Makefile": b"x: x.c\n\tcc -o x x.c\n",
    }
    result = await daemon.run("bash", "make -s && ./x", files=files)
    assert result.stdout == b"compiled\n", result.stderr


async def test_output_that_is_not_utf8_comes_as_it_was(daemon: Daemon) -> None:
    """Output is bytes; only its showing is text."""
    result = await daemon.run("python", "import os; os.write(1, bytes(range(256)))")
    assert result.stdout == bytes(range(256))


async def test_the_environment_holds_nothing_but_what_a_program_needs(daemon: Daemon) -> None:
    """What is in the environment of a sandbox is in a stranger's hands."""
    result = await daemon.run("python", "import os, json; print(json.dumps(dict(os.environ)))")
    assert json.loads(result.stdout).keys() == {"PATH", "HOME", "LANG", "HOSTNAME"}


async def test_figures_of_a_job_come_with_its_result(daemon: Daemon) -> None:
    """Operators size templates by them."""
    code = (
        "import time\nx = bytearray(60_000_000)\nend = time.process_time() + .3\nwhile time.process_time() < end: pass"
    )
    result = await daemon.run("python", code)
    assert result.exit_code == 0
    assert result.cpu_ms is not None
    assert 250 < result.cpu_ms < 3000
    assert result.max_memory_bytes is not None
    assert 60_000_000 < result.max_memory_bytes < 192 * 1024 * 1024


async def test_files_that_do_not_fit_are_refused_and_nothing_runs(daemon: Daemon) -> None:
    """Running half a job is worse than refusing it."""
    with pytest.raises(SandboxRefused, match="scratch space") as refusal:
        await daemon.run("bash", "true", files={"large": bytes(2 * 1024 * 1024)}, template="small")
    assert refusal.value.code == "invalid_request"
