"""The logs of a fleet's containers in a cluster, those of pods that come later included."""

import os
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import click

from engine.targets.cluster_client import ClusterClient
from engine.targets.cluster_objects import FLEET_LABEL, ROLE_LABEL, TEAM_LABEL
from engine.targets.target import LogSelection

_LOOK_AGAIN_SECONDS = 2.0


class ClusterLogs:
    """Follows one fleet's containers; each line begins with the one that wrote it."""

    def __init__(self, client: ClusterClient, fleet: str, selection: LogSelection) -> None:
        """Nothing is read yet."""
        self._client = client
        self._fleet = fleet
        self._wanted = selection
        self._lock = threading.Lock()
        self._seen: set[tuple[str, str, int]] = set()
        self._readers: list[threading.Thread] = []

    def show(self) -> bool:
        """Print until the logs end, or for ever when following; False where no container was selected."""
        if not self._start():
            return False
        while self._wanted.follow or any(reader.is_alive() for reader in self._readers):
            # With a time limit in a loop, so that Ctrl-C is heard.
            deadline = time.monotonic() + _LOOK_AGAIN_SECONDS
            for reader in self._readers:
                reader.join(max(0.0, deadline - time.monotonic()))
            if self._wanted.follow:
                time.sleep(max(0.0, deadline - time.monotonic()))
                self._start()
                self._readers = [reader for reader in self._readers if reader.is_alive()]
                if not self._readers and not self._containers_left():
                    break
        return True

    def _start(self) -> bool:
        """Start a reader for each container that has none; whether any container is there."""
        found = list(self._containers())
        for pod, container, run in found:
            key = pod["metadata"]["uid"], container, run
            if key not in self._seen:
                reader = threading.Thread(target=self._read, args=(pod, container), daemon=True)
                self._seen.add(key)
                self._readers.append(reader)
                reader.start()
        return bool(found)

    def _containers_left(self) -> bool:
        return any(True for _ in self._containers())

    def _containers(self) -> Iterator[tuple[dict[str, Any], str, int]]:
        """Containers that have run, with the number of the run. A role is a pod's, or a container's in it."""
        selector = f"{FLEET_LABEL}={self._fleet}"
        if self._wanted.team:
            selector += f",{TEAM_LABEL}={self._wanted.team}"
        for pod in self._client.get("/api/v1/pods", labelSelector=selector)["items"]:
            role = (pod["metadata"].get("labels") or {}).get(ROLE_LABEL, "")
            for status in pod.get("status", {}).get("containerStatuses") or ():
                roles = {role, status["name"]}
                wanted = self._wanted.role in roles if self._wanted.role else role != "sandbox"
                if wanted and "waiting" not in status.get("state", {}):
                    yield pod, status["name"], status.get("restartCount", 0)

    def _read(self, pod: dict[str, Any], container: str) -> None:
        metadata = pod["metadata"]
        short = str(metadata["namespace"]).removeprefix(self._fleet).lstrip("-")
        single = len(pod["spec"]["containers"]) == 1
        prefix = f"{short + '/' if short else ''}{metadata['name']}{'' if single else '/' + container}"
        path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}/log"
        follow = "true" if self._wanted.follow else "false"
        lines = self._client.lines(path, container=container, follow=follow, tailLines=str(self._wanted.lines))
        for line in lines:
            with self._lock:
                try:
                    click.echo(f"{prefix} | {line}")
                    sys.stdout.flush()
                except BrokenPipeError:
                    os._exit(0)  # the reader has seen enough (`make logs | head`)
