"""A whole fleet updated under the plan that a preview of it saved."""

import subprocess
import sys
from pathlib import Path

import pytest
from deployed_stack import CHECKOUT, DeployedStack, environment


def _engine(stack: DeployedStack, command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "engine",
            command,
            f"--stack={stack.name}",
            f"--config={stack.settings_file}",
            *arguments,
        ],
        cwd=CHECKOUT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=420,
        check=False,
    )


def _settings(stack: DeployedStack, images: dict[str, str], concurrency: int) -> None:
    stack.write_settings(workers={"concurrency": concurrency}, images={"imported": images})


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_a_fleet_is_updated_by_its_plan_and_by_no_other(stack: DeployedStack, tmp_path: Path) -> None:
    """Prevents plans that hold for small programs, and not for generated keys and containers that wait for each other.

    The images are named by their ids: of a stack that builds them the engine's plans are not sound.
    """
    roles = {"runtime": "api", "sandbox": "sandbox", "postgres": "database"}
    images = {name: str(stack.containers(role)[0].attrs["Image"]) for name, role in roles.items()}
    _settings(stack, images, 2)
    stack.succeed("up")
    worker = str(stack.container("worker").id)
    plan = f"--plan={tmp_path / 'plan.json'}"

    _settings(stack, images, 3)
    previewed = _engine(stack, "preview", f"--report={tmp_path}", "--save-plan", "--detailed-exit-code")
    assert previewed.returncode == 2, previewed.stdout + previewed.stderr
    _settings(stack, images, 1)
    refused = _engine(stack, "up", plan)
    assert refused.returncode == 1
    assert "agent-fleet:fleet.workers.concurrency" in refused.stderr
    assert str(stack.container("worker").id) == worker

    _settings(stack, images, 3)
    done = _engine(stack, "up", plan)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "FLEET_CONCURRENCY=3" in stack.container("worker").attrs["Config"]["Env"]
    nothing = _engine(stack, "preview", "--detailed-exit-code")
    assert nothing.returncode == 0, nothing.stdout + nothing.stderr
    drift = _engine(stack, "drift", "--detailed-exit-code")
    assert drift.returncode == 0, drift.stdout + drift.stderr
