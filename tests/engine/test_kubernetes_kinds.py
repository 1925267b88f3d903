"""The rules about Kubernetes' own kinds, and the reading of kubeconfigs, without the engine."""

import base64
import json
import stat
from pathlib import Path
from typing import Any

import pytest
from control_plane import ControlPlane

from engine.standins.kubernetes import settings
from engine.standins.kubernetes.credentials import Credentials
from engine.standins.kubernetes.drift import drifted
from engine.standins.kubernetes.kinds import built_in, token_kind
from engine.standins.kubernetes.kubeconfig import KubeconfigError, endpoint
from engine.standins.kubernetes.objects import marked, to_object
from engine.standins.values import UNKNOWN, Secret


def test_the_rules_about_kinds_agree_with_a_real_api_server(control_plane: ControlPlane) -> None:
    """Prevents a request to a path that does not exist, for a kind whose plural is irregular."""
    versions = ["v1"]
    for group in control_plane.get("/apis")["groups"]:
        versions += [item["groupVersion"] for item in group["versions"]]
    compared = 0
    for version in versions:
        listed = control_plane.get(f"/apis/{version}" if "/" in version else f"/api/{version}")
        for item in listed["resources"]:
            if "/" in item["name"] or "list" not in item["verbs"]:
                continue
            kind = built_in(version, item["kind"])
            assert kind is not None, item
            assert (kind.plural, kind.namespaced) == (item["name"], item["namespaced"]), version
            compared += 1
    assert compared > 50


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        ("kubernetes:core/v1:Secret", ("v1", "Secret", False)),
        ("kubernetes:apps/v1:DeploymentPatch", ("apps/v1", "Deployment", True)),
        ("kubernetes:networking.k8s.io/v1:Ingress", ("networking.k8s.io/v1", "Ingress", False)),
        ("kubernetes:keda.sh/v1alpha1:ScaledObject", ("keda.sh/v1alpha1", "ScaledObject", False)),
    ],
)
def test_a_type_names_its_kind(token: str, expected: tuple[str, str, bool]) -> None:
    """Prevents an object of the wrong group."""
    assert token_kind(token) == expected


@pytest.mark.parametrize(
    ("api_version", "kind"), [("gateway.networking.k8s.io/v1", "HTTPRoute"), ("keda.sh/v1alpha1", "ScaledObject")]
)
def test_other_kinds_are_asked_for(api_version: str, kind: str) -> None:
    """Prevents a guess where the server knows."""
    assert built_in(api_version, kind) is None


def test_drift_is_what_moved_and_nothing_else() -> None:
    """Prevents both drift that is overlooked, and defaults or sidecars that count as drift."""
    given = {"spec": {"cpu": "1000m", "containers": [{"name": "a", "image": "x"}], "args": ["1"], "gone": "1"}}
    before = {
        "spec": {
            "cpu": "1",
            "containers": [{"name": "a", "image": "x", "pull": "Always"}],
            "args": ["1"],
            "gone": "1",
            "default": 1,
        }
    }
    assert drifted(given, before, before) == given
    live: dict[str, Any] = {
        "spec": {
            "cpu": "1",
            "containers": [{"name": "sidecar", "image": "y"}, {"name": "a", "image": "z", "pull": "Always"}],
            "args": ["1", "2"],
            "default": 2,
        }
    }
    assert drifted(given, before, live) == {
        "spec": {"cpu": "1000m", "containers": [{"name": "a", "image": "z"}], "args": ["1", "2"]}
    }


def test_secrets_stay_marked_and_schemas_keep_their_names() -> None:
    """Prevents a secret that loses its mark on the way through the server."""
    tree = marked({"kind": "Secret", "data": {"a": "1"}, "list": ["1"]}, {"list": [Secret("1")]})
    assert tree == {"kind": "Secret", "data": Secret({"a": "1"}), "list": Secret(["1"])}
    assert to_object({"a": {"x_kubernetes_int_or_string": Secret(True)}, "__defaults": []}) == {
        "a": {"x-kubernetes-int-or-string": True}
    }


