"""What a program declares in a cluster, as the manifests that an API server would be sent."""

from collections.abc import Callable
from typing import Any, cast

from recording import UNKNOWN, Recording, record

Manifest = dict[str, Any]
RELEASE = "kubernetes:helm.sh/v3:Release"


def declared(program: Callable[[], Any], *, stack: str = "test") -> list[Manifest]:
    """Every Kubernetes object that the program declares, charts left out."""
    return manifests(record(program, preview=False, stack=stack))


def manifests(recording: Recording) -> list[Manifest]:
    """Every Kubernetes object of a recording, charts and patches left out."""
    return [
        _known(dict(each.inputs))
        for each in recording.resources
        if each.type.startswith("kubernetes:") and each.type != RELEASE and "kind" in each.inputs
    ]


def title(manifest: Manifest) -> str:
    """`Kind namespace/name`, or `Kind name` of what is in no namespace."""
    found = manifest["metadata"]
    namespace = found.get("namespace")
    return f"{manifest['kind']} {namespace + '/' if namespace else ''}{found['name']}"


def pod_template(manifest: Manifest) -> Manifest | None:
    """The pod template of a Deployment, a StatefulSet, a DaemonSet or a Job."""
    if manifest["kind"] not in ("Deployment", "StatefulSet", "DaemonSet", "Job"):
        return None
    return manifest["spec"]["template"]


def _known(value: Any) -> Any:
    if value is UNKNOWN:
        raise AssertionError("a value is unknown after an update")
    if isinstance(value, dict):
        return {key: _known(each) for key, each in cast(dict[str, Any], value).items() if each is not None}
    if isinstance(value, list):
        return [_known(each) for each in cast(list[Any], value)]
    # On the way to the engine every number becomes one with a point, which some judges take for no number.
    return int(value) if isinstance(value, float) and value.is_integer() else value
