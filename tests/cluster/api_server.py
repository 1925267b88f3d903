"""The API server as the judges use it: one request for one object, with what it says and what it warns of."""

import base64
import ssl
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

Manifest = dict[str, Any]
FIELD_MANAGER = "agent-fleet-judge"
_SECONDS = 30.0


@dataclass(frozen=True)
class Verdict:
    """What the server said to an object."""

    status: int
    message: str
    warnings: tuple[str, ...]

    @property
    def faults(self) -> list[str]:
        """All that is against it; a warning is one too."""
        return [*([self.message] if self.status >= 300 else []), *self.warnings]


class ApiServer:
    """A client with a kubeconfig's certificate."""

    def __init__(self, kubeconfig: Path) -> None:
        """Read the current context. The server is asked nothing yet."""
        given = yaml.safe_load(kubeconfig.read_text(encoding="utf-8"))
        context = next(each for each in given["contexts"] if each["name"] == given["current-context"])["context"]
        cluster = next(each for each in given["clusters"] if each["name"] == context["cluster"])["cluster"]
        user = next(each for each in given["users"] if each["name"] == context["user"])["user"]
        self._client = httpx.Client(
            base_url=cluster["server"],
            verify=_tls(cluster, user),
            headers={"Authorization": f"Bearer {user['token']}"} if "token" in user else {},
            timeout=_SECONDS,
            trust_env=False,
        )
        self._resources: dict[str, dict[str, tuple[str, bool]]] = {}

    def apply(self, manifest: Manifest, *, dry_run: bool) -> Verdict:
        """Server-side apply, every unknown field refused."""
        return self._send("PATCH", manifest, dry_run, {"force": "true", "fieldManager": FIELD_MANAGER})

    def create(self, manifest: Manifest, *, dry_run: bool) -> Verdict:
        """Create it."""
        return self._send("POST", manifest, dry_run, {"fieldManager": FIELD_MANAGER})

    def delete(self, manifest: Manifest) -> None:
        """Delete it, and do not wait."""
        self._client.delete(self._path(manifest, named=True))

    def get(self, manifest: Manifest) -> Manifest | None:
        """The object as it is, or None."""
        answer = self._client.get(self._path(manifest, named=True))
        return answer.json() if answer.status_code == 200 else None

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _send(self, method: str, manifest: Manifest, dry_run: bool, parameters: dict[str, str]) -> Verdict:
        try:
            path = self._path(manifest, named=method == "PATCH")
        except KeyError:
            return Verdict(404, f"the server knows no {manifest['apiVersion']} {manifest['kind']}", ())
        parameters = {"fieldValidation": "Strict", **({"dryRun": "All"} if dry_run else {}), **parameters}
        headers = {"Content-Type": "application/apply-patch+yaml" if method == "PATCH" else "application/json"}
        answer = self._client.request(method, path, params=parameters, json=manifest, headers=headers)
        message = "" if answer.status_code < 300 else str(answer.json().get("message", answer.text))
        return Verdict(answer.status_code, message, tuple(answer.headers.get_list("warning")))

    def _path(self, manifest: Manifest, *, named: bool) -> str:
        version = str(manifest["apiVersion"])
        root = f"/apis/{version}" if "/" in version else f"/api/{version}"
        if manifest["kind"] not in self._resources.get(version, {}):
            listed = self._client.get(root)
            found = listed.json()["resources"] if listed.status_code == 200 else []
            self._resources[version] = {
                each["kind"]: (each["name"], each["namespaced"]) for each in found if "/" not in each["name"]
            }
        resource, namespaced = self._resources[version][manifest["kind"]]
        metadata = manifest["metadata"]
        folder = f"{root}/namespaces/{metadata.get('namespace', 'default')}" if namespaced else root
        return f"{folder}/{resource}/{metadata['name']}" if named else f"{folder}/{resource}"


def _tls(cluster: dict[str, Any], user: dict[str, Any]) -> ssl.SSLContext:
    authority = cluster.get("certificate-authority-data")
    context = ssl.create_default_context(
        cafile=cluster.get("certificate-authority"),
        cadata=base64.b64decode(authority).decode() if authority else None,
    )
    if "client-certificate-data" in user:
        # The ssl module loads a client's certificate from a file only.
        with tempfile.NamedTemporaryFile(mode="wb", delete=False) as file:
            file.write(base64.b64decode(user["client-certificate-data"]) + base64.b64decode(user["client-key-data"]))
        try:
            context.load_cert_chain(file.name)
        finally:
            Path(file.name).unlink()
    elif "client-certificate" in user:
        context.load_cert_chain(user["client-certificate"], user["client-key"])
    return context
