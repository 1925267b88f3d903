"""The few requests to a Kubernetes API server that sandboxes in pods need, in one namespace."""

import asyncio
import json
import ssl
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake, InvalidStatus
from websockets.typing import Subprotocol

from fleet_runtime.sandboxd.backend import BackendError
from fleet_runtime.sandboxd.kubernetes_config import KubernetesSettings

CONTAINER = "sandbox"
"""The container of a sandbox pod that runs the job."""

_CALL_SECONDS = 10.0
_CONNECT_SECONDS = 5.0
_WATCH_SECONDS = 240
_SILENCE_SECONDS = 90.0
"""A watch hears a bookmark about every minute; one that hears nothing for longer is taken for broken."""
_PAUSES_SECONDS = (0.1, 0.5, 1.0)
_LATER = {429, 500, 502, 503, 504}
_SUBPROTOCOLS = [Subprotocol("v5.channel.k8s.io"), Subprotocol("v4.channel.k8s.io")]
_PING_SECONDS = 20.0

Object = dict[str, Any]


class RequestError(BackendError):
    """The API server refused a request; `status` is HTTP's: 404 gone, 409 somebody was first, 410 too old a version."""

    def __init__(self, status: int, message: str) -> None:
        """Keep the status and the server's own words."""
        super().__init__(f"the Kubernetes API server answered {status}: {message}")
        self.status = status