def kubeconfig(**user: Any) -> dict[str, Any]:
    """A kubeconfig with one user."""
    return {
        "clusters": [{"name": "c", "cluster": {"server": "https://one.example:6443/"}}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u", "namespace": "inside"}}],
        "current-context": "x",
    }


def test_a_kubeconfig_is_read_from_its_contents_and_from_files(tmp_path: Path) -> None:
    """Prevents a kubeconfig that kubectl takes and the engine does not."""
    found = endpoint(json.dumps(kubeconfig(token="t")))
    assert (found.server, found.token, found.namespace) == ("https://one.example:6443", "t", "inside")
    (tmp_path / "ca.pem").write_text("authority")
    clusters = {"clusters": [{"name": "d", "cluster": {"server": "https://two", "certificate-authority": "ca.pem"}}]}
    (tmp_path / "one").write_text(json.dumps(kubeconfig(token="t")))
    (tmp_path / "two").write_text(json.dumps(clusters))
    found = endpoint(f"{tmp_path}/one:{tmp_path}/two:{tmp_path}/missing", cluster="d")
    assert (found.server, found.authority) == ("https://two", "authority")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("/nowhere/at/all", "there is no kubeconfig at /nowhere/at/all"),
        ("a: [\n", "is no YAML"),
        (json.dumps({**kubeconfig(), "current-context": "y"}), "it has no context 'y'; it has x"),
        (json.dumps(kubeconfig(**{"client-key-data": "%"})), "`client-key-data` is not base64"),
        (json.dumps(kubeconfig(**{"auth-provider": {"name": "gcp"}})), "use `exec`"),
    ],
)
def test_a_kubeconfig_that_cannot_be_used_is_explained(given: str, message: str) -> None:
    """Prevents a stack trace, and a credential in a message."""
    with pytest.raises(KubeconfigError, match=message.replace("(", r"\(")):
        endpoint(given)


def plugin(folder: Path, answer: str) -> dict[str, Any]:
    """An exec plugin that counts its calls."""
    path = folder / "plugin"
    path.write_text(f"#!/bin/sh\necho call >> {folder}/calls\n{answer}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return {"apiVersion": "client.authentication.k8s.io/v1", "command": str(path), "args": ["get-token"]}


def test_an_exec_plugin_is_asked_once_while_its_token_holds(tmp_path: Path) -> None:
    """Prevents a call of `aws eks get-token` for each of a thousand requests."""
    status = {"token": "t-1", "expirationTimestamp": "2999-01-01T00:00:00Z"}
    command = plugin(tmp_path, f"echo '{json.dumps({'status': status})}'")
    credentials = Credentials(endpoint(json.dumps(kubeconfig(exec=command))))
    assert credentials.headers() == credentials.headers() == [("Authorization", "Bearer t-1")]
    assert (tmp_path / "calls").read_text().count("call") == 1
    credentials.forget()
    credentials.headers()
    assert (tmp_path / "calls").read_text().count("call") == 2


def test_an_exec_plugin_that_fails_is_named(tmp_path: Path) -> None:
    """Prevents `unauthorized` where the login of the cloud has run out."""
    command = plugin(tmp_path, "echo 'the session has expired' >&2; exit 3")
    with pytest.raises(KubeconfigError, match="exited with code 3: the session has expired"):
        Credentials(endpoint(json.dumps(kubeconfig(exec=command)))).headers()
    missing = {"command": "no-such-plugin", "installHint": "Install it."}
    with pytest.raises(KubeconfigError, match=r"'no-such-plugin' is not installed\. Install it\."):
        Credentials(endpoint(json.dumps(kubeconfig(exec=missing)))).headers()


def test_other_logins_become_headers() -> None:
    """Prevents an impersonation that is silently left out."""
    basic = Credentials(endpoint(json.dumps(kubeconfig(username="u", password="p"))))
    assert basic.headers() == [("Authorization", f"Basic {base64.b64encode(b'u:p').decode()}")]
    groups = {"as": "other", "as-groups": ["one", "two"]}
    headers = Credentials(endpoint(json.dumps(kubeconfig(**groups)))).headers()
    assert headers == [("Impersonate-User", "other"), ("Impersonate-Group", "one"), ("Impersonate-Group", "two")]


def other(server: str) -> str:
    """The same kubeconfig for another server."""
    config = kubeconfig()
    config["clusters"][0]["cluster"]["server"] = server
    return json.dumps(config)


@pytest.mark.parametrize(
    ("old", "new", "replaced"),
    [
        ({"kubeconfig": json.dumps(kubeconfig(token="1"))}, {"kubeconfig": json.dumps(kubeconfig(token="2"))}, []),
        ({"kubeconfig": other("https://a")}, {"kubeconfig": other("https://b")}, ["kubeconfig"]),
        (
            {"kubeconfig": other("https://a"), "clusterIdentifier": "one"},
            {"kubeconfig": other("https://b"), "clusterIdentifier": "one"},
            [],
        ),
        (
            {"kubeconfig": other("https://a"), "clusterIdentifier": "one"},
            {"kubeconfig": other("https://a"), "clusterIdentifier": "two"},
            ["clusterIdentifier"],
        ),
        ({"kubeconfig": other("https://a")}, {"kubeconfig": UNKNOWN}, ["kubeconfig"]),
        (
            {"kubeconfig": other("https://a"), "clusterIdentifier": "one"},
            {"kubeconfig": UNKNOWN, "clusterIdentifier": "one"},
            [],
        ),
        ({"namespace": "a"}, {"namespace": "b"}, []),
    ],
)
def test_only_another_cluster_replaces_everything(
    old: dict[str, Any], new: dict[str, Any], replaced: list[str]
) -> None:
    """Prevents a renewed token from replacing every object of a fleet."""
    assert settings.replacing(old, new)[1] == replaced
