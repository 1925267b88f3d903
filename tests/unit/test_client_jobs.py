"""What the client sends: the API's own reader must find in it what was given."""

import itertools
import json

import pytest
from agent_fleet_client import InvalidJobError, Job
from agent_fleet_client import jobs as client_jobs
from agent_fleet_client.events import Event, read_events
from agent_fleet_client.jobs import MAXIMUM_BODY_BYTES, MAXIMUM_FILE_BYTES, MAXIMUM_STDIN_BYTES, request_body
from fleet_runtime.api.body import MAXIMUM_BODY_BYTES as API_BODY_BYTES
from fleet_runtime.api.intake import MAXIMUM_STDIN_BYTES as API_STDIN_BYTES
from fleet_runtime.api.intake import read_job
from fleet_runtime.api.models import MAXIMUM_CODE_CHARACTERS
from fleet_runtime.config import ApiSettings
from fleet_runtime.payload import MAXIMUM_FILE_BYTES as API_FILE_BYTES
from fleet_runtime.payload import MAXIMUM_FILES, decode
from fleet_runtime.pool_settings import Agent
from hypothesis import given, settings
from hypothesis import strategies as st

_API = ApiSettings.model_construct(
    languages=("python", "bash", "node"), max_timeout_seconds=3600.0, default_timeout_seconds=60.0, max_attempts=3
)
_TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=60)
_NAMES = _TEXT.map(lambda text: "d/" + text.replace("/", "").replace(".", "_") + "x")


@settings(max_examples=150, deadline=None)
@given(
    code=_TEXT,
    stdin=st.none() | _TEXT,
    files=st.dictionaries(_NAMES, st.binary(max_size=80) | _TEXT, max_size=4),
    timeout=st.none() | st.floats(0.1, 3600),
    priority=st.none() | st.integers(-100, 100),
)
def test_the_api_reads_what_was_given(
    code: str, stdin: str | None, files: dict[str, bytes | str], timeout: float | None, priority: int | None
) -> None:
    """A byte that changes between a file here and a file there is a fault that nobody looks for."""
    job = Job(code=code, stdin=stdin, files=files, timeout_seconds=timeout, priority=priority)
    read = read_job(request_body(job, "key"), _API)
    payload = decode(read.payload)
    assert (payload.code, payload.stdin) == (code, None if stdin is None else stdin.encode())
    assert payload.files == {
        name: content if isinstance(content, bytes) else content.encode() for name, content in files.items()
    }
    assert (read.idempotency_key, read.priority, read.timeout_seconds) == ("key", priority or 0, timeout or 60.0)


@pytest.mark.parametrize("command", [["make", "a  b"], "make test"])
def test_the_api_reads_what_an_agent_was_given(command: list[str] | str) -> None:
    """An agent would do something else than it was told."""
    api = _API.model_copy(update={"agents": (Agent(agent_type="coder", template="agent-coder"),)})
    job = Job(agent_type="coder", command=command, workspace="app", stdin="in", files={"f": "x"})
    read = read_job(request_body(job, "key"), api)
    assert (read.agent, read.workspace) == ("coder", "app")
    payload = decode(read.payload)
    if isinstance(command, list):
        assert (payload.language, json.loads(payload.code)["arguments"]) == ("program", command)
    else:
        assert (payload.language, payload.code.endswith("\nmake test\n")) == ("bash", True)
    assert (payload.stdin, payload.files) == (b"in", {"f": b"x"})


@pytest.mark.parametrize(
    ("job", "field"),
    [
        (Job(command="x"), "agent_type"),
        (Job(agent_type="a", command="x", code="y"), "code"),
        (Job(code="x", workspace="app"), "workspace"),
        (Job(agent_type="a", command=["\0"]), "command"),
    ],
)
def test_what_an_agent_cannot_be_given_is_named_before_it_is_sent(job: Job, field: str) -> None:
    """The way out is known here already."""
    with pytest.raises(InvalidJobError) as refused:
        request_body(job, "key")
    assert refused.value.field == field


def test_the_limits_are_the_apis_own() -> None:
    """A client that knows other limits refuses what is allowed, or uploads what is not."""
    assert client_jobs.MAXIMUM_CODE_CHARACTERS == MAXIMUM_CODE_CHARACTERS
    assert client_jobs.MAXIMUM_FILES == MAXIMUM_FILES
    assert (MAXIMUM_FILE_BYTES, MAXIMUM_STDIN_BYTES, MAXIMUM_BODY_BYTES) == (
        API_FILE_BYTES,
        API_STDIN_BYTES,
        API_BODY_BYTES,
    )


@pytest.mark.parametrize("byte", [b"x", b"\x01", b"\xff", b"\0", "ü".encode()])
def test_the_largest_files_fit_into_a_request(byte: bytes) -> None:
    """Control characters grow sixfold in JSON: as text, files that are allowed would not fit."""
    content = byte * (MAXIMUM_FILE_BYTES // len(byte))
    assert len(request_body(Job(code="", files={"f": content}), "key")) < 24 * 1024 * 1024


@pytest.mark.parametrize(
    ("job", "field"),
    [
        (Job(code="x" * 100_001), "code"),
        (Job(code="a\0b"), "code"),
        (Job(code="\ud800"), "code"),
        (Job(code="", stdin=b"\xff"), "stdin"),
        (Job(code="", stdin="x" * (MAXIMUM_STDIN_BYTES + 1)), "stdin"),
        (Job(code="", stdin="\x01" * MAXIMUM_STDIN_BYTES), "body"),
        (Job(code="", files={"f": b"x" * (MAXIMUM_FILE_BYTES + 1)}), "files"),
        (Job(code="", files={str(number): b"" for number in range(1001)}), "files"),
        (Job(code="", files={"\ud800": b""}), "files['\\ud800']"),
    ],
)
def test_a_job_above_a_limit_is_refused_before_it_is_sent(job: Job, field: str) -> None:
    """The error names the field, as the API would."""
    with pytest.raises(InvalidJobError) as refused:
        request_body(job, "key")
    assert refused.value.field == field
    assert str(refused.value).isprintable()


@given(
    events=st.lists(st.tuples(st.sampled_from(["stdout", "end"]), _TEXT, st.integers(0, 9)), max_size=5),
    cuts=st.lists(st.integers(0, 500), max_size=8),
    ends=st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_events_are_the_same_however_they_are_cut(
    events: list[tuple[str, str, int]], cuts: list[int], ends: str
) -> None:
    """A network cuts a stream anywhere: inside a character, or between CR and LF."""
    sent = [(name, json.dumps(text), str(number)) for name, text, number in events]
    lines = [f": keep-alive{ends}event: {name}{ends}id:{id_}{ends}data: {data}{ends}{ends}" for name, data, id_ in sent]
    stream = "".join(lines).encode()
    places = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    parts = [stream[start:end] for start, end in itertools.pairwise(places)]
    assert list(read_events(parts)) == [Event(name, data, id_) for name, data, id_ in sent]
    assert list(read_events([*parts, b"data: cut off"])) == [Event(name, data, id_) for name, data, id_ in sent]
