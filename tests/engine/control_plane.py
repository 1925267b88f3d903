"""A real Kubernetes control plane without nodes: etcd, API server and controllers, on free ports.

Pods are made by the controllers and run nowhere; a test says in a kubelet's place what became of them.
"""

import json
import subprocess
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from local_processes import ready, start, stop
from stack_program import wait_until

from engine.cluster.programs import Programs
from tests.runtime.free_ports import free_ports

_TOKEN = "probe-token"


class ControlPlane:
    """The running processes, and requests to them past the engine."""

    def __init__(self, folder: Path, programs: Programs) -> None:
        """Write the configuration; nothing is started."""
        self.folder = folder
        self._programs = programs
        self._port, self._etcd, self._peer = free_ports(3)
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self.kubeconfig = folder / "kubeconfig"
        key = rsa.generate_private_key(65537, 2048)
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        (folder / "service-accounts.key").write_bytes(private)
        (folder / "service-accounts.pub").write_bytes(public)
        (folder / "tokens.csv").write_text(f"{_TOKEN},admin,1,system:masters\n")
        self.kubeconfig.write_text(json.dumps(self.configuration()))

    def configuration(self, **cluster: Any) -> dict[str, Any]:
        """A kubeconfig; `cluster` adds to the cluster's entry."""
        there = {"server": f"https://127.0.0.1:{self._port}", "certificate-authority": "certs/apiserver.crt"}
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "probe", "cluster": {**there, **cluster}}],
            "users": [{"name": "admin", "user": {"token": _TOKEN}}],
            "contexts": [{"name": "probe", "context": {"cluster": "probe", "user": "admin"}}],
            "current-context": "probe",
        }

    def start(self) -> None:
        """Start everything, and wait until the API server is ready."""
        etcd = f"http://127.0.0.1:{self._etcd}"
        self._processes["etcd"] = start(
            [
                "etcd",
                "--data-dir=etcd",
                "--unsafe-no-fsync",
                f"--listen-client-urls={etcd}",
                f"--advertise-client-urls={etcd}",
                f"--listen-peer-urls=http://127.0.0.1:{self._peer}",
            ],
            self.folder,
        )
        self.start_api_server()
        self._processes["controllers"] = start(
            [
                str(self._programs.path("kube-controller-manager")),
                f"--kubeconfig={self.kubeconfig}",
                "--service-account-private-key-file=service-accounts.key",
                "--use-service-account-credentials=true",
                "--leader-elect=false",
                "--secure-port=0",
                "--root-ca-file=certs/apiserver.crt",
            ],
            self.folder,
        )

    def start_api_server(self) -> None:
        """Start the API server, and wait until it is ready."""
        process = start(
            [
                str(self._programs.path("kube-apiserver")),
                f"--etcd-servers=http://127.0.0.1:{self._etcd}",
                "--service-account-issuer=https://kubernetes.default.svc",
                "--service-account-key-file=service-accounts.pub",
                "--service-account-signing-key-file=service-accounts.key",
                "--token-auth-file=tokens.csv",
                "--authorization-mode=RBAC",
                f"--secure-port={self._port}",
                "--bind-address=127.0.0.1",
                "--cert-dir=certs",
                "--service-cluster-ip-range=10.99.0.0/24",
                "--shutdown-delay-duration=0s",
            ],
            self.folder,
        )
        self._processes["api-server"] = process
        ready(process, self._ready, 60, "the API server")

    def stop_api_server(self) -> None:
        """End the API server; what it stored stays."""
        stop(self._processes.pop("api-server"))

    def stop(self) -> None:
        """End everything."""
        for process in reversed(self._processes.values()):
            stop(process)

    def send(self, method: str, path: str, body: Any = None, content: str = "application/json", **query: str) -> Any:
        """One request; None for 404."""
        answer = httpx.request(
            method,
            f"https://127.0.0.1:{self._port}{path}",
            content=None if body is None else json.dumps(body),
            params=query,
            headers={"Authorization": f"Bearer {_TOKEN}", "Content-Type": content},
            verify=False,
            timeout=30,
        )
        if answer.status_code == 404:
            return None
        assert answer.is_success, answer.text
        return answer.json()

    def get(self, path: str) -> Any:
        """An object; None when there is none."""
        return self.send("GET", path)

    def patch(self, path: str, body: Any, manager: str = "somebody") -> Any:
        """A merge patch by another manager."""
        return self.send("PATCH", path, body, "application/merge-patch+json", fieldManager=manager)

    def create(self, path: str, body: Any) -> Any:
        """A new object, made by another manager."""
        return self.send("POST", path, body, fieldManager="somebody")

    def delete(self, path: str) -> None:
        """Delete an object."""
        self.send("DELETE", path)

    def serve_pods(self, namespace: str) -> None:
        """Say of every pod in the namespace that it runs and is ready, as a kubelet would."""
        for pod in self.get(f"/api/v1/namespaces/{namespace}/pods")["items"]:
            self.pod_status(pod, {"phase": "Running", "conditions": [_condition("Ready"), _condition("PodScheduled")]})

    def pod_status(self, pod: Mapping[str, Any], status: Mapping[str, Any]) -> None:
        """Set a pod's status, as a kubelet would."""
        metadata = pod["metadata"]
        path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}/status"
        self.patch(path, {"status": status}, "kubelet")

    def wait_for(self, path: str, seconds: float = 30) -> Any:
        """An object, once it is there."""
        wait_until(lambda: self.get(path) is not None, seconds, path)
        return self.get(path)

    def wait_until_gone(self, path: str, seconds: float = 30) -> None:
        """Wait until an object is gone."""
        wait_until(lambda: self.get(path) is None, seconds, f"{path} to be gone")

    def _ready(self) -> bool:
        try:
            return bool(
                httpx.get(
                    f"https://127.0.0.1:{self._port}/readyz",
                    headers={"Authorization": f"Bearer {_TOKEN}"},
                    verify=False,
                    timeout=2,
                ).is_success
            )
        except httpx.HTTPError:
            return False


def _condition(kind: str) -> dict[str, str]:
    return {"type": kind, "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}


@contextmanager
def running(folder: Path, programs: Programs) -> Generator[ControlPlane]:
    """A control plane, ended and left alone afterwards."""
    plane = ControlPlane(folder, programs)
    try:
        plane.start()
        yield plane
    finally:
        plane.stop()
