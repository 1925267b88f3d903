"""Sandboxes as single-use containers made by an OCI runtime itself, with no daemon between."""

import asyncio
import contextlib
import json
import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from fleet_runtime.sandboxd.backend import BackendError, Sandbox, says_disk_is_full
from fleet_runtime.sandboxd.config import OciSettings, SandboxTemplate
from fleet_runtime.sandboxd.oci_archive import ImageError
from fleet_runtime.sandboxd.oci_attachment import SocketAttachment
from fleet_runtime.sandboxd.oci_cgroups import ControlGroups
from fleet_runtime.sandboxd.oci_config import UIDS_EACH, Program, bundle_config
from fleet_runtime.sandboxd.oci_host import host_problem, oom_score
from fleet_runtime.sandboxd.oci_images import Images
from fleet_runtime.sandboxd.oci_runtime import Process, Runtime, program_of
from fleet_runtime.sandboxd.oci_workspaces import WorkspaceFolders
from fleet_runtime.sandboxd.workspace import Workspace
from fleet_runtime.sandboxd.workspace_desk import WorkspaceSize

_Answer = TypeVar("_Answer")

_REMOVALS_AT_ONCE = 2
_DEATH_SECONDS = 5.0
_GVISOR = "runsc"
"""It puts itself into a user namespace, and has processes beside the first one."""


