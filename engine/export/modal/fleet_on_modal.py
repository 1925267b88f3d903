"""The fleet as a Modal app: `modal deploy fleet_on_modal.py`. fleet.json beside it has what differs between stacks."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import modal

REMOTE = "/fleet"
FOLDER = Path(__file__).resolve().parent if modal.is_local() else Path(REMOTE)
PLAN: dict[str, Any] = json.loads((FOLDER / "fleet.json").read_text(encoding="utf-8"))
STOP_SECONDS = 25
"""Modal gives a container 30 s to end."""

app = modal.App(PLAN["app"])
image = (
    modal.Image.debian_slim(python_version="3.11")
    .pip_install_from_requirements(
        str(FOLDER / "requirements.txt"), extra_options="--no-deps --only-binary :all: --require-hashes"
    )
    .add_local_dir(FOLDER, REMOTE)
)
secret = modal.Secret.from_name(PLAN["secret"], required_keys=PLAN["secret_keys"])


def start(role: str, *command: str) -> "subprocess.Popen[bytes]":
    """Start a role of the fleet as a process of its own, whose signals are its own."""
    environment = {**os.environ, **PLAN["roles"][role]["environment"]}
    # Modal brings its own client by a path that only this process has.
    environment["PYTHONPATH"] = os.pathsep.join([REMOTE, *sys.path])
    return subprocess.Popen([sys.executable, *command], env=environment, cwd=REMOTE)


def end(process: "subprocess.Popen[bytes]") -> None:
    """Have it end in good order: open requests, then jobs, which go back to the queue."""
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()


@app.cls(
    image=image,
    secrets=[secret],
    cpu=PLAN["roles"]["api"]["cpus"],
    memory=PLAN["roles"]["api"]["memory_mebibytes"],
    min_containers=1,
    timeout=86_400,
)
@modal.concurrent(max_inputs=200)
class Api:
    """The API, over HTTPS at the address that `modal deploy` prints."""

    @modal.web_server(PLAN["roles"]["api"]["port"], startup_timeout=60)
    def serve(self) -> None:
        """Listen; called once in each container."""
        self.process = start("api", "-m", "fleet_runtime", "api")

    @modal.exit()
    def stop(self) -> None:
        """End with the container."""
        end(self.process)


@app.cls(
    image=image,
    secrets=[secret],
    cpu=PLAN["roles"]["worker"]["cpus"],
    memory=PLAN["roles"]["worker"]["memory_mebibytes"],
    # So many containers, no more and no fewer: it is the queue that gives them work, and not requests.
    min_containers=PLAN["roles"]["worker"]["count"],
    max_containers=PLAN["roles"]["worker"]["count"],
    timeout=86_400,
)
class Worker:
    """The workers. Their address has their health and metrics, for who has a proxy token of the workspace."""

    @modal.web_server(PLAN["roles"]["worker"]["port"], startup_timeout=60, requires_proxy_auth=True)
    def serve(self) -> None:
        """Begin to work; called once in each container."""
        self.process = start("worker", f"{REMOTE}/modal_worker.py")

    @modal.exit()
    def stop(self) -> None:
        """Drain and end with the container."""
        end(self.process)
