"""The headers and certificates that make this process known to an API server, renewed where they run out.

Exec plugins (`aws eks get-token`) follow client.authentication.k8s.io/v1 and v1beta1.
"""

import base64
import json
import os
import subprocess
import threading
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from engine.standins.kubernetes.kubeconfig import Endpoint, KubeconfigError

_EXEC_SECONDS = 60.0
_TOKEN_FILE_SECONDS = 60.0  # a projected token is renewed by the kubelet, so its file is read again
_EARLY_SECONDS = 60.0


class Credentials:
    """What one endpoint's user presents."""

    def __init__(self, endpoint: Endpoint) -> None:
        """Nothing is read or run before the first request."""
        self._endpoint = endpoint
        self._lock = threading.Lock()
        self._token = ""
        self._certificate = (endpoint.certificate, endpoint.key)
        self._until = 0.0

    def headers(self) -> list[tuple[str, str]]:
        """The headers of one request, some of them several times; raises KubeconfigError when an exec plugin fails."""
        headers = self._impersonation()
        token = self._current()
        if token:
            headers.append(("Authorization", f"Bearer {token}"))
        elif self._endpoint.user:
            pair = f"{self._endpoint.user}:{self._endpoint.password}".encode()
            headers.append(("Authorization", f"Basic {base64.b64encode(pair).decode()}"))
        return headers

    def certificate(self) -> tuple[str, str]:
        """The client's certificate and key as PEM, or two empty texts."""
        if self._endpoint.exec is not None:
            self._current()
        return self._certificate

    def forget(self) -> None:
        """The server refused the token: fetch a new one for the next request."""
        with self._lock:
            self._until = 0.0

    def _current(self) -> str:
        endpoint = self._endpoint
        if endpoint.exec is None and not endpoint.token_file:
            return endpoint.token
        with self._lock:
            if time.time() >= self._until:
                if endpoint.exec is not None:
                    self._token, self._certificate, self._until = _run(endpoint.exec, endpoint.cluster)
                else:
                    self._token = _read(endpoint.token_file) or endpoint.token
                    self._until = time.time() + _TOKEN_FILE_SECONDS
            return self._token

    def _impersonation(self) -> list[tuple[str, str]]:
        given = self._endpoint.impersonate
        headers = [("Impersonate-User", str(given["as"]))] if given.get("as") else []
        if given.get("as-uid"):
            headers.append(("Impersonate-Uid", str(given["as-uid"])))
        return [*headers, *(("Impersonate-Group", str(group)) for group in given.get("as-groups") or [])]


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError as error:
        raise KubeconfigError(f"`tokenFile`: {path} cannot be read: {error.strerror}") from None


def _run(plugin: Mapping[str, Any], cluster: Mapping[str, Any]) -> tuple[str, tuple[str, str], float]:
    """Token, certificate and key, and the time until which they hold, from an exec plugin."""
    command, version = str(plugin.get("command")), str(plugin.get("apiVersion"))
    request: dict[str, Any] = {"kind": "ExecCredential", "apiVersion": version, "spec": {"interactive": False}}
    if plugin.get("provideClusterInfo"):
        request["spec"]["cluster"] = dict(cluster)
    environment = {**os.environ, "KUBERNETES_EXEC_INFO": json.dumps(request)}
    environment |= {str(item["name"]): str(item["value"]) for item in plugin.get("env") or []}
    try:
        run = subprocess.run(
            [command, *map(str, plugin.get("args") or [])],
            env=environment,
            capture_output=True,
            text=True,
            timeout=_EXEC_SECONDS,
            stdin=subprocess.DEVNULL,
            check=False,
        )
    except FileNotFoundError:
        hint = f" {plugin['installHint']}" if plugin.get("installHint") else ""
        raise KubeconfigError(f"its exec plugin {command!r} is not installed.{hint}") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise KubeconfigError(f"its exec plugin {command!r} did not answer ({type(error).__name__})") from None
    if run.returncode != 0:
        raise KubeconfigError(
            f"its exec plugin {command!r} exited with code {run.returncode}: {run.stderr.strip()[-500:]}"
        )
    try:
        status = json.loads(run.stdout)["status"]
        until = status.get("expirationTimestamp")
        expires = datetime.fromisoformat(until.replace("Z", "+00:00")).timestamp() if until else float("inf")
    except (ValueError, KeyError, TypeError, AttributeError):
        raise KubeconfigError(f"its exec plugin {command!r} answered no ExecCredential") from None
    pair = (str(status.get("clientCertificateData") or ""), str(status.get("clientKeyData") or ""))
    return str(status.get("token") or ""), pair, expires - _EARLY_SECONDS
