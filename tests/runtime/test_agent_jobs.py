"""Jobs of agents through the API, PostgreSQL and a worker of each agent type."""

import json
from collections.abc import Generator
from pathlib import Path
from typing import Any

import httpx
import pytest
from agent_fleet_client import Fleet, Job
from calls import fields, problem, run
from client_command import command_of
from runtime_processes import Stack, start_stack

AGENTS = (
    {"agent_type": "coder", "template": "agent-coder", "prompt_command": ["bash", "-c", "tr a-z A-Z; echo $#"]},
    {"agent_type": "tester", "template": "agent-tester"},
    {"agent_type": "bare", "template": "agent-bare", "shell": False},
)


@pytest.fixture(scope="module")
def agents(shared_database_url: str) -> Generator[Stack]:
    """An API that knows two agent types, and a worker for each beside that for code."""
    with start_stack(shared_database_url, workers=1, AGENTS=json.dumps(AGENTS)) as stack:
        for agent in AGENTS:
            stack.start_worker(TEMPLATE=str(agent["template"]), CONCURRENCY="4").line("worker_started")
        yield stack


@pytest.fixture
def client(agents: Stack) -> Generator[httpx.Client]:
    """A client of a tenant that no other test has."""
    with agents.client() as opened:
        yield opened


def ended(client: httpx.Client, headers: dict[str, str] | None = None, **body: Any) -> dict[str, Any]:
    """Run an agent's job to its end."""
    answer = client.post("/execute", json=body, headers={"Prefer": "wait=30", **(headers or {})})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_command_runs_as_it_was_given(client: httpx.Client) -> None:
    """A shell that looks into arguments would run what a file's name says."""
    arguments = ["printf", "%s\n", "$HOME", "a b", "'", "*", "; echo no"]
    result = ended(client, agent="coder", command=arguments)
    assert (result["status"], result["stdout"].splitlines()) == ("succeeded", arguments[2:])
    assert ended(client, agent="coder", command="read x; echo $x | tr a b", stdin="aha\n")["stdout"] == "bhb\n"
    assert ended(client, agent="coder", command=["sh", "-c", "exit 3"])["exit_code"] == 3
    assert ended(client, agent="coder", command=["no-such-program"])["exit_code"] == 127


def test_a_prompt_is_the_input_of_the_agents_own_command_and_no_argument(client: httpx.Client) -> None:
    """A prompt that begins with a hyphen would be an option of the agent's program."""
    assert ended(client, agent="coder", prompt="--help me")["stdout"] == "--HELP ME0\n"


def test_a_workspace_is_there_again_for_the_tenants_next_job(client: httpx.Client, agents: Stack) -> None:
    """An agent's work would be gone with its sandbox, or in another's."""
    assert ended(client, agent="coder", command="echo one > f", workspace="app")["status"] == "succeeded"
    assert ended(client, agent="coder", command=["cat", "f"], workspace="app")["stdout"] == "one\n"
    assert ended(client, agent="coder", command="ls", workspace="other")["stdout"] == ""
    with agents.client() as stranger:
        assert ended(stranger, agent="coder", command="ls", workspace="app")["stdout"] == ""


def test_jobs_with_one_workspace_run_one_after_another_and_others_meanwhile(client: httpx.Client) -> None:
    """Two agents in one folder undo each other's work; a queue that stands still for that helps nobody."""
    job = {"agent": "coder", "command": "test ! -e on && touch on && sleep 0.1 && rm on", "workspace": "one"}
    first = [client.post("/execute", json={**job, "timeout_seconds": 30}).json()["id"] for _ in range(12)]
    assert ended(client, agent="coder", command="echo by", workspace="two")["stdout"] == "by\n"
    results = [client.get(f"/result/{id_}", headers={"Prefer": "wait=30"}).json() for id_ in first]
    assert [result["status"] for result in results] == ["succeeded"] * 12
    assert [result["attempt"] for result in results] == [1] * 12


def test_the_list_says_whose_job_it_is(client: httpx.Client) -> None:
    """A tenant must be able to tell its agents' jobs apart."""
    ended(client, agent="tester", command=["true"])
    ended(client, agent="coder", command=["true"], workspace="app")
    run(client, code="")
    shown = [(job["language"], job["agent"], job["workspace"]) for job in client.get("/jobs").json()["jobs"]]
    assert shown == [("python", None, None), ("agent", "coder", "app"), ("agent", "tester", None)]


@pytest.mark.parametrize(
    ("body", "field", "words"),
    [
        ({"agent": "painter", "command": "x"}, "agent", "'painter' was given; allowed are bare, coder, tester"),
        ({"agent": 1, "command": "x"}, "agent", "string"),
        ({"agent": "coder"}, "command", "either `command` or `prompt`"),
        ({"agent": "coder", "command": "x", "prompt": "y"}, "command", "not both"),
        ({"agent": "coder", "command": []}, "command", "must not be empty"),
        ({"agent": "coder", "command": [""]}, "command", "names no program"),
        ({"agent": "coder", "command": {"x": "y"}}, "command", "a list of strings"),
        ({"agent": "coder", "command": ["x", 1]}, "command", "a list of strings"),
        ({"agent": "coder", "command": ["x\0"]}, "command", "NUL"),
        ({"agent": "bare", "command": "x"}, "command", "the image of agent type 'bare' has no shell; send a list"),
        ({"agent": "coder", "command": ["x" * 60_000] * 2}, "command", "has 120000 characters"),
        ({"agent": "tester", "prompt": "x"}, "prompt", "'tester' has no `prompt_command`"),
        ({"agent": "coder", "prompt": "x", "stdin": "y"}, "stdin", "with `command` only"),
        ({"agent": "coder", "prompt": ""}, "prompt", "must not be empty"),
        ({"agent": "coder", "command": "x", "workspace": "../x"}, "workspace", "1 to 40 small letters"),
        ({"agent": "coder", "command": "x", "workspace": "x" * 41}, "workspace", "1 to 40 small letters"),
        ({"agent": "coder", "command": "x", "workspace": "x\n"}, "workspace", "1 to 40 small letters"),
        ({"agent": "coder", "command": "x", "code": "y"}, "agent", "without `language` and `code`"),
        ({"agent": "coder", "command": "x", "timeout_seconds": 3_601}, "timeout_seconds", "at most 3600"),
        ({"agent": "coder", "command": "x", "files": {"main.sh": "y"}}, "files['main.sh']", "taken"),
        ({"language": "python", "code": "", "workspace": "app"}, "workspace", "goes with `agent` only"),
    ],
    ids=str,
)
def test_what_is_wrong_with_an_agents_job_is_named(
    client: httpx.Client, body: dict[str, Any], field: str, words: str
) -> None:
    """Each mistake must be seen from the answer alone."""
    answer = client.post("/execute", json=body)
    assert fields(answer) == {field}
    assert words in answer.json()["errors"][0]["message"]


