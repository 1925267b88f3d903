"""A client of the Docker Engine API, as small as the stand-ins need.

Not the `docker` SDK: it takes 0.2 s to import in every preview, and it cannot express some of what the official
provider sends (masked paths, per-device throttles), while the API itself is plain JSON over a socket.
Reference: https://docs.docker.com/reference/api/engine/version/v1.41/
"""

import http.client
import json
import os
import socket
import ssl
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

DEFAULT_HOST = "unix:///var/run/docker.sock"
_NEWEST_VERSION = (1, 47)


class DockerError(Exception):
    """The daemon refused a request; `status` is its HTTP status, 0 when the daemon was not reached."""

    def __init__(self, status: int, message: str) -> None:
        """Keep the daemon's own words."""
        super().__init__(message)
        self.status = status
        self.message = message


class DockerEngine:
    """One daemon. Every request has a connection of its own, so that threads share nothing."""

    def __init__(self, host: str = "", certificates: str = "") -> None:
        """`host` is unix://PATH or tcp://HOST:PORT (default: $DOCKER_HOST); `certificates` a folder for TLS."""
        self.host = host or os.environ.get("DOCKER_HOST") or DEFAULT_HOST
        self._certificates = certificates or (
            os.environ.get("DOCKER_CERT_PATH", "") if os.environ.get("DOCKER_TLS_VERIFY") else ""
        )
        self._version = ""

    def get(self, path: str, query: Mapping[str, Any] | None = None) -> Any:
        """The JSON answer of a GET."""
        return self.request("GET", path, query=query)

    def post(self, path: str, body: Any = None, query: Mapping[str, Any] | None = None, timeout: float = 60) -> Any:
        """The JSON answer of a POST."""
        return self.request("POST", path, query=query, body=body, timeout=timeout)

    def delete(self, path: str, query: Mapping[str, Any] | None = None, timeout: float = 60) -> Any:
        """The JSON answer of a DELETE."""
        return self.request("DELETE", path, query=query, timeout=timeout)

    def find(self, path: str) -> Any:
        """The JSON answer of a GET, or None when there is no such object."""
        try:
            return self.get(path)
        except DockerError as error:
            if error.status == http.client.NOT_FOUND:
                return None
            raise

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        timeout: float = 60,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """The JSON answer of a request; `body` is sent as JSON, or as a tar archive when it is bytes."""
        content = self.raw(method, path, query=query, body=body, timeout=timeout, headers=headers)
        return json.loads(content) if content.strip() else None

    def raw(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        timeout: float = 60,
        headers: Mapping[str, str] | None = None,
    ) -> bytes:
        """The answer's bytes; raises DockerError for a refusal and for a daemon that cannot be reached."""
        status, content = self._send(method, f"/v{self.version}{path}{_query(query)}", body, timeout, headers or {})
        if status >= http.client.BAD_REQUEST:
            raise DockerError(status, _message(content))
        return content

    def logs(self, container: str, lines: int) -> list[str]:
        """The last `lines` lines that a container wrote, both streams in order."""
        try:
            content = self.raw(
                "GET", f"/containers/{container}/logs", query={"stdout": 1, "stderr": 1, "tail": lines}, timeout=10
            )
        except DockerError:
            return []
        return _demultiplex(content).decode(errors="replace").splitlines()[-lines:]

    @property
    def version(self) -> str:
        """The newest API version that both sides know."""
        if not self._version:
            _, content = self._send("GET", "/version", None, 10, {})
            major, _, minor = str(json.loads(content)["ApiVersion"]).partition(".")
            self._version = ".".join(map(str, min((int(major), int(minor)), _NEWEST_VERSION)))
        return self._version

    def _send(self, method: str, target: str, body: Any, timeout: float, more: Mapping[str, str]) -> tuple[int, bytes]:
        headers: dict[str, str] = {"Host": "docker", **more}
        content: bytes | None = None
        if isinstance(body, bytes):
            content, headers["Content-Type"] = body, "application/x-tar"
        elif body is not None:
            content, headers["Content-Type"] = json.dumps(body).encode(), "application/json"
        connection = self._connection(timeout)
        try:
            connection.request(method, target, content, headers)
            response = connection.getresponse()
            return response.status, response.read()
        except (OSError, http.client.HTTPException) as error:
            raise DockerError(0, self._unreachable(error)) from error
        finally:
            connection.close()

    def _connection(self, timeout: float) -> http.client.HTTPConnection:
        parts = urlsplit(self.host)
        if parts.scheme == "unix":
            return _UnixConnection(parts.path, timeout)
        if parts.scheme == "tcp" and parts.hostname:
            if not self._certificates:
                return http.client.HTTPConnection(parts.hostname, parts.port or 2375, timeout=timeout)
            folder = Path(self._certificates)
            context = ssl.create_default_context(cafile=str(folder / "ca.pem"))
            context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
            return http.client.HTTPSConnection(parts.hostname, parts.port or 2376, timeout=timeout, context=context)
        raise DockerError(
            0, f"The docker stand-in reaches a daemon at unix://PATH or tcp://HOST:PORT only, not at {self.host!r}."
        )

    def _unreachable(self, error: Exception) -> str:
        if isinstance(error, TimeoutError):
            return f"The Docker daemon at {self.host} did not answer in time."
        if isinstance(error, PermissionError):
            return f"No permission to use the Docker daemon at {self.host}: add this user to its group."
        return f"No Docker daemon answers at {self.host} ({error}). Start it, or set DOCKER_HOST."


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def part(name: str) -> str:
    """A name as one step of a request's path."""
    return quote(name, safe="")


def _query(query: Mapping[str, Any] | None) -> str:
    return f"?{urlencode(query)}" if query else ""


def _message(content: bytes) -> str:
    try:
        return str(json.loads(content)["message"])
    except (ValueError, KeyError, TypeError):
        return content.decode(errors="replace").strip()


def _demultiplex(content: bytes) -> bytes:
    """Both streams of a container without a terminal, out of their frames."""
    if len(content) < 8 or content[0] > 2 or content[1:4] != b"\0\0\0":
        return content
    parts: list[bytes] = []
    position = 0
    while position + 8 <= len(content):
        (size,) = struct.unpack(">I", content[position + 4 : position + 8])
        parts.append(content[position + 8 : position + 8 + size])
        position += 8 + size
    return b"".join(parts)
