"""A way from this machine to the API of a fleet in a cluster."""

import contextlib
import itertools
import socket
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from engine import first_job
from engine.errors import UserFacingError
from engine.targets.cluster_client import ApiError, ClusterClient, wait
from engine.targets.cluster_objects import FLEET_LABEL, ROLE_LABEL
from engine.targets.target import Entrance

_PROBE_SECONDS = 2.0
_NODE_PORT_SECONDS = 5.0  # the nodes' rules follow a new pod a moment later
_POD_SECONDS = 120.0
_LOCAL_PORT = 8080


def _answers(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), _PROBE_SECONDS):
            return True
    except OSError:
        return False


def service(client: ClusterClient, fleet: str) -> dict[str, Any]:
    """The Service of the fleet's API."""
    path = f"/api/v1/namespaces/{fleet}/services"
    try:
        found = client.get(path, labelSelector=f"{FLEET_LABEL}={fleet},{ROLE_LABEL}=api")["items"]
    except ApiError as error:
        raise UserFacingError(f"The Services of {fleet} cannot be listed: {error.message}") from error
    if not found:
        raise UserFacingError(
            f"The namespace {fleet} has no Service of an API: it is not a fleet with an API.",
            "`make up` deploys it.",
        )
    return found[0]


def _node_addresses(client: ClusterClient) -> list[str]:
    """The nodes' internal addresses; none where this user may not list nodes."""
    items = client.get_all(["/api/v1/nodes"]).get("/api/v1/nodes", {}).get("items", [])
    return [
        address["address"]
        for node in items
        for address in node.get("status", {}).get("addresses", [])
        if address["type"] == "InternalIP"
    ]


def _standing(client: ClusterClient, found: Mapping[str, Any], outputs: Mapping[str, Any]) -> str:
    """An address that answers without our doing; empty where there is none."""
    url = str(outputs.get("url") or "").rstrip("/")
    if url:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        inside = (parts.hostname or "").endswith((".svc", ".svc.cluster.local", ".cluster.local"))
        if parts.hostname and not inside and _answers(parts.hostname, port) and _is_fleet(url):
            return url
    ports = [int(each["nodePort"]) for each in found["spec"].get("ports", []) if each.get("nodePort")]
    if found["spec"].get("type") != "NodePort" or not ports:
        return ""
    hosts = ["127.0.0.1", *_node_addresses(client)]
    answering: list[str] = []

    def there() -> bool:
        # Whoever answers gets the API keys, and any process of this machine may have that port.
        urls = (f"http://{host}:{ports[0]}" for host in hosts if _answers(host, ports[0]))
        answering[:] = itertools.islice(filter(_is_fleet, urls), 1)
        return bool(answering)

    return answering[0] if wait(there, _NODE_PORT_SECONDS) else ""


def _is_fleet(url: str) -> bool:
    """Whether it is an API of ours that answers there, and not a router or another site; no key is shown to it."""
    with contextlib.suppress(OSError):
        status, answer = first_job.health(url)
        return status == 200 and isinstance(answer, dict) and answer.get("status") == "ok"
    return False


def _serving_pod(client: ClusterClient, fleet: str, found: Mapping[str, Any]) -> tuple[str, int]:
    """A running pod behind the Service, and its port."""
    selector = ",".join(f"{key}={value}" for key, value in (found["spec"].get("selector") or {}).items())
    path = f"/api/v1/namespaces/{fleet}/pods"
    running: list[dict[str, Any]] = []

    def there() -> bool:
        items = client.get(path, labelSelector=selector)["items"]
        running[:] = [
            pod
            for pod in items
            if pod.get("status", {}).get("phase") == "Running" and "deletionTimestamp" not in pod["metadata"]
        ]
        return bool(running)

    if not wait(there, _POD_SECONDS):
        raise UserFacingError(
            f"No pod of the API of {fleet} runs after {_POD_SECONDS:.0f} s.", "`make status` shows why."
        )
    wanted = found["spec"]["ports"][0].get("targetPort", 8080)
    ports = {
        port.get("name"): port["containerPort"]
        for container in running[0]["spec"]["containers"]
        for port in container.get("ports", [])
    }
    return running[0]["metadata"]["name"], int(ports.get(wanted, wanted) if isinstance(wanted, str) else wanted)


@contextmanager
def entrance(client: ClusterClient, fleet: str, outputs: Mapping[str, Any]) -> Generator[Entrance]:
    """The stack's own address, else a node's port, else a forward through the cluster's API server."""
    found = service(client, fleet)
    if url := _standing(client, found, outputs):
        yield Entrance(url)
        return
    pod, port = _serving_pod(client, fleet, found)
    name, outer = found["metadata"]["name"], found["spec"]["ports"][0]["port"]
    config = client.config
    context = f" --context {config.context}" if config.context else ""
    opening = f"KUBECONFIG={config.path} kubectl{context} -n {fleet} port-forward service/{name} {_LOCAL_PORT}:{outer}"
    with client.forward(fleet, pod, port) as local:
        yield Entrance(f"http://127.0.0.1:{local}", opening, f"http://127.0.0.1:{_LOCAL_PORT}")