def test_the_header_routes_too_and_must_agree_with_the_body(client: httpx.Client) -> None:
    """A proxy routes by the header: a body that says otherwise would run where it was not sent."""
    assert ended(client, {"agent-type": "tester"}, agent="tester", command="echo 1")["stdout"] == "1\n"
    assert ended(client, {"agent-type": "tester"}, language="python", code="print(2)")["stdout"] == "2\n"
    other = client.post("/execute", json={"agent": "tester", "command": "x"}, headers={"agent-type": "coder"})
    assert fields(other) == {"agent"}
    assert "'coder'" in other.json()["errors"][0]["message"]
    unknown = client.post("/execute", json={"agent": "tester", "command": "x"}, headers={"agent-type": "painter"})
    assert fields(unknown) == {"agent-type"}


def test_a_repeated_request_is_the_same_job_and_another_workspace_is_another_body(client: httpx.Client) -> None:
    """A key that meant two things would give one of them the other's result."""
    job = {"agent": "coder", "command": "echo 1", "workspace": "app", "idempotency_key": "again"}
    first = client.post("/execute", json=job)
    assert client.post("/execute", json=job).json()["id"] == first.json()["id"]
    assert client.post("/execute", json=job, headers={"agent-type": "coder"}).json()["id"] == first.json()["id"]
    for changed in ({"workspace": "other"}, {"agent": "tester"}, {"command": ["echo", "1"]}, {"workspace": None}):
        assert fields(client.post("/execute", json={**job, **changed})) == {"idempotency_key"}


def test_the_client_sends_an_agents_job(agents: Stack, tmp_path: Path) -> None:
    """What a script asks for by `fleet` must be what runs."""
    fleet = command_of(agents, tmp_path)
    where = ("--agent", "coder", "--workspace", "app")
    written = fleet.run("run", *where, "--command", "read x; echo $x > f; exit 3", "--stdin", "-", given=b"in\n")
    assert (written.returncode, written.stdout, written.stderr) == (3, b"", b"")
    assert fleet.run("run", *where, "--command", "cat f").stdout == b"in\n"
    fleet.file("task.md", "do it\n")
    assert fleet.run("run", "--agent", "coder", "--prompt", "task.md").stdout == b"DO IT\n0\n"
    for wrong in (("x.py", "--command", "y"), ("--command", "y", "--prompt", "-"), ("--agent", "coder")):
        ended = fleet.run("run", *wrong)
        assert b"one of FILE, --command and --prompt" in ended.stderr, ended
    assert b"agent_type" in fleet.run("run", "--command", "y").stderr
    with Fleet(fleet.environment["FLEET_URL"], fleet.environment["FLEET_KEY"]) as python:
        result = python.run(Job(agent_type="coder", command=["echo", "a  b"], workspace="app"))
        assert result.stdout == "a  b\n"
        assert next(iter(python.jobs())).language == "agent"


def test_the_document_names_the_agent_types(agents: Stack) -> None:
    """A client is made from the document."""
    operation = httpx.get(f"{agents.url}/openapi.json").json()["paths"]["/execute"]["post"]
    forms = operation["requestBody"]["content"]["application/json"]["schema"]["oneOf"]
    assert forms[1]["properties"]["agent"]["enum"] == ["bare", "coder", "tester"]
    header = next(each for each in operation["parameters"] if each["name"] == "agent-type")
    assert header["schema"]["enum"] == ["bare", "coder", "tester"]


def test_in_pools_an_agents_command_goes_to_the_tenants_pool_of_that_type(shared_database_url: str) -> None:
    """On a cluster the pools are the agent types, and their sandboxes have no workspace to mount."""
    pools = [
        {"tenant": "tenant-0", "agent_type": "testing", "template": "default"},
        {"tenant": "tenant-0", "agent_type": "security", "template": "alpha-security"},
        {"tenant": "tenant-1", "agent_type": "painting", "template": "beta-painting"},
    ]
    with (
        start_stack(shared_database_url, workers=1, POOLS=json.dumps(pools)) as stack,
        stack.client("tenant-0") as client,
    ):
        assert ended(client, agent="testing", command=["echo", "1"])["stdout"] == "1\n"
        refused = client.post("/execute", json={"agent": "painting", "command": "x"})
        assert "tenant 'tenant-0' has pools for security, testing" in problem(refused, 422)["errors"][0]["message"]
        mounted = client.post("/execute", json={"agent": "testing", "command": "x", "workspace": "app"})
        assert fields(mounted) == {"workspace"}
        assert fields(client.post("/execute", json={"agent": "testing", "prompt": "x"})) == {"prompt"}
