"""Where the API server is and how to be known there: kubeconfig files and contents, as kubectl reads them.

Not kr8s: importing it takes half a second, and a preview starts this process. Not served: the `auth-provider` entries
that Kubernetes removed in 1.26.
"""

import base64
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

_SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class KubeconfigError(Exception):
    """The kubeconfig cannot be used; the message says which entry and why."""


@dataclass(frozen=True)
class Endpoint:
    """One API server and one way to be known to it. Certificates and keys are PEM."""

    server: str
    namespace: str = ""
    authority: str = ""
    insecure: bool = False
    server_name: str = ""
    proxy: str = ""
    certificate: str = ""
    key: str = ""
    token: str = ""
    token_file: str = ""
    user: str = ""
    password: str = ""
    impersonate: Mapping[str, Any] = field(default_factory=dict[str, Any])
    exec: Mapping[str, Any] | None = None
    cluster: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """The kubeconfig's own entry of the cluster, for exec plugins and for telling clusters apart."""


def load(given: str) -> dict[str, Any]:
    """The kubeconfig in `given`: contents, a path, or a list of paths as KUBECONFIG has it. Empty: the user's own.

    Relative file names inside are made absolute against the folder of the file that they stand in.
    """
    if "\n" in given or given.lstrip().startswith("{"):
        return _parse(given, "the provider's `kubeconfig`", Path.cwd())
    text = given or os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")
    paths = [Path(item).expanduser() for item in text.split(os.pathsep) if item]
    found = [path for path in paths if path.is_file()]
    if not found:
        if ":" in text and not given.startswith(("/", "~", ".")) and len(paths) == 1:
            return _parse(given, "the provider's `kubeconfig`", Path.cwd())
        raise KubeconfigError(f"there is no kubeconfig at {' or '.join(map(str, paths))}")
    merged: dict[str, Any] = {}
    for path in found:
        for key, value in _parse(path.read_text(), str(path), path.resolve().parent).items():
            if isinstance(value, list):
                merged.setdefault(key, []).extend(cast(list[Any], value))
            else:
                merged.setdefault(key, value)
    return merged


def endpoint(given: str, context: str = "", cluster: str = "") -> Endpoint:
    """What to connect to; falls back to the pod's own service account where there is no kubeconfig at all."""
    inside = (_SERVICE_ACCOUNT / "token").is_file() and os.environ.get("KUBERNETES_SERVICE_HOST")
    if not given and not os.environ.get("KUBECONFIG") and not (Path.home() / ".kube" / "config").exists() and inside:
        return _service_account()
    config = load(given)
    name = context or str(config.get("current-context") or "")
    if not name:
        raise KubeconfigError("it has no current-context; set the provider's `context`")
    chosen = _entry(config, "contexts", "context", name)
    there = _entry(config, "clusters", "cluster", cluster or str(chosen.get("cluster") or ""))
    user = _entry(config, "users", "user", str(chosen["user"])) if chosen.get("user") else {}
    if user.get("auth-provider"):
        raise KubeconfigError(f"user {chosen['user']!r} has an `auth-provider`, which Kubernetes removed: use `exec`")
    if not there.get("server"):
        raise KubeconfigError(f"the cluster of context {name!r} has no `server`")
    return Endpoint(
        server=str(there["server"]).rstrip("/"),
        namespace=str(chosen.get("namespace") or ""),
        authority=_data(there, "certificate-authority"),
        insecure=bool(there.get("insecure-skip-tls-verify")),
        server_name=str(there.get("tls-server-name") or ""),
        proxy=str(there.get("proxy-url") or ""),
        certificate=_data(user, "client-certificate"),
        key=_data(user, "client-key"),
        token=str(user.get("token") or ""),
        token_file=str(user.get("tokenFile") or ""),
        user=str(user.get("username") or ""),
        password=str(user.get("password") or ""),
        impersonate={key: user[key] for key in ("as", "as-uid", "as-groups") if user.get(key)},
        exec=user.get("exec"),
        cluster=there,
    )


def active_cluster(given: str, context: str, cluster: str) -> Mapping[str, Any] | None:
    """The entry of the cluster in use, to tell one cluster from another; None when it cannot be told."""
    try:
        return endpoint(given, context, cluster).cluster if given else None
    except KubeconfigError:
        return None


def _parse(text: str, what: str, folder: Path) -> dict[str, Any]:
    import yaml  # loaded only when a kubeconfig is read

    try:
        config: Any = yaml.safe_load(text)
    except yaml.YAMLError as error:
        # The error's own text may quote the line, which may hold a credential.
        raise KubeconfigError(f"{what} is no YAML ({type(error).__name__})") from None
    if not isinstance(config, dict):
        raise KubeconfigError(f"{what} is neither a kubeconfig nor the path of one")
    tree = cast(dict[str, Any], config)
    for kind, inner in (("clusters", "cluster"), ("users", "user")):
        for item in cast(list[dict[str, Any]], tree.get(kind) or []):
            entry: dict[str, Any] = item.get(inner) or {}
            for key in ("certificate-authority", "client-certificate", "client-key", "tokenFile"):
                if entry.get(key):
                    entry[key] = str(folder / str(entry[key]))
            command = (entry.get("exec") or {}).get("command")
            if command and "/" in command and not command.startswith("/"):
                entry["exec"]["command"] = str(folder / command)
    return tree


def _entry(config: Mapping[str, Any], kind: str, inner: str, name: str) -> dict[str, Any]:
    entries: list[dict[str, Any]] = config.get(kind) or []
    for item in entries:
        if item.get("name") == name:
            return item.get(inner) or {}
    known = ", ".join(str(item.get("name")) for item in entries) or "none"
    raise KubeconfigError(f"it has no {inner} {name!r}; it has {known}")


def _data(entry: Mapping[str, Any], key: str) -> str:
    """A PEM text that stands in the kubeconfig or in a file of its own."""
    if entry.get(f"{key}-data"):
        try:
            return base64.b64decode("".join(str(entry[f"{key}-data"]).split()), validate=True).decode()
        except ValueError:
            raise KubeconfigError(f"`{key}-data` is not base64") from None
    if not entry.get(key):
        return ""
    try:
        return Path(str(entry[key])).read_text()
    except OSError as error:
        raise KubeconfigError(f"`{key}`: {entry[key]} cannot be read: {error.strerror}") from None


def _service_account() -> Endpoint:
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    server = f"https://{f'[{host}]' if ':' in host else host}:{port}"
    return Endpoint(
        server=server,
        namespace=(_SERVICE_ACCOUNT / "namespace").read_text().strip(),
        authority=(_SERVICE_ACCOUNT / "ca.crt").read_text(),
        token_file=str(_SERVICE_ACCOUNT / "token"),
        cluster={"server": server},
    )
