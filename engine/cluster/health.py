"""Whether each part of the cluster answers."""

import http.client
import json
import socket
import ssl
from typing import Any

from engine.cluster.layout import Layout

_SECONDS = 5.0


def _get(connection: http.client.HTTPConnection, path: str) -> tuple[int, bytes]:
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException):
        return 0, b""
    finally:
        connection.close()


def _plain(port: int, path: str) -> bool:
    return _get(http.client.HTTPConnection("127.0.0.1", port, timeout=_SECONDS), path)[0] == 200


def _context(layout: Layout, authority: str, certificate: str) -> ssl.SSLContext:
    folder = layout.certificates
    context = ssl.create_default_context(cafile=str(folder / f"{authority}.crt"))
    context.load_cert_chain(folder / f"{certificate}.crt", folder / f"{certificate}.key")
    return context


def _api(layout: Layout, path: str) -> tuple[int, bytes]:
    context = _context(layout, "ca", "admin")
    address, port = layout.node_address, layout.api_port
    return _get(http.client.HTTPSConnection(address, port, timeout=_SECONDS, context=context), path)


def answer(layout: Layout, path: str) -> dict[str, Any]:
    """The API server's answer to a GET as JSON; empty where it does not give one."""
    status, content = _api(layout, path)
    try:
        return json.loads(content) if status == 200 else {}
    except ValueError:
        return {}


def etcd(layout: Layout) -> bool:
    """Whether etcd has a leader and serves."""
    context = _context(layout, "etcd-ca", "apiserver-etcd")
    connection = http.client.HTTPSConnection("127.0.0.1", layout.etcd_port, timeout=_SECONDS, context=context)
    return _get(connection, "/health")[0] == 200


def registry(layout: Layout) -> bool:
    """Whether the registry serves."""
    return _plain(layout.registry_port, "/v2/")


def containerd(layout: Layout) -> bool:
    """Whether containerd accepts connections."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_SECONDS)
        try:
            connection.connect(str(layout.containerd_socket))
        except OSError:
            return False
    return True


def api_server(layout: Layout) -> bool:
    """Whether the API server is ready."""
    return _api(layout, "/readyz")[0] == 200


def kubelet(layout: Layout) -> bool:
    """Whether the kubelet is healthy."""
    return _plain(layout.kubelet_health_port, "/healthz")


def proxy(layout: Layout) -> bool:
    """Whether kube-proxy has written its rules lately."""
    return _plain(layout.proxy_health_port, "/healthz")


def name_service(layout: Layout) -> bool:
    """Whether CoreDNS serves."""
    return _plain(layout.dns_health_port, "/health")


def _condition(thing: dict[str, Any], kind: str) -> bool:
    conditions = thing.get("status", {}).get("conditions", [])
    return any(item.get("type") == kind and item.get("status") == "True" for item in conditions)


def node(layout: Layout) -> bool:
    """Whether pods can run on the node."""
    return _condition(answer(layout, f"/api/v1/nodes/{layout.node_name}"), "Ready")


def node_knows_pods(layout: Layout) -> bool:
    """Whether the node is ready and its kubelet has heard of every pod on it: one that was just started has not."""
    name = layout.node_name
    bound = answer(layout, f"/api/v1/pods?fieldSelector=spec.nodeName%3D{name}")
    known = answer(layout, f"/api/v1/nodes/{name}/proxy/pods")
    if "items" not in bound or "items" not in known:
        return False
    return node(layout) and _ids(bound) <= _ids(known)


def _ids(pods: dict[str, Any]) -> set[str]:
    return {item["metadata"]["uid"] for item in pods["items"] or []}


def metrics_server(layout: Layout) -> bool:
    """Whether metrics-server answers by itself."""
    context = _context(layout, "ca", "admin")
    address, port = layout.node_address, layout.metrics_port
    return _get(http.client.HTTPSConnection(address, port, timeout=_SECONDS, context=context), "/livez")[0] == 200


def metrics(layout: Layout) -> bool:
    """Whether the API server passes questions on to metrics-server."""
    return bool(answer(layout, "/apis/metrics.k8s.io/v1beta1"))


def measured(layout: Layout) -> bool:
    """Whether there are figures of the node: some 15 s after the start."""
    listed = answer(layout, "/apis/metrics.k8s.io/v1beta1/nodes")
    return any(item["metadata"]["name"] == layout.node_name for item in listed.get("items", []))