class OciBackend:
    """Makes containers of one fleet below one folder and one path of control groups. Belongs to one event loop."""

    shared = False

    def __init__(self, fleet: str, settings: OciSettings, egress_folders: Path) -> None:
        """Nothing is made yet. The folders are those of EgressFolders."""
        self._settings = settings
        self._egress_folders = egress_folders
        self._images = Images(settings.state / "images")
        self._folder = settings.state / "fleets" / fleet
        self._bundles = self._folder / "bundles"
        self._runtime_state = self._folder / "runtime"
        self._workspaces = WorkspaceFolders(self._folder / "workspaces", settings.first_uid)
        self._groups = ControlGroups(f"/agent-fleet/{fleet}")
        self._programs: dict[str, Program] = {}
        self._held = contextlib.ExitStack()
        self._runtimes: dict[str, Runtime] = {}
        self._first_processes: dict[str, Process] = {}
        self._slots: dict[str, int] = {}
        self._made: dict[str, str] = {}
        self._threads = ThreadPoolExecutor(_REMOVALS_AT_ONCE, "oci-remove")

    async def check(self, templates: Mapping[str, SandboxTemplate]) -> Mapping[str, str]:
        """Look at this host, its control groups, the runtimes and the unpacked images."""
        problem = host_problem(self._settings, self._groups.controllers)
        if problem is not None:
            raise BackendError(problem)
        problems: dict[str, str] = {}
        processors = os.cpu_count() or 1
        for name, template in templates.items():
            try:
                program_of(template.runtime, self._settings.runtimes)
                self._program(template.image)
            except (BackendError, ImageError) as error:
                problems[name] = str(error)
                continue
            if template.cpus > processors:
                problems[name] = f"cpus is {template.cpus}, and this host has {processors}"
        return problems

    async def start(
        self, name: str, template_name: str, template: SandboxTemplate, workspace: Workspace | None = None
    ) -> Sandbox:
        """Write the bundle and have it run on a socket of ours: what the runner says waits there to be read."""
        try:
            program = self._program(template.image)
            runtime = self._runtime(template.runtime)
            bundle = self._write_bundle(name, template, program, workspace)
            ours, theirs = socket.socketpair()
            reading, writing = os.pipe()
            try:
                first = await runtime.run(name, bundle, theirs, writing)
                self._first_processes[name] = Process(first)
            except BaseException as error:
                said = _said(reading)
                ours.close()
                os.close(reading)
                if isinstance(error, BackendError) and said:
                    raise BackendError(f"{error}: {said}") from error
                raise
            finally:
                theirs.close()
                os.close(writing)
        except (BackendError, ImageError, OSError) as error:
            # A full disk is no fault of the job that finds it, which waits for space as for a free sandbox.
            full = says_disk_is_full(str(error))
            lasting = isinstance(error, ImageError)
            raise BackendError(f"template {template_name}: {error}", lasting=lasting, shortage=full) from error
        return await SocketAttachment.opened(name, ours, reading)

    def shortage(self) -> str | None:
        """Return None: containers are made, not waited for."""
        return None

    async def remove(self, name: str) -> None:
        """Kill its first process, with which the kernel kills all others, and clear away what is left.

        What runc would still do after that is what `_clear` does, and starting it takes longer than all the rest. It is
        left to the runtime where anything else than that is known of a sandbox.
        """
        first = self._first_processes.pop(name, None)
        runtime = self._made.get(name)
        if first is None or not await _killed(first) or runtime == _GVISOR:
            await self._made_by(name).delete(name)
        try:
            await asyncio.get_running_loop().run_in_executor(self._threads, self._clear, name)
        except OSError as error:
            raise BackendError(f"what is left of {name} cannot be removed: {error}") from error
        self._slots.pop(name, None)
        self._made.pop(name, None)

    async def left_over(self, known: Collection[str]) -> list[str]:
        """List what has a bundle, a control group, or is known to the runtime."""
        names = self._groups.names()
        for folder in (self._bundles, self._runtime_state):
            with contextlib.suppress(FileNotFoundError):
                names |= {entry.name for entry in os.scandir(folder)}
        return sorted(name for name in names if name not in known)

    async def ran_out_of_memory(self, name: str) -> bool:
        """Read the kernel's record of it, which stays until the sandbox is removed."""
        return self._groups.ran_out_of_memory(name)

    async def workspace_sizes(self) -> list[WorkspaceSize]:
        """Measure their folders."""
        return await self._with_folders(self._workspaces.sizes)

    async def remove_workspace(self, workspace: Workspace) -> bool:
        """Remove its folder."""
        return await self._with_folders(lambda: self._workspaces.remove(workspace))

    async def _with_folders(self, work: Callable[[], _Answer]) -> _Answer:
        try:
            return await asyncio.to_thread(work)
        except (OSError, subprocess.SubprocessError) as error:
            raise BackendError(f"the folders of workspaces: {error}") from error

    def close(self) -> None:
        """Let go of images and processes, and leave no empty folder behind."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for process in self._first_processes.values():
            process.close()
        self._first_processes.clear()
        self._held.close()
        for folder in (self._bundles, self._runtime_state, self._folder):
            with contextlib.suppress(OSError):
                folder.rmdir()
        self._groups.leave()

    def _program(self, image: str) -> Program:
        """Return what an image runs, and hold it from then on."""
        program = self._programs.get(image)
        if program is None or not program.rootfs.exists():
            program = self._images.find(image)
            self._held.enter_context(self._images.use(program))
            self._programs[image] = program
        return program

    def _runtime(self, name: str) -> Runtime:
        if name not in self._runtimes:
            self._runtimes[name] = Runtime(program_of(name, self._settings.runtimes), self._runtime_state)
        return self._runtimes[name]

    def _made_by(self, name: str) -> Runtime:
        """Return the runtime that a bundle was made for: an earlier sandboxd may have used another."""
        made_for = ""
        with contextlib.suppress(OSError):
            made_for = (self._bundles / name / "runtime").read_text()
        # Nothing was written where the disk was full; then nothing was started either.
        return self._runtime(made_for or next(iter(self._runtimes), "runc"))

    def _write_bundle(
        self, name: str, template: SandboxTemplate, program: Program, workspace: Workspace | None
    ) -> Path:
        self._runtime_state.mkdir(parents=True, exist_ok=True)
        bundle = self._bundles / name
        bundle.mkdir(mode=0o700, parents=True)
        if workspace is None:
            first_uid, folder = self._first_uid(name, template), None
        else:
            shares_users = not self._settings.user_namespaces or template.runtime == _GVISOR
            first_uid, folder = self._workspaces.open(workspace, set(self._slots.values()), shares_users=shares_users)
        config = bundle_config(
            template,
            program,
            cgroup=self._groups.path(name),
            first_uid=first_uid,
            workspace_folder=folder,
            oom_score=oom_score(),
            egress_folder=self._egress_folders / name,
        )
        self._made[name] = template.runtime
        (bundle / "runtime").write_text(template.runtime)
        (bundle / "config.json").write_text(json.dumps(config))
        return bundle

    def _first_uid(self, name: str, template: SandboxTemplate) -> int | None:
        """Give a sandbox a range of user IDs that no other has while it lives."""
        if not self._settings.user_namespaces or template.runtime == _GVISOR:
            return None
        taken = set(self._slots.values())
        slot = self._slots[name] = next(number for number in range(len(taken) + 1) if number not in taken)
        return self._settings.first_uid + slot * UIDS_EACH

    def _clear(self, name: str) -> None:
        self._groups.destroy(name)
        for folder in (self._runtime_state / name, self._bundles / name):
            with contextlib.suppress(FileNotFoundError):
                shutil.rmtree(folder)


async def _killed(first: Process) -> bool:
    """End a sandbox by its first process, and say whether it is gone."""
    first.kill()
    with first, contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_DEATH_SECONDS):
            await first.wait()
            return True
    return False


def _said(reading: int) -> str:
    os.set_blocking(reading, False)
    with contextlib.suppress(BlockingIOError):
        return os.read(reading, 2048).decode(errors="replace").strip()
    return ""
