"""The kubernetes stand-in against a real API server: objects come, change, stay and go."""

import json

from control_plane import ControlPlane
from stack_program import StackProgram

HEAD = "import pulumi, pulumi_kubernetes as k8s\n"


def config_map(namespace: str, name: str = "settings", data: str = '{"a": "1"}', more: str = "") -> str:
    """A program with one ConfigMap."""
    return f"""{HEAD}
provider = k8s.Provider("cluster", enable_config_map_mutable=True)
found = k8s.core.v1.ConfigMap(
    "one", metadata={{"name": {name!r}, "namespace": {namespace!r}}}, data={data}, {more}
    opts=pulumi.ResourceOptions(provider=provider),
)
pulumi.export("uid", found.metadata.uid)
"""


def test_objects_are_made_kept_changed_and_removed(cluster_stack: StackProgram, control_plane: ControlPlane) -> None:
    """Prevents a stack that says it deployed and did not, or that finds work where there is none."""
    program = f"""{HEAD}
space = k8s.core.v1.Namespace("space", metadata={{"name": "probe-lifecycle"}})
inside = {{"namespace": space.metadata.name}}
k8s.core.v1.ConfigMap("settings", metadata={{"name": "settings", **inside}}, data={{"a": "WORD"}})
k8s.core.v1.Secret("secret", metadata={{"name": "secret", **inside}}, string_data={{"key": "value-of-a-secret"}})
k8s.core.v1.ResourceQuota("quota", metadata={{"name": "quota", **inside}}, spec={{"hard": {{"pods": "2"}}}})
service = k8s.core.v1.Service(
    "service", metadata={{"name": "service", **inside}}, spec={{"ports": [{{"port": 80}}], "cluster_ip": "None"}}
)
k8s.networking.v1.NetworkPolicy("policy", metadata={{"name": "deny", **inside}}, spec={{"pod_selector": {{}}}})
pulumi.export("name", service.metadata.name)
"""
    path = "/api/v1/namespaces/probe-lifecycle"
    cluster_stack.write(program.replace("WORD", "1"))
    assert cluster_stack.preview().succeeded().changes == {"to create": 7}
    assert control_plane.get(path) is None
    assert cluster_stack.up().succeeded().changes == {"created": 7}
    assert control_plane.get(f"{path}/configmaps/settings")["data"] == {"a": "1"}
    assert cluster_stack.up().succeeded().changes == {"unchanged": 7}
    assert cluster_stack.refresh().succeeded().changes == {"unchanged": 7}
    assert cluster_stack.up().succeeded().changes == {"unchanged": 7}
    assert cluster_stack.destroy().succeeded().changes == {"deleted": 7}
    assert control_plane.get(path) is None


def test_data_changes_in_place_where_the_provider_allows_it(
    cluster_stack: StackProgram, control_plane: ControlPlane, namespace: str
) -> None:
    """Prevents a ConfigMap that is away for a moment, and a removed key that stays."""
    path = f"/api/v1/namespaces/{namespace}/configmaps/settings"
    cluster_stack.write(config_map(namespace, data='{"a": "1", "b": "2"}'))
    cluster_stack.up().succeeded()
    uid = control_plane.get(path)["metadata"]["uid"]
    cluster_stack.write(config_map(namespace, data='{"a": "3"}'))
    assert cluster_stack.up().succeeded().changes == {"updated": 1, "unchanged": 2}
    live = control_plane.get(path)
    assert live["data"] == {"a": "3"}
    assert live["metadata"]["uid"] == uid


def test_data_replaces_where_the_official_provider_replaces(
    cluster_stack: StackProgram, control_plane: ControlPlane, namespace: str
) -> None:
    """Prevents a preview that promises an update where the official provider replaces."""
    path = f"/api/v1/namespaces/{namespace}/configmaps/settings"
    cluster_stack.write(config_map(namespace).replace("enable_config_map_mutable=True", ""))
    cluster_stack.up().succeeded()
    uid = control_plane.get(path)["metadata"]["uid"]
    changed = config_map(namespace, data='{"a": "2"}').replace("enable_config_map_mutable=True", "")
    cluster_stack.write(changed)
    assert cluster_stack.preview().succeeded().changes == {"to replace": 1, "unchanged": 2}
    assert cluster_stack.up().succeeded().changes == {"replaced": 1, "unchanged": 2}
    assert control_plane.get(path)["metadata"]["uid"] != uid


