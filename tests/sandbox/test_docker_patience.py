"""How long sandboxd waits for a Docker daemon that reads or removes a whole workspace."""

from pathlib import Path
from typing import Any

import docker
import pytest
from fleet_runtime.sandboxd.docker_backend import DockerBackend
from fleet_runtime.sandboxd.docker_posture import LABEL_FLEET, LABEL_ROLE
from fleet_runtime.sandboxd.docker_volumes import LABEL_TENANT, LABEL_WORKSPACE, ROLE
from fleet_runtime.sandboxd.workspace import Workspace

_MINUTES = 120.0


class _Daemon:
    """Notes how long it may take."""

    asked: dict[str, float]

    def __init__(self, host: str, version: str, timeout: float) -> None:
        del host, version
        self._seconds = timeout

    def df(self) -> dict[str, Any]:
        self.asked["measure"] = self._seconds
        return {"Volumes": None}

    def inspect_volume(self, name: str) -> dict[str, Any]:
        del name
        return {"Labels": {LABEL_FLEET: "fleet", LABEL_ROLE: ROLE, LABEL_TENANT: "a", LABEL_WORKSPACE: "b"}}

    def remove_volume(self, name: str) -> None:
        self.asked[name] = self._seconds

    def close(self) -> None:
        """Nothing is open."""


async def test_a_workspace_of_a_million_files_is_measured_and_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prevents a workspace that no limit holds, because measuring it takes longer than a container's start may."""
    _Daemon.asked = {}
    monkeypatch.setattr(docker, "APIClient", _Daemon)
    backend = DockerBackend("fleet", "unix:///nowhere", Path("/nowhere"))
    assert await backend.workspace_sizes() == []
    assert await backend.remove_workspace(Workspace("a", "b"))
    backend.close()
    assert set(_Daemon.asked) == {"measure", "fleet-workspace-a.b"}
    assert min(_Daemon.asked.values()) >= _MINUTES
