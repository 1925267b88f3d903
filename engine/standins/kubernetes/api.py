"""Requests to one Kubernetes API server."""

import json
import os
import ssl
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlencode

import urllib3

from engine.standins.kubernetes.credentials import Credentials
from engine.standins.kubernetes.kinds import Kind, built_in
from engine.standins.kubernetes.kubeconfig import Endpoint, KubeconfigError

_CONNECT_SECONDS = 5.0
_READ_SECONDS = 75.0  # above the API server's own limit of 60 s for one request
_OUTAGE_SECONDS = 30.0
"""How long a server that has answered before may be away: one that restarts is back in less."""
_PAUSES = (0.2, 0.5, 1.0, 2.0)
APPLY = "application/apply-patch+yaml"
JSON_PATCH = "application/json-patch+json"


class UnreachableError(Exception):
    """No API server answers there; the message says what was tried."""


class ApiError(Exception):
    """The API server refused; `reason` and `causes` are those of its Status object."""

    def __init__(self, code: int, status: Mapping[str, Any], text: str) -> None:
        """`status` is the Status object, empty when the answer held none."""
        self.code = code
        self.reason = str(status.get("reason") or "")
        self.message = str(status.get("message") or text.strip()[:500] or f"HTTP {code}")
        self.details: Mapping[str, Any] = status.get("details") or {}
        super().__init__(self.message)

    @property
    def causes(self) -> list[Mapping[str, Any]]:
        """What is wrong with which field."""
        return list(self.details.get("causes") or [])

    @property
    def missing_namespace(self) -> bool:
        """Whether it is the namespace that is not there."""
        return self.code == 404 and self.details.get("kind") == "namespaces"


class ApiServer:
    """A connection pool to one API server; safe to use from many threads."""

    def __init__(self, endpoint: Endpoint, cancelled: Callable[[], bool] = lambda: False) -> None:
        """Nothing is sent before the first request."""
        self.endpoint = endpoint
        self._cancelled = cancelled
        self._credentials = Credentials(endpoint)
        self._lock = threading.Lock()
        self._manager: urllib3.PoolManager | None = None
        self._manager_certificate = ("", "")
        self._answered = False
        self._down = ""
        self._kinds: dict[tuple[str, str], Kind] = {}

    def get(self, path: str, query: Mapping[str, str] | None = None, accept: str = "application/json") -> Any:
        """An object; None when there is none."""
        try:
            return self.send("GET", path, query=query, accept=accept)[1]
        except ApiError as error:
            if error.code == 404:
                return None
            raise

    def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        query: Mapping[str, str] | None = None,
        content: str = "application/json",
        accept: str = "application/json",
        warned: Callable[[str], None] | None = None,
    ) -> tuple[int, Any]:
        """One request: the status and the parsed answer. Raises ApiError and UnreachableError.

        Every request made here can be repeated (GET, DELETE, apply), so what fails for a moment is tried again while
        a server that has answered before is away.
        """
        target = f"{self.endpoint.server}{path}{f'?{urlencode(query)}' if query else ''}"
        data = None if body is None else json.dumps(body).encode()
        deadline, attempt, renewed = time.monotonic() + _OUTAGE_SECONDS, 0, False
        while True:
            try:
                code, answer = self._once(method, target, data, content, accept, warned)
            except (urllib3.exceptions.HTTPError, OSError) as error:
                if not self._answered or time.monotonic() >= deadline or self._cancelled():
                    raise UnreachableError(self._explain(error)) from None
                wait = _PAUSES[min(attempt, len(_PAUSES) - 1)]
            else:
                if code < 400:
                    return code, answer
                failure = _failure(code, answer)
                if code == 401 and not renewed:
                    self._credentials.forget()
                    renewed, wait = True, 0.0
                elif _passing(failure) and time.monotonic() < deadline and not self._cancelled():
                    seconds = float(failure.details.get("retryAfterSeconds") or 0)
                    wait = max(min(seconds, 5.0), _PAUSES[min(attempt, len(_PAUSES) - 1)])
                else:
                    raise failure
            attempt += 1
            threading.Event().wait(wait)

    def reachable(self) -> bool:
        """Whether the server answers; asked once, then remembered."""
        return not self.why_unreachable()

    def why_unreachable(self) -> str:
        """Empty when the server answers, else the reason; asked once, then remembered."""
        with self._lock:
            if self._answered or self._down:
                return self._down
        try:
            self.send("GET", "/version")
        except (UnreachableError, KubeconfigError) as error:
            self._down = str(error)
        except ApiError as error:
            if error.code == 401:
                self._down = f"{self.endpoint.server} does not accept the kubeconfig's credentials: {error.message}"
        return self._down

    def kind(self, api_version: str, name: str) -> Kind | None:
        """What the server says of a kind; None when it has none of this name."""
        known = built_in(api_version, name) or self._kinds.get((api_version, name))
        if known is not None:
            return known
        root = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
        listed = self.get(root) or {}
        for item in cast(list[dict[str, Any]], listed.get("resources") or []):
            if "/" not in item["name"]:
                found = Kind(api_version, item["kind"], item["name"], bool(item["namespaced"]))
                self._kinds[api_version, item["kind"]] = found
        return self._kinds.get((api_version, name))

    def _once(
        self,
        method: str,
        target: str,
        data: bytes | None,
        content: str,
        accept: str,
        warned: Callable[[str], None] | None,
    ) -> tuple[int, Any]:
        headers = urllib3.HTTPHeaderDict(
            [("Accept", accept), ("User-Agent", "agent-fleet"), *self._credentials.headers()]
        )
        if data is not None:
            headers.add("Content-Type", content)
        response = self._pool().request(method, target, body=data, headers=headers, retries=False, redirect=False)
        self._answered = True
        if warned is not None:
            for text in response.headers.getlist("Warning"):
                warned(_warning(text))
        raw = response.data
        try:
            return response.status, json.loads(raw) if raw else None
        except ValueError:
            return response.status, raw.decode(errors="replace")

    def _pool(self) -> urllib3.PoolManager:
        certificate = self._credentials.certificate()
        with self._lock:
            if self._manager is None or certificate != self._manager_certificate:
                self._manager_certificate = certificate
                self._manager = _manager(self.endpoint, certificate)
            return self._manager

    def _explain(self, error: Exception) -> str:
        inner = error
        while isinstance(inner, urllib3.exceptions.MaxRetryError) and inner.reason is not None:
            inner = inner.reason
        text = str(inner).partition(": ")[2] if isinstance(inner, urllib3.exceptions.NewConnectionError) else str(inner)
        return f"{self.endpoint.server} does not answer: {text or type(inner).__name__}"