def test_a_new_name_is_a_new_object_and_the_old_one_goes(
    cluster_stack: StackProgram, control_plane: ControlPlane, namespace: str
) -> None:
    """Prevents the old object from being left behind."""
    cluster_stack.write(config_map(namespace, "first"))
    cluster_stack.up().succeeded()
    cluster_stack.write(config_map(namespace, "second"))
    assert cluster_stack.up().succeeded().changes == {"replaced": 1, "unchanged": 2}
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    assert control_plane.get(f"{path}/first") is None
    assert control_plane.get(f"{path}/second") is not None


def test_what_cannot_change_is_replaced_under_its_own_name(
    cluster_stack: StackProgram, control_plane: ControlPlane, namespace: str
) -> None:
    """Prevents a refusal halfway through an update: a binding's role is fixed for its life."""
    program = f"""{HEAD}
k8s.rbac.v1.RoleBinding(
    "binding", metadata={{"name": "binding", "namespace": {namespace!r}}},
    role_ref={{"api_group": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "ROLE"}},
    subjects=[{{"kind": "ServiceAccount", "name": "default", "namespace": {namespace!r}}}],
)
"""
    cluster_stack.write(program.replace("ROLE", "view"))
    cluster_stack.up().succeeded()
    cluster_stack.write(program.replace("ROLE", "edit"))
    assert cluster_stack.preview().succeeded().changes == {"to replace": 1, "unchanged": 1}
    assert cluster_stack.up().succeeded().changes == {"replaced": 1, "unchanged": 1}
    path = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/rolebindings/binding"
    assert control_plane.get(path)["roleRef"]["name"] == "edit"


def test_an_outside_change_is_seen_by_refresh_and_undone_by_up(
    cluster_stack: StackProgram, control_plane: ControlPlane, namespace: str
) -> None:
    """Prevents drift that nobody sees; what others added stays theirs."""
    path = f"/api/v1/namespaces/{namespace}/configmaps/settings"
    cluster_stack.write(config_map(namespace))
    cluster_stack.up().succeeded()
    control_plane.patch(path, {"data": {"a": "moved"}}, "kubectl-edit")
    control_plane.patch(path, {"data": {"theirs": "1"}}, "somebody")
    assert cluster_stack.refresh().succeeded().changes == {"updated": 1, "unchanged": 2}
    assert cluster_stack.preview().succeeded().changes == {"to update": 1, "unchanged": 2}
    assert cluster_stack.up().succeeded().changes == {"updated": 1, "unchanged": 2}
    assert control_plane.get(path)["data"] == {"a": "1", "theirs": "1"}
    assert cluster_stack.refresh().succeeded().changes == {"unchanged": 3}


def test_an_object_deleted_outside_comes_back(
    cluster_stack: StackProgram, control_plane: ControlPlane, namespace: str
) -> None:
    """Prevents a stack that cannot come up again, with or without a refresh."""
    path = f"/api/v1/namespaces/{namespace}/configmaps/settings"
    cluster_stack.write(config_map(namespace))
    cluster_stack.up().succeeded()
    control_plane.delete(path)
    assert cluster_stack.refresh().succeeded().changes == {"deleted": 1, "unchanged": 2}
    assert cluster_stack.up().succeeded().changes == {"created": 1, "unchanged": 2}
    control_plane.delete(path)
    cluster_stack.write(config_map(namespace, data='{"a": "2"}'))
    text = cluster_stack.up().succeeded().text
    assert "was gone and is made again" in text
    assert control_plane.get(path)["data"] == {"a": "2"}
    control_plane.delete(path)
    cluster_stack.destroy().succeeded()


def test_made_up_names_stay(cluster_stack: StackProgram, control_plane: ControlPlane, namespace: str) -> None:
    """Prevents a new object on every run where the program gave no name."""
    cluster_stack.write(
        f"""{HEAD}
found = k8s.core.v1.ConfigMap("auto", metadata={{"namespace": {namespace!r}}}, data={{"a": "1"}})
pulumi.export("name", found.metadata.name)
"""
    )
    cluster_stack.up().succeeded()
    name = cluster_stack.outputs()["name"]
    assert name.startswith("auto-")
    assert cluster_stack.up().succeeded().changes == {"unchanged": 2}
    assert cluster_stack.outputs()["name"] == name
    cluster_stack.write((cluster_stack.folder / "__main__.py").read_text().replace('"1"', '"2"'))
    assert cluster_stack.up().succeeded().changes == {"replaced": 1, "unchanged": 1}
    assert cluster_stack.outputs()["name"] != name
    names = [
        item["metadata"]["name"] for item in control_plane.get(f"/api/v1/namespaces/{namespace}/configmaps")["items"]
    ]
    assert sorted(names) == sorted(["kube-root-ca.crt", cluster_stack.outputs()["name"]])


