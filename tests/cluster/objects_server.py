"""An API server that judges objects without keeping them: server-side dry-run, strict, its warnings being errors."""

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from declared_manifests import Manifest, pod_template, title

FOR_REAL = ("Namespace", "LimitRange", "ResourceQuota", "ServiceAccount")
"""What other objects are judged by, so it has to be there."""


@dataclass(frozen=True)
class Verdict:
    """What the API server said to a list of objects."""

    accepted: frozenset[str]
    """Titles."""
    complaints: str
    """Refusals and warnings; empty where there are none."""


@dataclass(frozen=True)
class ObjectsServer:
    """A cluster's API server, spoken to with kubectl."""

    program: str
    kubeconfig: Path

    def prepare(self, manifests: Sequence[Manifest]) -> None:
        """Really declare what the rest is judged by: namespaces with their limits, and accounts."""
        for kind in FOR_REAL:
            if found := [each for each in manifests if each["kind"] == kind]:
                ended = self._kubectl("apply", "--server-side", given=found)
                assert ended.returncode == 0, ended.stderr

    def judge(self, manifests: Sequence[Manifest]) -> Verdict:
        """Send them as Pulumi does, by server-side apply, and keep nothing.

        Pods are judged by their namespace's admission as well: its standard, its limits and its quota.
        """
        ended = self._kubectl(
            "apply",
            "--server-side",
            "--dry-run=server",
            "--validate=strict",
            "--warnings-as-errors",
            "--output=json",
            given=manifests,
        )
        found: Any = json.loads(ended.stdout) if ended.stdout.strip() else {"kind": "List", "items": []}
        items: list[Manifest] = found["items"] if found["kind"] == "List" else [found]
        return Verdict(frozenset(title(each) for each in items), ended.stderr)

    def remove(self, manifests: Sequence[Manifest]) -> None:
        """Take away what `prepare` declared; the namespaces take the rest with them."""
        names = [each["metadata"]["name"] for each in manifests if each["kind"] == "Namespace"]
        self._kubectl("delete", "namespace", "--ignore-not-found", "--wait=false", *names, given=[])

    def _kubectl(self, *arguments: str, given: Sequence[Manifest]) -> subprocess.CompletedProcess[str]:
        document = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(given)})
        source = ["--filename=-"] if given else []
        return subprocess.run(
            [self.program, f"--kubeconfig={self.kubeconfig}", "--request-timeout=60s", *arguments, *source],
            input=document,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )


def pods_of(manifests: Sequence[Manifest]) -> list[Manifest]:
    """Each pod template as a pod of its own: only pods are held to a namespace's standard."""
    found: list[Manifest] = []
    for each in manifests:
        template = pod_template(each)
        if template is None:
            continue
        name = f"{each['kind'].lower()}-{each['metadata']['name']}"
        metadata = {**template["metadata"], "name": name, "namespace": each["metadata"]["namespace"]}
        spec = template["spec"]
        # A StatefulSet's pod gets its claims from the StatefulSet.
        claimed = [claim["metadata"]["name"] for claim in each["spec"].get("volumeClaimTemplates", [])]
        volumes = [{"name": claim, "persistentVolumeClaim": {"claimName": claim}} for claim in claimed]
        spec = {**spec, "volumes": [*spec.get("volumes", []), *volumes]}
        found.append({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    return found