def _manager(endpoint: Endpoint, certificate: tuple[str, str]) -> urllib3.PoolManager:
    context: ssl.SSLContext | None = None
    if endpoint.server.startswith("https:"):
        try:
            context = ssl.create_default_context(cadata=endpoint.authority or None)
            if endpoint.insecure:
                context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            if all(certificate):
                _load(context, certificate)
        except ssl.SSLError as error:
            raise KubeconfigError(f"its certificates or keys cannot be used: {error.reason}") from None
    if endpoint.insecure:
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    options: dict[str, Any] = {
        "num_pools": 2,
        "maxsize": 64,
        "timeout": urllib3.Timeout(connect=_CONNECT_SECONDS, read=_READ_SECONDS),
        "ssl_context": context,
    }
    if endpoint.insecure:
        options["cert_reqs"] = "CERT_NONE"
    if endpoint.server_name:
        options |= {"server_hostname": endpoint.server_name, "assert_hostname": endpoint.server_name}
    proxy = endpoint.proxy or _proxy(endpoint.server)
    return urllib3.ProxyManager(proxy, **options) if proxy else urllib3.PoolManager(**options)


def _proxy(server: str) -> str:
    """The environment's proxy for this server, as Go's and Python's programs choose it."""
    from urllib.request import getproxies, proxy_bypass

    scheme, _, rest = server.partition("://")
    return "" if proxy_bypass(rest.partition("/")[0]) else getproxies().get(scheme, "")


def _load(context: ssl.SSLContext, certificate: tuple[str, str]) -> None:
    """Give the context its certificate; ssl takes files only, and a key must not stay on a disk."""
    content = "\n".join(certificate).encode()
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("certificate", os.MFD_CLOEXEC)
        try:
            os.write(descriptor, content)
            context.load_cert_chain(f"/proc/self/fd/{descriptor}")
        finally:
            os.close(descriptor)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "certificate"
        path.touch(mode=0o600)
        path.write_bytes(content)
        context.load_cert_chain(path)


def _failure(code: int, answer: Any) -> ApiError:
    status: dict[str, Any] = cast(dict[str, Any], answer) if isinstance(answer, dict) else {}
    return ApiError(code, status, "" if status else str(answer or ""))


def _passing(error: ApiError) -> bool:
    """Whether the same request may succeed in a moment."""
    if error.code in (429, 503, 504) or error.reason == "ServerTimeout":
        return True
    return error.code == 500 and ("etcdserver" in error.message or "failed calling webhook" in error.message)


def _warning(text: str) -> str:
    """The text of a Warning header (`299 - "text"`)."""
    _, _, quoted = text.partition('"')
    return quoted.removesuffix('"').replace('\\"', '"') if quoted else text
