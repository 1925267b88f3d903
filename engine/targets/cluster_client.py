"""A cluster's API server, asked plainly: kr8s brings the credentials, this module its paths and its errors."""

import contextlib
import os
import tempfile
import time
import warnings
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.from_thread
import httpx
import kr8s
import kr8s.asyncio
from kr8s.asyncio.objects import Pod
from kr8s.asyncio.portforward import PortForward

from engine.errors import UserFacingError
from engine.targets.kubeconfig import Kubeconfig

_CONNECT_SECONDS = 10.0
_ANSWER_SECONDS = 30.0
_AT_ONCE = 16


class ApiError(Exception):
    """The API server refused. `status` is the HTTP status, `message` its own words."""

    def __init__(self, status: int, message: str) -> None:
        """Keep both."""
        super().__init__(message)
        self.status = status
        self.message = message


class ClusterClient:
    """Requests to one cluster. Made by `connect`; `close` ends it."""

    def __init__(self, config: Kubeconfig) -> None:
        """Nothing is asked yet."""
        self.config = config
        self._stack = contextlib.ExitStack()
        self._portal = self._stack.enter_context(anyio.from_thread.start_blocking_portal())
        self._api: Any = None

    @property
    def server(self) -> str:
        """The API server's address."""
        return str(self._api.auth.server)

    def connect(self) -> None:
        """Reach the API server; raises UserFacingError with what is wrong and what to do."""
        try:
            self._portal.call(self._connect)
        except UserFacingError:
            self.close()
            raise

    async def _connect(self) -> None:
        where = f"{self.config.path} ({self.config.source})"
        remedy = "Start it (`make cluster` starts the one on this machine) and run the command again."
        try:
            with anyio.fail_after(_CONNECT_SECONDS), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # kr8s's list of versions ends before ours
                self._api = await kr8s.asyncio.api(
                    kubeconfig=str(self.config.path), context=self.config.context, serviceaccount=""
                )
        except kr8s.ServerError as error:
            status = error.response.status_code if error.response is not None else 0
            if status not in (401, 403):
                raise UserFacingError(f"The cluster of {where} does not work: {error}", remedy) from error
            raise UserFacingError(
                f"The cluster of {where} refuses these credentials ({status}): {error}",
                "Get new ones from whoever runs the cluster, or log in again where it uses a log-in.",
            ) from error
        except (TimeoutError, httpx.TransportError, kr8s.APITimeoutError) as error:
            raise UserFacingError(
                f"The cluster of {where} does not answer: {error or f'nothing within {_CONNECT_SECONDS:.0f} s'}.",
                remedy,
            ) from error
        except (ValueError, KeyError, RuntimeError, OSError) as error:
            raise UserFacingError(
                f"{where} gives no way to a cluster: {error}", "Correct it; `kubectl config view` shows what it holds."
            ) from error
        finally:
            self._remove_copies()

    def _remove_copies(self) -> None:
        """kr8s leaves the kubeconfig's keys behind in temporary files, which it no longer needs once connected."""
        auth = getattr(self._api, "auth", None)
        for name in ("client_key_file", "client_cert_file", "server_ca_file"):
            path = str(getattr(auth, name, None) or "")
            if path.startswith(f"{tempfile.gettempdir()}{os.sep}tmp") and Path(path) != self.config.path:
                Path(path).unlink(missing_ok=True)

    def close(self) -> None:
        """End all that is open."""
        self._remove_copies()
        self._stack.close()

    def get(self, path: str, **parameters: str) -> dict[str, Any]:
        """What is at a path such as `/api/v1/namespaces`; raises ApiError, or UserFacingError without any answer."""
        return self._call("GET", path, parameters)

    def get_all(self, paths: Iterable[str], **parameters: str) -> dict[str, dict[str, Any]]:
        """Several at once, by path; what is not there or not allowed is left out."""
        answers: dict[str, dict[str, Any]] = {}

        async def one(path: str, limit: anyio.CapacityLimiter) -> None:
            async with limit:
                try:
                    answers[path] = await self._request("GET", path, parameters, {})
                except ApiError as error:
                    if error.status not in (401, 403, 404, 405, 503):
                        raise

        async def every() -> None:
            limit = anyio.CapacityLimiter(_AT_ONCE)
            async with anyio.create_task_group() as group:
                for path in paths:
                    group.start_soon(one, path, limit)

        try:
            self._portal.call(every)
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from errors
        return answers

    def delete(self, path: str, *, wait: bool = False) -> bool:
        """Delete the object and all that it owns; False where it is gone already.

        With `wait` the object itself stays until what it owns is gone.
        """
        try:
            self._call("DELETE", path, {"propagationPolicy": "Foreground" if wait else "Background"})
        except ApiError as error:
            if error.status == 404:
                return False
            raise
        return True

    def discover(self) -> list[dict[str, Any]]:
        """Every group with its versions and resources, as aggregated discovery has them (Kubernetes 1.30 and newer)."""
        accept = {"Accept": "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"}
        return [item for path in ("/api", "/apis") for item in self._call("GET", path, {}, accept)["items"]]

    def _call(
        self, method: str, path: str, parameters: dict[str, str], headers: dict[str, str] | None = None
    ) -> dict[str, Any]:
        return self._portal.call(self._request, method, path, parameters, headers or {})

    async def _request(
        self, method: str, path: str, parameters: dict[str, str], headers: dict[str, str]
    ) -> dict[str, Any]:
        try:
            status, answer = await self._ask(method, path, parameters, headers, renew=False)
            if status == 401:
                # Tokens of a cloud live for minutes.
                status, answer = await self._ask(method, path, parameters, headers, renew=True)
        except kr8s.ServerError as error:
            raise ApiError(error.response.status_code if error.response is not None else 0, str(error)) from error
        except (httpx.TransportError, kr8s.APITimeoutError) as error:
            raise self._gone(error) from error
        if status >= 400:
            raise ApiError(status, str(answer.get("message") or answer))
        return answer

    async def _ask(
        self, method: str, path: str, parameters: dict[str, str], headers: dict[str, str], *, renew: bool
    ) -> tuple[int, dict[str, Any]]:
        folder, _, name = path.rpartition("/")
        # kr8s would answer every refusal with new credentials and a new session, under requests that still run.
        async with self._api.call_api(
            method,
            version="",
            base=f"{self.server}{folder}",
            url=name,
            raise_for_status=renew,
            params=parameters,
            headers=headers,
            timeout=_ANSWER_SECONDS,
        ) as response:
            try:
                answer = response.json()
            except ValueError:
                answer = {"message": response.text[:200]}
            return response.status_code, answer

    def _gone(self, error: Exception) -> UserFacingError:
        return UserFacingError(
            f"The cluster's API server at {self.server} no longer answers: {error or type(error).__name__}.",
            "Run the command again when it does; it goes on where it stopped.",
        )

    def lines(self, path: str, **parameters: str) -> Iterator[str]:
        """The lines of a log, as they come; ends with the log, and quietly when the pod goes."""
        folder, _, name = path.rpartition("/")

        async def read() -> AsyncIterator[str]:
            async with self._api.call_api(
                "GET",
                version="",
                base=f"{self.server}{folder}",
                url=name,
                params=parameters,
                stream=True,
                timeout=httpx.Timeout(_ANSWER_SECONDS, read=None),
            ) as response:
                async for line in response.aiter_lines():
                    yield line

        stream = read()

        async def following() -> str:
            return await anext(stream)

        with contextlib.suppress(StopAsyncIteration, kr8s.ServerError, httpx.TransportError):
            while True:
                yield self._portal.call(following)

    @contextmanager
    def forward(self, namespace: str, pod: str, port: int) -> Generator[int]:
        """A port of this machine that leads to a pod's, through the API server."""

        async def made() -> PortForward:
            resource = await Pod({"metadata": {"name": pod, "namespace": namespace}}, api=self._api)
            return PortForward(resource, port, local_port="auto")

        with self._portal.wrap_async_context_manager(self._portal.call(made)) as local:
            yield local


def wait(condition: Callable[[], bool], seconds: float) -> bool:
    """Ask until it holds; False after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.3)
    return True