class KubernetesApi:
    """Talks to one API server with the token and the authority of a folder, both read again when they change."""

    def __init__(self, settings: KubernetesSettings) -> None:
        """Nothing is asked yet: the server, and the folder's files, may come later."""
        host = settings.kubernetes_service_host
        self.address = f"{f'[{host}]' if ':' in host else host}:{settings.kubernetes_service_port}"
        self._folder: Path = settings.kubernetes_credentials
        self._pods = f"/api/v1/namespaces/{settings.sandbox_namespace}/pods"
        self._selector = settings.sandbox_selector
        self._http: httpx.AsyncClient | None = None
        self._context: ssl.SSLContext | None = None
        self._authority_changed = 0.0
        self._closing: set[asyncio.Task[None]] = set()

    async def list_pods(self) -> tuple[list[Object], str]:
        """Return the pool's pods and the version from which to watch; raises BackendError."""
        return await self.list_objects(self._pods)

    def watch_pods(self, version: str) -> AsyncGenerator[tuple[str, Object]]:
        """Yield (ADDED, MODIFIED, DELETED or BOOKMARK; the object) until the server ends it; raises BackendError."""
        return self.watch_objects(self._pods, version)

    async def list_objects(self, path: str) -> tuple[list[Object], str]:
        """Return the objects of a collection that have the pool's labels, and the version from which to watch."""
        answer = await self.request("GET", path, params={"labelSelector": self._selector})
        return answer["items"], str(answer["metadata"]["resourceVersion"])

    async def watch_objects(self, path: str, version: str) -> AsyncGenerator[tuple[str, Object]]:
        """Yield what happens to the objects of a collection that have the pool's labels, as `watch_pods` does."""
        parameters = {
            "labelSelector": self._selector,
            "watch": "1",
            "allowWatchBookmarks": "1",
            "resourceVersion": version,
            "timeoutSeconds": str(_WATCH_SECONDS),
        }
        timeout = httpx.Timeout(_CALL_SECONDS, connect=_CONNECT_SECONDS, read=_SILENCE_SECONDS)
        try:
            async with self._client().stream(
                "GET", path, params=parameters, headers=self._authorization(), timeout=timeout
            ) as answer:
                if answer.status_code != 200:
                    raise _refused(answer.status_code, await answer.aread())
                async for line in answer.aiter_lines():
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        raise RequestError(int(event["object"].get("code", 500)), str(event["object"].get("message")))
                    yield event["type"], event["object"]
        except (httpx.HTTPError, OSError, ValueError, KeyError) as error:
            raise self._away(error) from error

    async def get_pod(self, name: str) -> Object:
        """Return a pod; raises RequestError (404) or BackendError."""
        return await self.request("GET", f"{self._pods}/{name}")

    async def patch_pod(self, name: str, patch: Mapping[str, Any]) -> Object:
        """Merge into a pod and return it; with a resourceVersion in the patch 409 means that it has changed since."""
        return await self.request(
            "PATCH",
            f"{self._pods}/{name}",
            content=json.dumps(patch).encode(),
            headers={"Content-Type": "application/merge-patch+json"},
        )

    async def delete_pod(self, name: str, uid: str | None) -> None:
        """Delete a pod at once, if it still is the one with this uid; one that is gone is as good as deleted."""
        options: Object = {"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0}
        if uid is not None:
            options["preconditions"] = {"uid": uid}
        headers = {"Content-Type": "application/json"}
        try:
            await self.request("DELETE", f"{self._pods}/{name}", content=json.dumps(options).encode(), headers=headers)
        except RequestError as error:
            if error.status not in (404, 409):
                raise

    async def attach(self, name: str) -> ClientConnection:
        """Return a connection to the standard streams of a pod's container; raises BackendError."""
        parameters = f"container={CONTAINER}&stdin=true&stdout=true&stderr=true"
        try:
            return await connect(
                f"wss://{self.address}{self._pods}/{name}/attach?{parameters}",
                ssl=self._tls(),
                additional_headers=self._authorization(),
                subprotocols=_SUBPROTOCOLS,
                compression=None,
                proxy=None,
                user_agent_header=None,
                open_timeout=_CALL_SECONDS,
                ping_interval=_PING_SECONDS,
                ping_timeout=_PING_SECONDS,
                close_timeout=1,
                max_size=None,
                # Frames of 32 KiB; what is not taken stays with the sender.
                max_queue=16,
            )
        except InvalidStatus as error:
            raise _refused(error.response.status_code, bytes(error.response.body or b"")) from error
        except (OSError, InvalidHandshake, TimeoutError) as error:
            raise self._away(error) from error

    def close(self) -> None:
        """Give up the connections."""
        if self._http is not None:
            self._retire(self._http)
            self._http = None

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Object:
        """Make a request, and again where that can help: it must be one that may be repeated without harm.

        Raises RequestError where the server refuses it, BackendError where it does not answer.
        """
        for pause in (*_PAUSES_SECONDS, None):
            try:
                answer = await self._client().request(
                    method, path, params=params, content=content, headers={**self._authorization(), **(headers or {})}
                )
            except (httpx.HTTPError, OSError) as error:
                if pause is None:
                    raise self._away(error) from error
            else:
                if answer.is_success:
                    return answer.json()
                # A token is refused in the moment in which it is replaced.
                if pause is None or answer.status_code not in (*_LATER, 401):
                    raise _refused(answer.status_code, answer.content)
            await asyncio.sleep(pause)
        raise AssertionError("unreachable")

    def _client(self) -> httpx.AsyncClient:
        context = self._tls()
        if self._http is None:
            self._http = httpx.AsyncClient(
                base_url=f"https://{self.address}",
                verify=context,
                trust_env=False,
                timeout=httpx.Timeout(_CALL_SECONDS, connect=_CONNECT_SECONDS),
                limits=httpx.Limits(max_connections=32, max_keepalive_connections=8, keepalive_expiry=30),
            )
        return self._http

    def _tls(self) -> ssl.SSLContext:
        """Return the context that trusts the cluster's authority alone."""
        path = self._folder / "ca.crt"
        try:
            changed = path.stat().st_mtime
            if self._context is None or changed != self._authority_changed:
                self._context = ssl.create_default_context(cafile=str(path))
                self._authority_changed = changed
                self.close()
        except (OSError, ssl.SSLError) as error:
            raise BackendError(f"the cluster's authority cannot be read from {path}: {error}") from error
        return self._context

    def _authorization(self) -> dict[str, str]:
        path = self._folder / "token"
        try:
            return {"Authorization": f"Bearer {path.read_text().strip()}"}
        except OSError as error:
            raise BackendError(f"the service account's token cannot be read from {path}: {error.strerror}") from error

    def _retire(self, client: httpx.AsyncClient) -> None:
        task = asyncio.get_running_loop().create_task(client.aclose())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def _away(self, error: BaseException) -> BackendError:
        reason = str(error) or type(error).__name__
        return BackendError(f"the Kubernetes API server at {self.address} does not answer: {reason}")


def _refused(status: int, body: bytes) -> RequestError:
    try:
        message = str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        message = body[:200].decode(errors="replace") or "no reason given"
    return RequestError(status, message)
