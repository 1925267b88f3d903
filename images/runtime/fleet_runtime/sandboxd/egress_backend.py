"""Sandboxes with a way to the proxy: any backend, with a folder and a socket made before each and gone after it."""

import errno
from collections.abc import Collection, Mapping

from fleet_runtime.sandboxd.backend import Backend, BackendError, Sandbox
from fleet_runtime.sandboxd.config import SandboxdSettings, SandboxTemplate
from fleet_runtime.sandboxd.egress_folders import EgressFolders
from fleet_runtime.sandboxd.egress_link import EgressLink
from fleet_runtime.sandboxd.workspace import Workspace


def with_egress(settings: SandboxdSettings, backend: Backend) -> tuple[Backend, EgressLink | None]:
    """Return the backend as the templates need it, and the link to the proxy where one of them has egress."""
    if settings.egress_socket is None or not any(each.egress for each in settings.sandbox_templates.values()):
        return backend, None
    link = EgressLink(settings.egress_socket, settings.egress_proxy_uid, settings.egress_socket_gid)
    return EgressBackend(backend, EgressFolders(settings.egress_folder), link), link


class EgressBackend:
    """A backend around another, which mounts the folder by the sandbox's name where its template has egress."""

    def __init__(self, inner: Backend, folders: EgressFolders, link: EgressLink) -> None:
        """Take what it is made of."""
        self._inner = inner
        self._folders = folders
        self._link = link
        self.shared = inner.shared

    async def check(self, templates: Mapping[str, SandboxTemplate]) -> Mapping[str, str]:
        """Ask the backend. That the proxy is away keeps no sandbox from being made, only jobs from starting."""
        return await self._inner.check(templates)

    async def start(
        self, name: str, template_name: str, template: SandboxTemplate, workspace: Workspace | None = None
    ) -> Sandbox:
        """Make the folder and its socket, then the sandbox; raises BackendError."""
        if template.egress:
            try:
                self._link.add(name, template_name, self._folders.make(name))
            except OSError as error:
                said = f"template {template_name}: no socket for its egress: {error}"
                raise BackendError(said, shortage=error.errno == errno.ENOSPC) from error
        return await self._inner.start(name, template_name, template, workspace)

    def shortage(self) -> str | None:
        """Ask the backend."""
        return self._inner.shortage()

    async def remove(self, name: str) -> None:
        """End its connections, then destroy it, then remove its folder; raises BackendError."""
        self._link.discard(name)
        await self._inner.remove(name)
        self._folders.remove(name)

    async def left_over(self, known: Collection[str]) -> list[str]:
        """Ask the backend, and remove the folders that belong to neither."""
        found = await self._inner.left_over(known)
        # Some may have been begun while the backend was answering.
        self._folders.sweep({*known, *found, *self._link.sandboxes})
        return found

    async def ran_out_of_memory(self, name: str) -> bool:
        """Ask the backend."""
        return await self._inner.ran_out_of_memory(name)

    def close(self) -> None:
        """Give up the backend's connections and threads."""
        self._inner.close()
