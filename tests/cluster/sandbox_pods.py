"""A pool of sandbox pods on a real node, and a service account with just the rights that a worker has there."""

import base64
import json
import secrets
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

MEBIBYTE = 1024 * 1024
MEMORY_MEBIBYTES = 192
SCRATCH_MEBIBYTES = 64
_WORKER = "worker"


@dataclass
class Cluster:
    """One API server, as kubectl reaches it."""

    kubeconfig: Path
    program: str
    inside: tuple[str, ...] = ()
    """Goes before every command that must run in the cluster's own network."""

    def __call__(self, *arguments: str, given: Any = None, check: bool = True) -> str:
        """Run kubectl; `given` is what it reads, as JSON."""
        ran = subprocess.run(
            [*self.inside, self.program, f"--kubeconfig={self.kubeconfig}", "--request-timeout=30s", *arguments],
            input=None if given is None else json.dumps(given),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert not check or ran.returncode == 0, ran.stderr
        return ran.stdout

    def get(self, *arguments: str) -> Any:
        """Return what `kubectl get` says as JSON."""
        return json.loads(self("get", "-o", "json", *arguments))

    @property
    def server(self) -> tuple[str, str]:
        """The API server's host and port."""
        address = str(self._described["server"]).removeprefix("https://").rstrip("/")
        host, _, port = address.rpartition(":")
        return host, port

    @property
    def authority(self) -> bytes:
        """The certificate of the API server's authority."""
        if "certificate-authority-data" in self._described:
            return base64.b64decode(self._described["certificate-authority-data"])
        return Path(self._described["certificate-authority"]).read_bytes()

    @property
    def _described(self) -> dict[str, Any]:
        return yaml.safe_load(self.kubeconfig.read_text())["clusters"][0]["cluster"]


@dataclass
class PodPool:
    """A namespace with one Deployment of sandbox pods, as the component declares them."""

    cluster: Cluster
    image: str
    replicas: int = 4
    namespace: str = field(default_factory=lambda: f"sandbox-pods-{secrets.token_hex(4)}")
    grace_seconds: int = 30
    pull_policy: str = "IfNotPresent"

    @property
    def selector(self) -> str:
        """The labels by which a worker finds the pods."""
        return ",".join(f"{name}={value}" for name, value in self._labels.items())

    @property
    def _labels(self) -> dict[str, str]:
        return {"agent-fleet.fleet": "test", "agent-fleet.role": "sandbox", "agent-fleet.pool": "testing"}

    def create(self) -> None:
        """Apply everything, and wait until the pods are ready."""
        self.cluster("apply", "-f", "-", given={"apiVersion": "v1", "kind": "List", "items": self._objects()})
        self.ready()

    def delete(self) -> None:
        """Remove the namespace with all that is in it."""
        self.cluster("delete", "namespace", self.namespace, "--wait=false", "--ignore-not-found")

    def scale(self, replicas: int) -> None:
        """Have more or fewer pods."""
        self.cluster("scale", "-n", self.namespace, "deployment/testing", f"--replicas={replicas}")

    def pods(self) -> list[dict[str, Any]]:
        """Every pod of the pool, ending ones too."""
        return self.cluster.get("pods", "-n", self.namespace, "-l", self.selector)["items"]

    def claimed(self) -> dict[str, str]:
        """The worker that holds each claimed pod."""
        found = {
            pod["metadata"]["name"]: pod["metadata"].get("annotations", {}).get("agent-fleet.claimed-by")
            for pod in self.pods()
        }
        return {name: owner for name, owner in found.items() if owner}

    def give_up(self, name: str) -> None:
        """Delete what a worker has claimed, and do not wait."""
        self.cluster("delete", "pod", "-n", self.namespace, name, "--now", "--wait=false", check=False)

    def tear_away(self, name: str) -> None:
        """The same, as when its node is lost."""
        forced = ("--grace-period=0", "--force", "--ignore-not-found")
        self.cluster("delete", "pod", "-n", self.namespace, name, *forced)

    def ready(self, seconds: float = 120) -> None:
        """Wait until as many pods are ready and unclaimed as there are replicas, claimed ones aside."""
        wanted = self.replicas
        until(lambda: self.count_ready() >= wanted, seconds, f"{wanted} ready sandbox pods")

    def count_ready(self) -> int:
        """Pods that are ready, not ending, and claimed by no worker itself."""
        return sum(_is_ready(pod) for pod in self.pods())

    def at_rest(self, seconds: float = 120) -> None:
        """Wait until nothing of it is claimed, and all of it is there."""
        until(lambda: not self.claimed(), seconds, "what is claimed to be gone")
        self.ready(seconds)

    def credentials(self, folder: Path) -> Path:
        """Write what is mounted into a worker: a token of its service account, and the authority."""
        folder.mkdir(parents=True, exist_ok=True)
        token = self.cluster("create", "token", _WORKER, "-n", self.namespace, "--duration=2h").strip()
        (folder / "token").write_text(token)
        (folder / "ca.crt").write_bytes(self.cluster.authority)
        return folder

    def environment(self, folder: Path, **template: Any) -> dict[str, str]:
        """What a worker is told of this pool; `template` changes its one template, `default`."""
        host, port = self.cluster.server
        described = {
            "image": self.image,
            "memory_bytes": MEMORY_MEBIBYTES * MEBIBYTE,
            "scratch_bytes": SCRATCH_MEBIBYTES * MEBIBYTE,
            "warm": 2,
            "maximum": 4,
            "start_timeout_seconds": 20,
            **template,
        }
        return {
            "FLEET_SANDBOX_BACKEND": "kubernetes",
            "FLEET_SANDBOX_NAMESPACE": self.namespace,
            "FLEET_SANDBOX_SELECTOR": self.selector,
            "FLEET_SANDBOX_TEMPLATES": json.dumps({"default": described}),
            "FLEET_KUBERNETES_CREDENTIALS": str(self.credentials(folder)),
            "FLEET_NETWORK_CANARY": "report",
            "KUBERNETES_SERVICE_HOST": host,
            "KUBERNETES_SERVICE_PORT": port,
        }

    def _objects(self) -> list[Mapping[str, Any]]:
        within = {"namespace": self.namespace}
        account = {"kind": "ServiceAccount", "name": _WORKER, "namespace": self.namespace}
        return [
            {
                "apiVersion": "v1",
                "kind": "Namespace",
                "metadata": {
                    "name": self.namespace,
                    "labels": {"pod-security.kubernetes.io/enforce": "restricted", "agent-fleet.test": "sandbox-pods"},
                },
            },
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": _WORKER, **within}},
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "Role",
                "metadata": {"name": _WORKER, **within},
                "rules": [
                    {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch", "patch", "delete"]},
                    {"apiGroups": [""], "resources": ["pods/attach"], "verbs": ["create", "get"]},
                ],
            },
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "RoleBinding",
                "metadata": {"name": _WORKER, **within},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": _WORKER},
                "subjects": [account],
            },
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": "testing", **within},
                "spec": {
                    "replicas": self.replicas,
                    "selector": {"matchLabels": self._labels},
                    "template": {"metadata": {"labels": self._labels}, "spec": self.pod_spec()},
                },
            },
        ]

    def pod_spec(self) -> dict[str, Any]:
        """What a sandbox pod is."""
        mounts = {"/job": SCRATCH_MEBIBYTES, "/tmp": SCRATCH_MEBIBYTES // 4, "/dev/shm": 16}
        return {
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "hostname": "sandbox",
            "dnsPolicy": "None",
            "dnsConfig": {"nameservers": ["127.0.0.1"]},
            "terminationGracePeriodSeconds": self.grace_seconds,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 10001,
                "runAsGroup": 10001,
                "fsGroup": 10001,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "sandbox",
                    "image": self.image,
                    "imagePullPolicy": self.pull_policy,
                    "stdin": True,
                    "stdinOnce": True,
                    "resources": {
                        "requests": {"cpu": "10m", "memory": "64Mi"},
                        "limits": {"cpu": "1", "memory": f"{MEMORY_MEBIBYTES}Mi"},
                    },
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "readOnlyRootFilesystem": True,
                        "capabilities": {"drop": ["ALL"]},
                    },
                    "volumeMounts": [{"name": path.rpartition("/")[2], "mountPath": path} for path in mounts],
                }
            ],
            "volumes": [
                {"name": path.rpartition("/")[2], "emptyDir": {"medium": "Memory", "sizeLimit": f"{size}Mi"}}
                for path, size in mounts.items()
            ],
        }


def until(condition: Callable[[], Any], seconds: float, what: str) -> Any:
    """Wait for a condition, with a limit; returns its value."""
    limit = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < limit, f"waited {seconds} s for {what}"
        # What is waited for is in another process: asking again is all there is.
        subprocess.run(["sleep", "0.1"], check=False)
    return value


def _is_ready(pod: Mapping[str, Any]) -> bool:
    conditions = {condition["type"]: condition["status"] for condition in pod["status"].get("conditions", ())}
    metadata = pod["metadata"]
    claimed = "agent-fleet.claimed-by" in metadata.get("annotations", {})
    return conditions.get("Ready") == "True" and "deletionTimestamp" not in metadata and not claimed
