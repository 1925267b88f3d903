"""The API key and the database's password are shown nowhere, and stored only encrypted."""

import json
import subprocess

import pytest
from deployed_stack import CHECKOUT, DeployedStack, FirstUp

from engine.environment import engine_environment


@pytest.fixture(scope="module")
def secrets(stack: DeployedStack) -> dict[str, str]:
    """Every secret of the deployed stack, by what it is."""
    environment = dict(line.split("=", 1) for line in stack.container("database").attrs["Config"]["Env"])
    _, key = stack.endpoint()
    return {
        "API key": key,
        "random part of the API key": key.rpartition("_")[2],
        "database password": environment["POSTGRES_PASSWORD"],
        "passphrase": (CHECKOUT / ".fleet" / "passphrase").read_text().strip(),
    }


def _told(text: str, secrets: dict[str, str]) -> list[str]:
    return [name for name, secret in secrets.items() if secret in text]


def test_make_up_and_preview_show_none(first_up: FirstUp, secrets: dict[str, str]) -> None:
    """What is on the screen is in the terminal's history and in a CI system's log."""
    assert _told(first_up.ended.output, secrets) == []
    stack = first_up.stack
    stack.write_settings(workers={"concurrency": 3}, api={"queue_limit": 9})
    try:
        assert _told(stack.succeed("preview").output, secrets) == []
    finally:
        stack.write_settings()


def test_the_engines_own_logs_hold_none(stack: DeployedStack, secrets: dict[str, str]) -> None:
    """They are what is sent along with a report of a fault."""
    logs = list((CHECKOUT / ".fleet" / "logs").glob(f"{stack.name}*"))
    assert logs
    assert {path.name: _told(path.read_text(errors="replace"), secrets) for path in logs} == {
        path.name: [] for path in logs
    }


def test_the_state_holds_them_encrypted(stack: DeployedStack, secrets: dict[str, str]) -> None:
    """State is copied and backed up more freely than secrets are."""
    folder = CHECKOUT / ".fleet" / "state"
    files = [path for path in folder.rglob("*") if path.is_file() and stack.name in str(path)]
    assert stack.state_file in files
    assert [(str(path), told) for path in files if (told := _told(path.read_text(errors="replace"), secrets))] == []
    outputs = json.loads(stack.state_file.read_text())["checkpoint"]["latest"]["resources"][0]["outputs"]
    assert "ciphertext" in outputs["api_key"]


def test_plain_pulumi_shows_the_key_only_when_asked(stack: DeployedStack, secrets: dict[str, str]) -> None:
    """`pulumi stack output` is what one types to find the URL, often with others looking."""
    command = ["pulumi", "stack", "output", "--json", "--stack", stack.name]
    folder = CHECKOUT / ".fleet"
    shown = subprocess.run(
        command, cwd=folder, env=engine_environment(), capture_output=True, text=True, timeout=60, check=True
    )
    assert json.loads(shown.stdout)["api_key"] == "[secret]"
    asked = subprocess.run(
        [*command, "--show-secrets"],
        cwd=folder,
        env=engine_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert json.loads(asked.stdout)["api_key"] == secrets["API key"]


@pytest.mark.parametrize("role", ["api", "worker", "sandboxd", "database"])
def test_no_container_logs_one(stack: DeployedStack, secrets: dict[str, str], role: str) -> None:
    """Logs are collected, kept and read by more people than run the fleet."""
    assert _told(stack.container(role).logs().decode(errors="replace"), secrets) == []


def test_the_api_container_knows_only_the_keys_hash(stack: DeployedStack, secrets: dict[str, str]) -> None:
    """`docker inspect` shows a container's environment to everybody in the docker group."""
    text = json.dumps([container.attrs for container in stack.containers(every=True)])
    assert secrets["API key"] not in text
    assert secrets["random part of the API key"] not in text


def test_a_job_finds_no_secret_of_the_fleet(stack: DeployedStack, secrets: dict[str, str]) -> None:
    """Strangers' code runs there."""
    code = "env; cat /proc/1/environ /proc/self/mountinfo 2>/dev/null; ls -la / /run /tmp /job 2>/dev/null"
    assert _told(stack.run(language="bash", code=code)["stdout"], secrets) == []
