"""A fleet that `make up` deployed to an empty cluster: its first job, its pools, its words, its secrets."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from deployed_cluster import CHECKOUT, Fleet, wait_for
from deployed_fixtures import FirstUp
from kr8s.objects import ConfigMap, Deployment


def test_an_empty_cluster_gets_to_its_first_jobs_result_with_one_command(
    first_up: FirstUp, record_property: Callable[[str, object], None], capsys: pytest.CaptureFixture[str]
) -> None:
    """Prevents a deployment that ends before it is known to work. The time is printed and not judged here."""
    said = first_up.ended.output
    with capsys.disabled():
        sys.stdout.write(f"\nmake up in an empty cluster: {first_up.ended.seconds:.1f} s\n")
    record_property("seconds", round(first_up.ended.seconds, 1))
    assert "Hello from a sandbox." in said
    assert "The cluster is https://" in said
    assert f"make down STACK={first_up.fleet.name}" in said
    assert "waiting" not in said.partition("Deploying")[0]
    written = first_up.fleet.endpoint()
    assert set(written["api_keys"]) == {"alpha"}
    assert (CHECKOUT / ".fleet" / f"{first_up.fleet.name}.json").stat().st_mode & 0o777 == 0o600


def _generations(fleet: Fleet) -> dict[str, Any]:
    """What a change of an object moves: its generation, or its version where it has none."""
    return {
        str(each): each.content["metadata"].get("generation") or each.content["metadata"]["uid"]
        for each in fleet.objects()
    }


def test_a_second_make_up_changes_nothing(fleet: Fleet) -> None:
    """Whoever runs it to be sure must not restart a pod."""
    before, pods = _generations(fleet), [pod["metadata"]["uid"] for pod in fleet.pods("pool")]
    said = fleet.succeed("up").output
    assert "unchanged" in said
    assert not [word for word in ("created", "updated", "replaced", "deleted") if f" {word} " in said], said
    assert _generations(fleet) == before
    assert [pod["metadata"]["uid"] for pod in fleet.pods("pool")] == pods


def test_a_job_runs_in_a_sandbox_pod_of_its_own_which_is_then_gone(fleet: Fleet) -> None:
    """Prevents a sandbox from being used twice, and jobs from running in the worker."""
    names = [fleet.run(language="bash", code="hostname; ls /var/run/secrets 2>&1")["stdout"] for _ in range(2)]
    assert all("No such file" in name for name in names), names
    code = "cat /proc/sys/kernel/random/boot_id; date +%s%N; echo x > /tmp/mark; ls /tmp"
    first, second = (fleet.run(language="bash", code=code)["stdout"] for _ in range(2))
    assert first.splitlines()[2:] == second.splitlines()[2:] == ["mark"]
    for pod in fleet.pods("sandbox"):
        assert all(not status["restartCount"] for status in pod["status"].get("containerStatuses", []))


def test_the_header_agent_type_names_the_pool(fleet: Fleet) -> None:
    """Prevents a job from running with the tools of another agent type, or silently somewhere."""
    assert fleet.run(language="bash", code="echo here", agent_type="testing")["stdout"] == "here\n"
    with fleet.http() as client:
        job = {"language": "bash", "code": "echo"}
        answer = client.post("/execute", json=job, headers={"agent-type": "no-such-type"})
        assert answer.status_code == 422
        assert "testing" in answer.text


def test_status_shows_the_pools_their_sandboxes_and_where_the_api_is(fleet: Fleet) -> None:
    """Prevents the need for kubectl to answer the first question about a fleet."""
    wait_for(lambda: "0 of 1" not in fleet.make("status").output, "the pools are ready again")
    ended = fleet.make("status")
    assert ended.code == 0, ended.output
    assert f"{fleet.label}: {fleet.endpoint()['url']}, ready" in ended.output
    assert "alpha/testing" in ended.output
    assert "1 of 1 ready, sandboxes: " in ended.output
    assert "database" in ended.output


def test_logs_are_those_of_a_role_or_of_a_team(fleet: Fleet) -> None:
    """Prevents the search for one worker's line among everybody's."""
    words = ["-m", "engine", "logs", "--no-follow", "--lines", "5", f"--stack={fleet.name}"]
    everything = fleet.engine(*words)
    assert {line.partition("/")[0] for line in everything.splitlines() if line.startswith("alpha/")}
    assert any(line.startswith("api-") for line in everything.splitlines())
    of_workers = fleet.engine(*words, "--role=worker", "--team=alpha")
    assert of_workers
    assert all(line.startswith("alpha/testing-") and "/worker | " in line for line in of_workers.splitlines())
    assert "has no container of the role nonsense" in fleet.engine(*words, "--role=nonsense")


def test_what_somebody_changed_in_the_cluster_is_put_back(fleet: Fleet) -> None:
    """The state would go on saying that all is well."""
    namespace = f"{fleet.label}-alpha"
    settings = ConfigMap.get("testing", namespace=namespace, api=fleet.api)
    key, value = sorted(settings.raw["data"].items())[0]
    settings.patch({"data": {key: f"{value}-changed"}})
    Deployment.get("testing", namespace=f"{namespace}-sandboxes", api=fleet.api).patch({"spec": {"replicas": 1}})
    said = fleet.succeed("up").output
    assert "updated" in said
    assert ConfigMap.get("testing", namespace=namespace, api=fleet.api).raw["data"][key] == value
    assert Deployment.get("testing", namespace=f"{namespace}-sandboxes", api=fleet.api).raw["spec"]["replicas"] == 3
    assert "unchanged" in fleet.succeed("up").output


@pytest.fixture(scope="module")
def secrets(fleet: Fleet) -> dict[str, str]:
    """Every secret of the deployed fleet, by what it is."""
    key = fleet.endpoint()["api_keys"]["alpha"]
    found = {
        f"{secret['metadata']['name']} {name}": fleet.decoded(value)
        for secret in fleet.client.get("/api/v1/secrets", labelSelector=f"agent-fleet.fleet={fleet.label}")["items"]
        for name, value in secret.get("data", {}).items()
    }
    passwords = {f"{name}, its password": _password(value) for name, value in found.items() if "://" in value}
    kubeconfig = fleet.kubeconfig.read_text()
    credentials = {
        f"kubeconfig {line.split(':')[0].strip()}": line.split(":", 1)[1].strip()
        for line in kubeconfig.splitlines()
        if line.strip().startswith(("token:", "client-key-data:"))
    }
    assert passwords, found.keys()
    return {
        "API key": key,
        "random part of the API key": key.rpartition("_")[2],
        "passphrase": (CHECKOUT / ".fleet" / "passphrase").read_text().strip(),
        **passwords,
        **credentials,
    }


def _password(url: str) -> str:
    return url.partition("://")[2].rpartition("@")[0].partition(":")[2]


def _told(text: str, secrets: dict[str, str]) -> list[str]:
    return [name for name, secret in secrets.items() if secret and secret in text]


def test_no_command_shows_a_secret(first_up: FirstUp, secrets: dict[str, str], tmp_path: Path) -> None:
    """What is on the screen is in the terminal's history and in a CI system's log."""
    fleet = first_up.fleet
    # What is excused for `local-cluster` is excused for this fleet, which is on the same cluster.
    policies = tmp_path / "policies.json"
    shipped = (CHECKOUT / "policies" / "fleet.json").read_text()
    policies.write_text(shipped.replace("urn:pulumi:local-cluster::", f"urn:pulumi:{fleet.name}::"))
    assert _told(first_up.ended.output, secrets) == []
    with fleet.changed() as settings:
        settings["api"]["queue_limit"] = 9
        settings["database"]["memory_mebibytes"] = 300
        assert _told(fleet.succeed("preview", POLICIES=str(policies)).output, secrets) == []
    assert _told(fleet.make("status").output, secrets) == []


def test_neither_logs_nor_state_hold_a_secret_in_clear(fleet: Fleet, secrets: dict[str, str]) -> None:
    """State and logs are copied and sent around more freely than secrets are."""
    folders = (CHECKOUT / ".fleet" / "logs", CHECKOUT / ".fleet" / "state")
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file() and fleet.name in str(path)]
    assert fleet.state_file in files
    assert any(path.suffix == ".log" for path in files)
    assert [(str(path), told) for path in files if (told := _told(path.read_text(errors="replace"), secrets))] == []
    outputs = json.loads(fleet.state_file.read_text())["checkpoint"]["latest"]["resources"][0]["outputs"]
    assert "ciphertext" in outputs["api_keys"]


def test_no_pod_logs_or_shows_a_secret_in_its_environment(fleet: Fleet, secrets: dict[str, str]) -> None:
    """Whoever may look at pods may not thereby read the database, and a job finds nothing."""
    pods = [*fleet.pods("pool"), *fleet.pods("api"), *fleet.pods("database"), *fleet.pods("sandbox")]
    assert _told(json.dumps(pods), secrets) == []
    logs = fleet.engine("-m", "engine", "logs", "--no-follow", "--lines", "2000", f"--stack={fleet.name}")
    assert _told(logs, secrets) == []
    assert (
        _told(fleet.run(language="bash", code="env; cat /proc/1/environ /proc/self/mountinfo")["stdout"], secrets) == []
    )
