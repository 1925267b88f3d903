"""The files for Fly: an app for the API, one for the workers, and one whose Machines are the sandboxes."""

from pathlib import Path
from typing import Any

from agent_fleet.execution_workloads import API_PORT, METRICS_PORT

from engine.export.toml_text import toml_text
from engine.export.workloads import SECRETS, Exported, memory_mebibytes, plain
from settings.model import Digests

_FOLDER = Path(__file__).with_name("fly")
_COPIED = ("fly_sandboxes.py", "fly_worker.py", "sandbox_bridge.py")
_MEMORY_STEP = 256
_DIGEST_LETTERS = 12
API = "http://_api.internal:4280"
"""Fly's Machines API as Machines reach it over their own network."""
_WORKER_IMAGE = """\
# The fleet's own runtime image, with Machines of Fly's for sandboxes. It has no shell, so nothing is run here.
FROM {runtime}
COPY fly_sandboxes.py fly_worker.py /opt/fleet/fly/
COPY --chown=1001:1001 run/ /run/fleet/
ENV PYTHONPATH=/opt/fleet/fly
ENTRYPOINT ["/opt/fleet/bin/python", "/opt/fleet/fly/fly_worker.py"]
"""
_SANDBOX_IMAGE = """\
# The fleet's own sandbox image, entered by the bridge: as root of a virtual machine that is used once.
FROM {sandbox}
USER 0:0
WORKDIR /
COPY sandbox_bridge.py /opt/bridge/sandbox_bridge.py
ENTRYPOINT ["/usr/bin/python3", "-I", "/opt/bridge/sandbox_bridge.py"]
"""


def sandbox_image(fleet: str, digests: Digests) -> str:
    """Where the sandboxes' image is pushed: a tag by the content of what it is made from."""
    return f"registry.fly.io/{fleet}-sandboxes:{digests.sandbox.rpartition(':')[2][:_DIGEST_LETTERS]}"


def fly_files(fleet: Exported, digests: Digests, region: str) -> dict[str, str]:
    """Each file's text by its path in the folder."""
    copied = {name: (_FOLDER / name).read_text(encoding="utf-8") for name in _COPIED}
    values = {
        "fleet": fleet.fleet,
        "region": region,
        "workers": str(fleet.workers),
        "sandbox_image": sandbox_image(fleet.fleet, digests),
        "sandbox_label": sandbox_image(fleet.fleet, digests).rpartition(":")[2],
        "secrets": " ".join(SECRETS),
    }
    return {
        **copied,
        "fly.api.toml": toml_text(_api(fleet, digests, region)),
        "fly.worker.toml": toml_text(_worker(fleet, region)),
        "fly.sandboxes.toml": toml_text(_sandboxes(fleet, region)),
        "worker.Dockerfile": _WORKER_IMAGE.format(runtime=digests.runtime),
        "sandboxes.Dockerfile": _SANDBOX_IMAGE.format(sandbox=digests.sandbox),
        "run/.keep": "",
        "README.md": (_FOLDER / "README.md").read_text(encoding="utf-8").format(**values),
    }


def _app(fleet: Exported, role: str, region: str) -> dict[str, Any]:
    return {"app": f"{fleet.fleet}-{role}", "primary_region": region, "kill_signal": "SIGTERM"}


def _api(fleet: Exported, digests: Digests, region: str) -> dict[str, Any]:
    ready = fleet.api.readiness or fleet.api.probe
    return {
        **_app(fleet, "api", region),
        "kill_timeout": f"{fleet.api.stop_grace_seconds}s",
        "build": {"image": digests.runtime},
        # After the image's entry point, which is the runtime's.
        "processes": {"app": "api"},
        "env": plain(fleet.api.environment),
        "http_service": {
            "internal_port": API_PORT,
            "force_https": True,
            # Stopped it would neither keep budgets nor tell workers of lost jobs.
            "auto_stop_machines": False,
            "auto_start_machines": True,
            "min_machines_running": 1,
            "concurrency": {"type": "requests", "soft_limit": 200, "hard_limit": 250},
            "checks": [
                {
                    "method": "GET",
                    "path": "/health",
                    "interval": f"{ready.interval_seconds}s",
                    "timeout": f"{ready.timeout_seconds}s",
                    "grace_period": f"{ready.start_period_seconds}s",
                }
            ],
        },
        "metrics": {"port": METRICS_PORT, "path": "/metrics"},
        "vm": [_machine(memory_mebibytes(fleet.api), fleet.api.resources.cpus)],
    }


def _worker(fleet: Exported, region: str) -> dict[str, Any]:
    environment = {
        **fleet.worker_environment,
        "FLEET_FLY_API": API,
        "FLEET_FLY_SANDBOX_APP": f"{fleet.fleet}-sandboxes",
    }
    probe = fleet.worker.probe
    return {
        **_app(fleet, "worker", region),
        "kill_timeout": f"{fleet.worker.stop_grace_seconds}s",
        "build": {"dockerfile": "worker.Dockerfile"},
        "env": environment,
        "checks": {
            "health": {
                "type": "http",
                "port": METRICS_PORT,
                "method": "GET",
                "path": "/health",
                "interval": f"{probe.interval_seconds}s",
                "timeout": f"{probe.timeout_seconds}s",
                "grace_period": f"{probe.start_period_seconds}s",
            }
        },
        "metrics": {"port": METRICS_PORT, "path": "/metrics"},
        "vm": [_machine(memory_mebibytes(fleet.worker), fleet.worker.resources.cpus)],
    }


def _sandboxes(fleet: Exported, region: str) -> dict[str, Any]:
    """Only ever built and pushed: the Machines of this app are made by the workers."""
    return {
        "app": f"{fleet.fleet}-sandboxes",
        "primary_region": region,
        "build": {"dockerfile": "sandboxes.Dockerfile"},
    }


def _machine(memory: int, cpus: float) -> dict[str, Any]:
    steps = -(-memory // _MEMORY_STEP)
    return {"cpu_kind": "shared", "cpus": max(1, int(cpus)), "memory": f"{steps * _MEMORY_STEP}mb"}
