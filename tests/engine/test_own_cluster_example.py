"""The components in another stack: installed by wheel into an empty environment, previewed on the real engine."""

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from engine.environment import engine_environment
from engine.paths import CHECKOUT, Paths

EXAMPLE = CHECKOUT / "examples" / "own-cluster"
_LIMIT_SECONDS = 240
_UV = str(Path(sys.executable).parent / "uv")


def _run(*command: str, cwd: Path, environment: dict[str, str] | None = None, given: str | None = None) -> str:
    run = subprocess.run(
        command, cwd=cwd, env=environment, input=given, capture_output=True, text=True, timeout=_LIMIT_SECONDS
    )
    assert run.returncode == 0, f"{command}:\n{run.stdout}\n{run.stderr}"
    return run.stdout


@pytest.fixture(scope="module")
def installed_example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example beside an environment that has nothing but what its requirements name."""
    folder = tmp_path_factory.mktemp("own-cluster") / "program"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns(".venv", "Pulumi.*.yaml"))
    wheels = folder.parent / "wheels"
    _run(_UV, "build", "--quiet", "--wheel", "--package", "agent-fleet", "--out-dir", str(wheels), cwd=CHECKOUT)
    # The same versions as the project's, so that the plugins of the engine are those of the SDKs.
    constraints = folder.parent / "constraints.txt"
    lines = (CHECKOUT / "requirements.txt").read_text().splitlines()
    constraints.write_text("\n".join(line for line in lines if not line.startswith(("-e", "./"))) + "\n")
    _run(_UV, "venv", "--quiet", "--python", sys.executable, ".venv", cwd=folder)
    python = str(folder / ".venv" / "bin" / "python")
    install = (_UV, "pip", "install", "--quiet", "--python", python, "--find-links", str(wheels))
    _run(*install, "--constraint", str(constraints), "--requirement", "requirements.txt", cwd=folder)
    return folder


@pytest.fixture(scope="module")
def planned(installed_example: Path, engine_paths: Paths) -> list[dict[str, Any]]:
    """The resources that a preview of the example plans, with no cluster and no cloud."""
    environment = engine_environment(
        engine_paths,
        state=installed_example.parent / "state",
        passphrase=installed_example.parent / "passphrase",
        plugins="stand-ins",
    )
    environment = {name: value for name, value in environment.items() if name not in ("KUBECONFIG", "PYTHONPATH")}
    environment["AWS_REGION"] = "eu-central-1"
    digest = f"@sha256:{'a' * 64}"

    def pulumi(*arguments: str, given: str | None = None) -> str:
        return _run(
            "pulumi", *arguments, "--non-interactive", cwd=installed_example, environment=environment, given=given
        )

    pulumi("stack", "init", "test")
    pulumi("config", "set", "--secret", "kubeconfig", given=_KUBECONFIG)
    pulumi("config", "set", "--secret", "database_url", "postgresql://fleet:hidden@db.example.com:5432/fleet")
    pulumi("config", "set", "runtime_image", f"registry.example.com/runtime{digest}")
    pulumi("config", "set", "sandbox_image", f"registry.example.com/sandbox{digest}")
    return [step["newState"] for step in json.loads(pulumi("preview", "--json"))["steps"]]


_KUBECONFIG = json.dumps(
    {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "own", "cluster": {"server": "https://127.0.0.1:9"}}],
        "users": [{"name": "own", "user": {"token": "not-a-real-token"}}],
        "contexts": [{"name": "own", "context": {"cluster": "own", "user": "own"}}],
        "current-context": "own",
    }
)


def _only(planned: list[dict[str, Any]], suffix: str) -> dict[str, Any]:
    found = [resource for resource in planned if resource["type"].endswith(suffix)]
    assert len(found) == 1, [resource["urn"] for resource in found]
    return found[0]["inputs"]


def test_the_example_is_under_forty_lines() -> None:
    """Components that need a page of glue are not reused."""
    assert len((EXAMPLE / "__main__.py").read_text().splitlines()) < 40


def test_the_environment_has_the_components_and_nothing_of_this_checkout(installed_example: Path) -> None:
    """A component that imports the project's settings works here and nowhere else."""
    python = str(installed_example / ".venv" / "bin" / "python")
    bare = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")}
    where = _run(
        python, "-c", "import agent_fleet; print(agent_fleet.__file__)", cwd=installed_example, environment=bare
    )
    assert Path(where.strip()).is_relative_to(installed_example)
    assert (Path(where.strip()).parent / "py.typed").exists()


def test_a_preview_plans_registry_pool_quota_and_autoscaler(planned: list[dict[str, Any]]) -> None:
    """A component may import and yet declare nothing outside of its own project."""
    kinds = Counter(resource["type"].rpartition(":")[2] for resource in planned)
    assert kinds["Repository"] == 2
    assert kinds["Namespace"] == 2
    assert kinds["ResourceQuota"] == 2
    assert kinds["Deployment"] == 2
    assert kinds["HorizontalPodAutoscaler"] == 1


def test_the_autoscaler_holds_the_pool(planned: list[dict[str, Any]]) -> None:
    """An autoscaler of another name scales nothing, and says nothing either."""
    target = _only(planned, ":HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]
    deployments = {
        resource["inputs"]["metadata"]["name"]: resource["inputs"]
        for resource in planned
        if resource["type"].endswith(":Deployment") and resource["inputs"]["metadata"]["namespace"] == "shop-payments"
    }
    assert set(deployments) == {target["name"]}
    assert "replicas" not in deployments[target["name"]]["spec"]


def test_the_preview_shows_no_secret(planned: list[dict[str, Any]]) -> None:
    """The plan is what people paste into a review."""
    text = json.dumps(planned)
    assert "hidden@db.example.com" not in text
    assert "not-a-real-token" not in text
