"""The files for Modal: an app of API and workers, whose sandboxes are Modal's."""

import json
from pathlib import Path

from agent_fleet.execution_workloads import API_PORT, METRICS_PORT
from agent_fleet.workload import Workload

from engine.export.workloads import SECRETS, Exported, memory_mebibytes, plain
from engine.paths import CHECKOUT

_FOLDER = Path(__file__).with_name("modal")
_COPIED = ("fleet_on_modal.py", "modal_sandboxes.py", "modal_worker.py")
_RUNTIME = CHECKOUT / "images" / "runtime"
_LONGEST_SANDBOX_SECONDS = 86_400
_WAITING_SECONDS = 3_600
"""How long a sandbox may wait for its job."""


def modal_files(fleet: Exported) -> dict[str, str]:
    """Each file's text by its path in the folder."""
    files = {name: (_FOLDER / name).read_text(encoding="utf-8") for name in _COPIED}
    readme = (_FOLDER / "README.md").read_text(encoding="utf-8")
    return {
        **files,
        **_runtime(),
        "fleet.json": json.dumps(_plan(fleet), indent=2) + "\n",
        "README.md": readme.format(fleet=fleet.fleet, secret=_secret(fleet), workers=fleet.workers),
    }


def _secret(fleet: Exported) -> str:
    return f"{fleet.fleet}-secrets"


def _plan(fleet: Exported) -> dict[str, object]:
    lifetime = min(_LONGEST_SANDBOX_SECONDS, fleet.longest_job_seconds + _WAITING_SECONDS)
    worker_environment = {
        **fleet.worker_environment,
        "FLEET_MODAL_APP": fleet.fleet,
        "FLEET_MODAL_SANDBOX_SECONDS": str(lifetime),
    }
    return {
        "app": fleet.fleet,
        "secret": _secret(fleet),
        "secret_keys": list(SECRETS),
        "roles": {
            "api": {**_size(fleet.api), "port": API_PORT, "environment": plain(fleet.api.environment)},
            "worker": {
                **_size(fleet.worker),
                "port": METRICS_PORT,
                "count": fleet.workers,
                "environment": worker_environment,
            },
        },
    }


def _size(workload: Workload) -> dict[str, float]:
    return {"cpus": workload.resources.cpus, "memory_mebibytes": memory_mebibytes(workload)}


def _runtime() -> dict[str, str]:
    """The runtime itself: its image has no shell, and Modal builds nothing on one without."""
    package = {
        str(path.relative_to(_RUNTIME)): path.read_text(encoding="utf-8")
        for path in sorted((_RUNTIME / "fleet_runtime").rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }
    return {**package, "requirements.txt": (_RUNTIME / "requirements.txt").read_text(encoding="utf-8")}
