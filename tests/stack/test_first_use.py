"""What a newcomer does first: deploy, run a job in each language, and make the usual mistakes."""

import os
import re
import shlex
import subprocess

import httpx
import pytest
from deployed_stack import CHECKOUT, DeployedStack, FirstUp


def test_make_up_ends_with_the_result_of_a_first_job(first_up: FirstUp) -> None:
    """A deployment that says "done" and cannot run anything is found out by its first user."""
    said = first_up.ended.output
    assert "Hello from a sandbox." in said
    assert f"http://127.0.0.1:{first_up.stack.port}" in said
    assert "stand-in" in said.lower() or "official" in said.lower()


def test_what_make_up_says_to_run_next_runs(first_up: FirstUp) -> None:
    """The first command that a newcomer copies must work as it is written."""
    line = next(line.strip() for line in first_up.ended.output.splitlines() if "fleet run" in line)
    assert line.startswith(".venv/bin/fleet run ")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FLEET_")}
    ended = subprocess.run(
        shlex.split(line), cwd=CHECKOUT, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "a way to the network: none" in ended.stdout
    assert "metadata: none" in ended.stdout


def test_the_key_is_for_its_owner_only(stack: DeployedStack) -> None:
    """Whoever reads the file can run code here."""
    file = CHECKOUT / ".fleet" / f"{stack.name}.json"
    assert file.stat().st_mode & 0o777 == 0o600
    url, key = stack.endpoint()
    assert url == f"http://127.0.0.1:{stack.port}"
    assert re.fullmatch(r"fleet_[0-9a-f]{8}_[0-9a-f]{64}", key)


@pytest.mark.parametrize(
    ("language", "code"),
    [
        ("python", "import sys; print(sys.stdin.read().upper(), open('folder/file').read(), end='')"),
        ("bash", 'printf "%s %s" "$(tr a-z A-Z)" "$(cat folder/file)"'),
        (
            "node",
            "const read = (place) => require('fs').readFileSync(place, 'utf8');"
            "process.stdout.write(read(0).toUpperCase() + ' ' + read('folder/file'))",
        ),
    ],
)
def test_a_job_reads_its_input_and_its_files(stack: DeployedStack, language: str, code: str) -> None:
    """Each language has a way of its own into the sandbox, and each can lose an input."""
    result = stack.run(language=language, code=code, stdin="standard", files={"folder/file": {"base64": "w6k="}})
    assert (result["status"], result["stdout"], result["stderr"]) == ("succeeded", "STANDARD é", "")
    assert (result["exit_code"], result["attempt"], result["error"]) == (0, 1, None)


@pytest.mark.parametrize(
    ("language", "code"), [("python", "raise SystemExit(3)"), ("bash", "exit 3"), ("node", "process.exit(3)")]
)
def test_a_program_that_fails_is_a_job_that_failed(stack: DeployedStack, language: str, code: str) -> None:
    """A lost exit code makes every program look fine."""
    result = stack.run(language=language, code=code)
    assert (result["status"], result["exit_code"]) == ("failed", 3)


def test_a_mistake_in_the_program_is_shown_as_python_shows_it(stack: DeployedStack) -> None:
    """The user must find the line in the code as sent, and nothing of the runner's own."""
    result = stack.run(language="python", code="x = 1\nprint(y)\n")
    assert result["status"] == "failed"
    assert 'File "' in result["stderr"]
    assert "line 2" in result["stderr"]
    assert "fleet_sandbox" not in result["stderr"]


def test_a_program_without_end_is_stopped(stack: DeployedStack) -> None:
    """It would hold its place for ever."""
    result = stack.run(language="python", code="while True: pass", timeout_seconds=1)
    assert (result["status"], result["exit_code"]) == ("timed_out", None)
    assert result["run_ms"] >= 1000


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"language": "pyhton", "code": "1"}, "language"),
        ({"language": "python"}, "code"),
        ({"language": "python", "code": "1", "timeout": 5}, "timeout"),
        ({"language": "python", "code": "1", "timeout_seconds": 0}, "timeout_seconds"),
        ({"language": "python", "code": "1", "timeout_seconds": 999999}, "timeout_seconds"),
        ({"language": "python", "code": "1", "files": {"../x": "1"}}, "files"),
        ({"language": "python", "code": "\0"}, "code"),
        ({"language": "python", "code": "x" * 100_001}, "code"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_mistake_in_a_request_names_the_field(stack: DeployedStack, body: dict[str, object], field: str) -> None:
    """ "Bad request" alone sends the user to guess."""
    with stack.client() as client:
        answer = client.post("/execute", json=body)
    assert answer.status_code == 422
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert field in answer.text


@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic eDp5"}])
def test_without_the_key_nothing_runs(stack: DeployedStack, header: dict[str, str]) -> None:
    """The service runs whatever it is given, so it must know who gives it."""
    url, _ = stack.endpoint()
    with httpx.Client(base_url=url, trust_env=False, headers=header) as client:
        answers = [
            client.post("/execute", json={"language": "python", "code": "1"}),
            client.get("/result/00000000-0000-0000-0000-000000000000"),
            client.get("/jobs"),
        ]
    assert [answer.status_code for answer in answers] == [401, 401, 401]


def test_health_is_public_and_metrics_are_not(stack: DeployedStack) -> None:
    """Metrics tell how busy everybody is; health must answer a load balancer that has no key."""
    url, _ = stack.endpoint()
    with httpx.Client(base_url=url, trust_env=False) as client:
        assert client.get("/health").status_code == 200
        assert client.get("/ready").status_code == 200
        assert client.get("/metrics").status_code in (401, 404)


def test_an_unknown_job_is_not_found(stack: DeployedStack) -> None:
    """A server error for a mistyped id looks like an outage."""
    with stack.client() as client:
        for job in ("00000000-0000-0000-0000-000000000000", "nonsense", "%00", "..%2f..%2fhealth"):
            assert client.get(f"/result/{job}").status_code in (404, 422), job
