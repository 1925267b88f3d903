"""The one-node cluster as tests use it: its files, kubectl, the API, and an image to run."""

import json
import os
import re
import subprocess
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.cluster.layout import Layout

CHECKOUT = Path(__file__).resolve().parents[2]


def wait_for(condition: Callable[[], Any], what: str, seconds: float = 60) -> Any:
    """Ask until `condition` gives something true, and return it; fail with `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        threading.Event().wait(0.2)
    return found


@dataclass(frozen=True)
class NodeUnderTest:
    """A running cluster. `inside` goes before every command that must run in its network."""

    layout: Layout
    inside: tuple[str, ...] = ()

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.layout.kubeconfig

    @property
    def registry(self) -> str:
        """The registry that the node pulls from, without a scheme."""
        return self.layout.registry

    def run(self, *command: str, seconds: float = 60) -> subprocess.CompletedProcess[str]:
        """A command of this machine in the node's network, whatever becomes of it."""
        return subprocess.run(
            [*self.inside, *command], capture_output=True, text=True, check=False, timeout=seconds, cwd=CHECKOUT
        )

    def command(self, *arguments: str) -> list[str]:
        """A call of kubectl."""
        return [*self.inside, str(self.layout.programs / "kubectl"), f"--kubeconfig={self.kubeconfig}", *arguments]

    def kubectl(self, *arguments: str, given: str | None = None, fails: bool | None = False) -> str:
        """What kubectl says; with `fails` it must fail, and with None it may."""
        command = self.command(*arguments)
        ended = subprocess.run(command, input=given, capture_output=True, text=True, check=False, timeout=120)
        assert fails is None or (ended.returncode != 0) == fails, (
            f"kubectl {' '.join(arguments)}: {ended.stdout}{ended.stderr}"
        )
        return ended.stdout + ended.stderr

    def get(self, *arguments: str) -> dict[str, Any]:
        """Objects as JSON."""
        return json.loads(self.kubectl("get", *arguments, "--output=json"))

    def apply(self, *objects: dict[str, Any]) -> None:
        """Apply objects."""
        document = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        self.kubectl("apply", "--server-side", "--filename=-", given=json.dumps(document))

    def make_namespace(self, name: str) -> None:
        """Make a namespace that takes restricted pods only, and wait until it takes any."""
        self.apply(namespace(name))
        self.kubectl("wait", "--for=create", "serviceaccount/default", "-n", name, "--timeout=60s")

    def ready(self, namespace: str, *pods: str, seconds: int = 60) -> None:
        """Wait until pods are Ready."""
        names = [f"pod/{pod}" for pod in pods]
        self.kubectl("wait", "-n", namespace, "--for=condition=Ready", f"--timeout={seconds}s", *names)

    def shell(self, namespace: str, pod: str, script: str, fails: bool | None = False) -> str:
        """What a bash script prints in a pod."""
        return self.kubectl("exec", "-n", namespace, pod, "--", "bash", "-c", script, fails=fails)


def new_name(what: str) -> str:
    """A name that no other test has."""
    return f"{what}-{uuid.uuid4().hex[:8]}"


def namespace(name: str) -> dict[str, Any]:
    """A namespace that takes restricted pods only."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def pod(
    name: str,
    in_namespace: str,
    image: str,
    script: str = "sleep infinity",
    *,
    user: int = 1000,
    claim: str | None = None,
    service_account: str | None = None,
) -> dict[str, Any]:
    """A pod under `restricted` that runs a bash script."""
    container: dict[str, Any] = {
        "name": "main",
        "image": image,
        "command": ["bash", "-c", script],
        "stdin": True,
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    spec: dict[str, Any] = {
        "automountServiceAccountToken": service_account is not None,
        "terminationGracePeriodSeconds": 0,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": user,
            "runAsGroup": user,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
    }
    if service_account is not None:
        spec["serviceAccountName"] = service_account
    if claim is not None:
        spec["volumes"] = [{"name": "work", "persistentVolumeClaim": {"claimName": claim}}]
        container["volumeMounts"] = [{"name": "work", "mountPath": "/work"}]
    metadata = {"name": name, "namespace": in_namespace, "labels": {"app": name}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def claim(name: str, in_namespace: str, mode: str) -> dict[str, Any]:
    """A claim of the default storage class."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": in_namespace},
        "spec": {"accessModes": [mode], "resources": {"requests": {"storage": "1Gi"}}},
    }


HTTP_SERVER = (
    "exec perl -MIO::Socket::INET -e '"
    "$s = IO::Socket::INET->new(LocalPort => 8080, Listen => 9, ReuseAddr => 1) or die; "
    'while ($c = $s->accept) { <$c>; print $c "HTTP/1.0 200 OK\\r\\n\\r\\nhello\\n"; close $c }\''
)
"""A bash script that answers every request at port 8080 with hello."""


def http_get(host: str, port: int) -> str:
    """A bash script that prints the answer to a GET, within 5 s."""
    return f"exec timeout 5 bash -c 'exec 3<>/dev/tcp/{host}/{port}; echo GET / >&3; cat <&3'"


def push(image: str, registry: str) -> str:
    """Push an image of this machine's Docker; the reference by its digest."""
    name = f"{registry}/{new_name('test')}"
    subprocess.run(["docker", "tag", image, f"{name}:1"], check=True, timeout=60)
    try:
        ended = subprocess.run(
            ["docker", "push", f"{name}:1"], check=True, capture_output=True, text=True, timeout=300, env=os.environ
        )
    finally:
        subprocess.run(["docker", "rmi", f"{name}:1"], check=True, capture_output=True, timeout=60)
    digest = re.search(r"sha256:[0-9a-f]{64}", ended.stdout)
    assert digest is not None, ended.stdout
    return f"{name}@{digest[0]}"
