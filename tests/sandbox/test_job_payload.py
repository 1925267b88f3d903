"""The payload: what the API encodes is what the runner decodes, and nothing else is decoded at all."""

import contextlib
import importlib
import struct
import sys
from pathlib import Path
from types import ModuleType

import pytest
from fleet_runtime.payload import MAXIMUM_FILES, Payload, PayloadError, decode, encode, path_problems
from hypothesis import given
from hypothesis import strategies as st
from sandbox_daemon import PROJECT
from unchecked_payload import NO_PATHS, payload_with

PARTS = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=20).filter(
    lambda part: part not in {".", ".."} and not part.startswith("main.")
)
PATHS = st.lists(PARTS, min_size=1, max_size=3).map("/".join)
FILES = st.dictionaries(PATHS, st.binary(max_size=100), max_size=8).filter(lambda files: not path_problems(files))
CODE = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=200)
LANGUAGES = st.sampled_from(["python", "bash", "node"])


def runner_job() -> ModuleType:
    """The runner's own decoder, which lives in the sandbox image and imports nothing of the runtime."""
    sys.path.insert(0, str(PROJECT / "images" / "sandbox"))
    try:
        return importlib.import_module("fleet_sandbox.job")
    finally:
        sys.path.pop(0)


RUNNER = runner_job()


@given(LANGUAGES, CODE, st.one_of(st.none(), st.binary(max_size=100)), FILES)
def test_what_is_encoded_is_decoded_the_same(
    language: str, code: str, stdin: bytes | None, files: dict[str, bytes]
) -> None:
    """A byte lost or moved between API and sandbox would change somebody's program."""
    assert decode(encode(language, code, stdin, files)) == Payload(language, code, stdin, files)


@given(LANGUAGES, CODE, st.one_of(st.none(), st.binary(max_size=100)), FILES)
def test_the_runner_decodes_what_the_api_encodes(
    language: str, code: str, stdin: bytes | None, files: dict[str, bytes]
) -> None:
    """The two sides are written twice, because the sandbox has none of the runtime's packages."""
    job = RUNNER.Job(memoryview(encode(language, code, stdin, files)))
    assert job.language == language
    assert {path: bytes(content) for path, content in job.files} == {job.main: code.encode(), **files}
    assert (None if job.stdin is None else bytes(job.stdin)) == stdin


@given(st.data(), LANGUAGES, CODE, FILES)
def test_a_changed_payload_is_decoded_or_refused_and_never_breaks(
    data: st.DataObject, language: str, code: str, files: dict[str, bytes]
) -> None:
    """Both decoders may meet anything; each must answer with its one error."""
    payload = bytearray(encode(language, code, None, files))
    for _ in range(data.draw(st.integers(1, 5))):
        payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    changed = bytes(payload[: data.draw(st.integers(0, len(payload)))])
    with contextlib.suppress(PayloadError):
        decode(changed)
    with contextlib.suppress(RUNNER.JobError):
        RUNNER.Job(memoryview(changed))


@pytest.mark.parametrize(
    ("paths", "said"),
    [
        ([""], "empty"),
        (["/etc/passwd"], "absolute"),
        (["../x"], "'..'"),
        (["a/../b"], "'..'"),
        (["./a"], "'.'"),
        (["a//b"], "empty part"),
        (["a/"], "empty part"),
        (["a\0b"], "NUL"),
        (["\ud800"], "surrogate"),
        (["a", "a/b"], "that is a file"),
        (["x/" * 600 + "y"], "bytes long"),
        (["x" * 256], "part of 256 bytes"),
        (["main.py"], "is taken"),
        (["main.py/x"], "that is a file"),
        ([str(n) for n in range(MAXIMUM_FILES + 1)], "at most 1000"),
    ],
)
def test_a_path_that_breaks_a_rule_is_named_with_the_rule(paths: list[str], said: str) -> None:
    """The user must be able to mend the request from the answer alone."""
    problems = path_problems(paths, "python")
    assert any(said in problem.message for problem in problems), problems
    with pytest.raises(PayloadError):
        encode("python", "", None, dict.fromkeys(paths, b""))


@pytest.mark.parametrize("path", NO_PATHS)
def test_the_runner_refuses_a_path_that_the_api_would_not_have_passed_on(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The API's check may one day be missed; a file outside the working directory must then still not be written."""
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    # Of both its caller makes a refusal.
    with pytest.raises((RUNNER.JobError, OSError)):
        RUNNER.Job(memoryview(payload_with(path))).write()
    assert {each.name for each in tmp_path.rglob("*")} <= {"a", "b", "main.py"}


@pytest.mark.parametrize(
    "payload", [b"", b"x", b"\xff\xff\xff\xff", struct.pack(">I", 2) + b"{}", struct.pack(">I", 2) + b"[]", bytes(100)]
)
def test_the_runner_refuses_what_is_no_payload(payload: bytes) -> None:
    """sandboxd passes payloads untouched, so the runner is the one who has to cope."""
    with pytest.raises(RUNNER.JobError):
        RUNNER.Job(memoryview(payload))


def test_another_languages_main_file_is_an_ordinary_name() -> None:
    """Only the name that the code is written to is taken."""
    assert path_problems(["main.js", "src/main.py"], "python") == []


@given(st.lists(st.text(max_size=30), max_size=5, unique=True))
def test_paths_without_a_problem_stay_below_the_folder(paths: list[str]) -> None:
    """Whatever the rules let through must not lead out of the working directory."""
    bad = {problem.path for problem in path_problems(paths)}
    for path in set(paths) - bad:
        assert (Path("/job") / path).resolve().is_relative_to("/job")


@pytest.mark.parametrize("code", ["a\0b", "\udfff"])
def test_code_that_no_file_can_hold_is_refused(code: str) -> None:
    """PostgreSQL and UTF-8 would refuse it later, less clearly."""
    with pytest.raises(PayloadError, match="code"):
        encode("python", code, None, {})
