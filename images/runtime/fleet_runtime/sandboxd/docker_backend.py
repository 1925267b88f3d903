"""Sandboxes as single-use Docker containers, created, attached and started ahead of need."""

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import docker
import requests
from docker.errors import APIError, DockerException, ImageNotFound, NotFound

from fleet_runtime.sandboxd.backend import BackendError, Sandbox, says_disk_is_full
from fleet_runtime.sandboxd.config import SandboxTemplate
from fleet_runtime.sandboxd.docker_attachment import Attachment
from fleet_runtime.sandboxd.docker_posture import LABEL_FLEET, LABEL_ROLE, ROLE, container_config
from fleet_runtime.sandboxd.docker_volumes import ensure_volume, remove_volume, volume_sizes
from fleet_runtime.sandboxd.workspace import Workspace
from fleet_runtime.sandboxd.workspace_desk import WorkspaceSize

_Result = TypeVar("_Result")

_CALL_SECONDS = 30
"""No single request to the daemon waits longer, but for those that read or remove whole folders."""
_FOLDERS_SECONDS = 300
"""The workers wait a little longer for both (client.py)."""
_STARTS_AT_ONCE = 4
_REMOVALS_AT_ONCE = 4


class DockerBackend:
    """Talks to one Docker daemon. Its blocking calls run in threads, removals apart so that no start waits for one."""

    shared = False

    def __init__(self, fleet: str, docker_host: str, egress_folders: Path) -> None:
        """Nothing is asked of the daemon yet: it may be away. The folders are those of EgressFolders, on its host."""
        self._fleet = fleet
        self._egress_folders = egress_folders
        self._host = docker_host
        self._client: docker.APIClient | None = None
        self._starters = ThreadPoolExecutor(_STARTS_AT_ONCE, "docker-start")
        self._removers = ThreadPoolExecutor(_REMOVALS_AT_ONCE, "docker-remove")
        self._asker = ThreadPoolExecutor(1, "docker-ask")
        self._measurer = ThreadPoolExecutor(1, "docker-measure")

    async def check(self, templates: Mapping[str, SandboxTemplate]) -> Mapping[str, str]:
        """Ask the daemon for its runtimes, processors, seccomp and the templates' images."""
        return await self._call(self._asker, lambda client: self._check(client, templates))

    async def start(
        self, name: str, template_name: str, template: SandboxTemplate, workspace: Workspace | None = None
    ) -> Sandbox:
        """Create, attach, start: in this order nothing that the runner says is missed."""
        try:
            connection = await self._call(self._starters, lambda client: self._start(client, name, template, workspace))
        except BackendError as error:
            raise BackendError(
                f"template {template_name}: {error}", lasting=error.lasting, shortage=error.shortage
            ) from error
        return await Attachment.connected(name, connection)

    def shortage(self) -> str | None:
        """Return None: containers are made, not waited for."""
        return None

    async def remove(self, name: str) -> None:
        """Kill and remove in one request."""
        await self._call(self._removers, lambda client: self._remove(client, name))

    async def left_over(self, known: Collection[str]) -> list[str]:
        """List this fleet's sandboxes by label, running or not."""
        names = await self._call(self._asker, self._names)
        return [name for name in names if name not in known]

    async def ran_out_of_memory(self, name: str) -> bool:
        """Read Docker's own record of it."""
        with contextlib.suppress(BackendError):
            return await self._call(self._asker, lambda client: self._oom_killed(client, name))
        return False

    async def workspace_sizes(self) -> list[WorkspaceSize]:
        """Have the daemon measure its volumes; it does that for one caller at a time."""
        return await self._call(self._measurer, self._patiently(lambda client: volume_sizes(client, self._fleet)))

    async def remove_workspace(self, workspace: Workspace) -> bool:
        """Remove its volume."""
        remove = self._patiently(lambda client: remove_volume(client, self._fleet, workspace))
        return await self._call(self._removers, remove)

    def close(self) -> None:
        """End the threads; calls under way end by their own time limit."""
        for pool in (self._starters, self._removers, self._asker, self._measurer):
            pool.shutdown(wait=False, cancel_futures=True)

    async def _call(self, pool: ThreadPoolExecutor, work: Callable[[docker.APIClient], _Result]) -> _Result:
        return await asyncio.get_running_loop().run_in_executor(pool, self._guarded, work)

    def _patiently(self, work: Callable[[docker.APIClient], _Result]) -> Callable[[docker.APIClient], _Result]:
        """Return the same work by a client of its own, which waits longer."""

        def done(_: docker.APIClient) -> _Result:
            with contextlib.closing(docker.APIClient(self._host, version="auto", timeout=_FOLDERS_SECONDS)) as client:
                return work(client)

        return done

    def _guarded(self, work: Callable[[docker.APIClient], _Result]) -> _Result:
        """Do one thing with the daemon, and put what goes wrong into words."""
        try:
            if self._client is None:
                self._client = docker.APIClient(self._host, version="auto", timeout=_CALL_SECONDS)
            return work(self._client)
        except ImageNotFound as error:
            raise BackendError(f"Docker: {error.explanation or error}", lasting=True) from error
        except APIError as error:
            # A container that was removed (404) or is being removed (409) meanwhile says nothing about the next one.
            lasting, said = error.status_code == 400, str(error.explanation or error)
            # A full disk is no fault of the job that finds it, which waits for space as for a free sandbox.
            raise BackendError(f"Docker: {said}", lasting=lasting, shortage=says_disk_is_full(said)) from error
        except (DockerException, requests.RequestException, OSError) as error:
            raise BackendError(f"the Docker daemon at {self._host} does not answer: {error}") from error

    def _check(self, client: docker.APIClient, templates: Mapping[str, SandboxTemplate]) -> dict[str, str]:
        info: dict[str, Any] = client.info()
        options: list[str] = info.get("SecurityOptions") or []
        if not any("name=seccomp" in option and "unconfined" not in option for option in options):
            raise BackendError(
                "the Docker daemon has no default seccomp profile, without which no sandbox is started; "
                "remove seccomp-profile=unconfined from its configuration"
            )
        problems: dict[str, str] = {}
        for name, template in templates.items():
            runtimes = sorted(info.get("Runtimes") or {})
            if template.runtime not in runtimes:
                problems[name] = (
                    f"runtime {template.runtime!r} is not registered with Docker; registered are {', '.join(runtimes)}"
                )
            elif template.cpus > info["NCPU"]:
                problems[name] = f"cpus is {template.cpus}, and this host has {info['NCPU']}"
            else:
                try:
                    client.inspect_image(template.image)
                except (ImageNotFound, NotFound):
                    problems[name] = f"image {template.image} is not on this host; build, load or pull it first"
        return problems

    def _names(self, client: docker.APIClient) -> list[str]:
        labels = [f"{LABEL_FLEET}={self._fleet}", f"{LABEL_ROLE}={ROLE}"]
        found: list[dict[str, Any]] = client.containers(all=True, filters={"label": labels})
        return [str((container["Names"] or [container["Id"]])[0]).removeprefix("/") for container in found]

    def _oom_killed(self, client: docker.APIClient, name: str) -> bool:
        state: dict[str, Any] = client.inspect_container(name)["State"]
        return bool(state.get("OOMKilled"))

    def _start(
        self, client: docker.APIClient, name: str, template: SandboxTemplate, workspace: Workspace | None
    ) -> socket.socket:
        volume = None if workspace is None else ensure_volume(client, self._fleet, workspace)
        config = container_config(client, self._fleet, name, template, self._egress_folders, volume)
        created = client.create_container(**config)
        attached = client.attach_socket(created["Id"], params={"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1})
        # The response closes its connection when it is collected; the copy is ours alone.
        connection = socket.socket(fileno=_duplicate(attached))
        try:
            client.start(created["Id"])
        except BaseException:
            connection.close()
            raise
        return connection

    def _remove(self, client: docker.APIClient, name: str) -> None:
        try:
            client.remove_container(name, force=True, v=True)
        except NotFound:
            return
        except APIError as error:
            # Another removal is under way; it is gone when that is.
            if error.status_code != 409:
                raise


def _duplicate(attached: Any) -> int:
    """Return a second descriptor for a hijacked connection."""
    with attached:
        return os.dup(attached.fileno())