def test_what_others_made_is_not_taken_over(
    cluster_stack: StackProgram, control_plane: ControlPlane, namespace: str
) -> None:
    """Prevents a stack from changing, and later deleting, what another one made."""
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    control_plane.create(path, {"metadata": {"name": "settings"}, "data": {"b": "2"}})
    cluster_stack.write(config_map(namespace))
    text = cluster_stack.up().failed().text
    assert f"ConfigMap {namespace}/settings already exists in the cluster" in text
    assert "upsert_existing_objects" in text
    assert control_plane.get(f"{path}/settings")["data"] == {"b": "2"}
    cluster_stack.write(
        config_map(namespace)
        .replace("Provider(", "Provider(", 1)
        .replace("mutable=True", "mutable=True, upsert_existing_objects=True")
    )
    cluster_stack.up().succeeded()
    assert control_plane.get(f"{path}/settings")["data"] == {"a": "1", "b": "2"}


def test_an_object_is_imported_by_namespace_and_name(
    cluster_stack: StackProgram, control_plane: ControlPlane, namespace: str
) -> None:
    """Prevents an import that the next run wants to replace."""
    control_plane.create(
        f"/api/v1/namespaces/{namespace}/configmaps", {"metadata": {"name": "settings"}, "data": {"a": "1"}}
    )
    text = config_map(namespace).replace("provider=provider", f'provider=provider, import_="{namespace}/settings"')
    cluster_stack.write(text)
    assert "= 1 imported" in cluster_stack.up().succeeded().text
    cluster_stack.write(config_map(namespace))
    assert cluster_stack.up().succeeded().changes == {"unchanged": 3}
    cluster_stack.write(config_map(namespace, data='{"a": "2"}'))
    assert "server-side apply field conflict detected" in cluster_stack.up().failed().text


def test_a_patch_changes_its_own_fields_and_gives_them_back(
    cluster_stack: StackProgram, control_plane: ControlPlane, namespace: str
) -> None:
    """Prevents a patch resource that deletes the object which it only patches."""
    path = f"/api/v1/namespaces/{namespace}"
    cluster_stack.write(
        f"""{HEAD}
k8s.core.v1.NamespacePatch("labels", metadata={{"name": {namespace!r}, "labels": {{"probe": "here"}}}})
"""
    )
    cluster_stack.up().succeeded()
    assert control_plane.get(path)["metadata"]["labels"]["probe"] == "here"
    cluster_stack.destroy().succeeded()
    live = control_plane.get(path)
    assert "probe" not in live["metadata"]["labels"]
    assert "deletionTimestamp" not in live["metadata"]


def test_the_marks_of_secrets_are_kept(
    cluster_stack: StackProgram, control_plane: ControlPlane, namespace: str
) -> None:
    """Prevents a password in plain text in the state or in the output."""
    cluster_stack.write(
        f"""{HEAD}
meta = lambda name: {{"name": name, "namespace": {namespace!r}}}
plain = k8s.core.v1.Secret("plain", metadata=meta("plain"), string_data={{"key": "never-to-be-shown-1"}})
hidden = pulumi.Output.secret("never-to-be-shown-2")
marked = k8s.core.v1.ConfigMap("marked", metadata=meta("marked"), data={{"key": hidden}})
pulumi.export("secret", plain.data)
pulumi.export("marked", marked.data)
"""
    )
    text = cluster_stack.up().succeeded().text
    text += cluster_stack.refresh().succeeded().text
    text += cluster_stack.run("stack", "output").succeeded().text
    stored = "".join(cluster_stack.stored_files().values())
    encoded = json.dumps(control_plane.get(f"/api/v1/namespaces/{namespace}/secrets/plain")["data"]["key"])
    for hidden in ("never-to-be-shown-1", "never-to-be-shown-2", encoded.strip('"')):
        assert hidden not in text
        assert hidden not in stored
