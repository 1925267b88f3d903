"""Previews: what the API server would refuse shows before anything is changed, and none needs a cluster."""

import pytest
from control_plane import ControlPlane
from stack_program import StackProgram

HEAD = "import pulumi, pulumi_kubernetes as k8s\n"
NOWHERE = """
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://127.0.0.1:9"}}]
users: [{name: u, user: {token: t}}]
contexts: [{name: x, context: {cluster: c, user: u}}]
current-context: x
"""


def test_a_preview_without_a_cluster_shows_the_plan(cluster_stack: StackProgram) -> None:
    """Prevents a preview that fails, or takes minutes, where there are no credentials; an update refuses at once."""
    (cluster_stack.folder / "nowhere").write_text(NOWHERE)
    program = f"""{HEAD}
for number in range(3):
    k8s.core.v1.ConfigMap(f"settings-{{number}}", metadata={{"name": f"settings-{{number}}"}}, data={{"a": "1"}})
"""
    cluster_stack.write(program)
    cluster_stack.environment["KUBECONFIG"] = str(cluster_stack.folder / "nowhere")
    outcome = cluster_stack.preview().succeeded()
    assert outcome.changes == {"to create": 4}
    _, _, diagnostics = outcome.text.partition("Diagnostics:")
    assert diagnostics.count("No dry run against the cluster: https://127.0.0.1:9 does not answer") == 1
    assert "configured Kubernetes cluster is unreachable" in cluster_stack.up().failed().text
    cluster_stack.environment["KUBECONFIG"] = str(cluster_stack.folder / "missing")
    outcome = cluster_stack.preview().succeeded()
    assert "there is no kubeconfig at" in outcome.text


def test_a_cluster_that_is_not_made_yet_does_not_stop_the_preview(cluster_stack: StackProgram) -> None:
    """Prevents the first preview of a stack that makes its own cluster from failing."""
    cluster_stack.write(
        f"""{HEAD}
import pulumi_random as random
token = random.RandomPassword("token", length=20)
provider = k8s.Provider("cluster", kubeconfig=token.result, cluster_identifier="one")
options = pulumi.ResourceOptions(provider=provider)
k8s.core.v1.ConfigMap("one", metadata={{"name": "x"}}, data={{"a": "1"}}, opts=options)
"""
    )
    assert cluster_stack.preview().succeeded().changes == {"to create": 4}


@pytest.mark.parametrize(
    ("resource", "message"),
    [
        (
            'k8s.core.v1.Service("a", metadata={"name": "x"}, spec={"ports": [{"port": 80, "targetport": 8080}]})',
            "spec.ports[0].targetport: there is no such property; did you mean 'targetPort'",
        ),
        (
            'k8s.networking.v1.NetworkPolicy("a", metadata={"name": "x", "labelz": {}}, spec={"pod_selector": {}})',
            "metadata.labelz: there is no such property; did you mean 'labels'?",
        ),
        (
            'k8s.apiextensions.CustomResource("a", api_version="probe.example/v1", kind="Thing", '
            'metadata={"labels": {"a": 1}}, spec={"free": 1})',
            'metadata.labels["a"]: must be a string, not the integer 1.',
        ),
    ],
)
def test_what_the_types_do_not_allow_is_refused_without_a_cluster(
    cluster_stack: StackProgram, resource: str, message: str
) -> None:
    """Prevents a mistyped field from reaching the API server, which drops what it does not know."""
    (cluster_stack.folder / "nowhere").write_text(NOWHERE)
    cluster_stack.environment["KUBECONFIG"] = str(cluster_stack.folder / "nowhere")
    cluster_stack.write(f"{HEAD}\n{resource}\n")
    assert message in cluster_stack.preview().failed().text


def test_what_the_api_server_would_refuse_fails_the_preview(
    cluster_stack: StackProgram, control_plane: ControlPlane, namespace: str
) -> None:
    """Prevents an update that stops halfway at something which a dry run tells."""
    control_plane.patch(
        f"/api/v1/namespaces/{namespace}",
        {"metadata": {"labels": {"pod-security.kubernetes.io/warn": "restricted", "probe": "1"}}},
    )
    cluster_stack.write(
        f"""{HEAD}
k8s.core.v1.Service("bad", metadata={{"name": "UPPER", "namespace": {namespace!r}}}, spec={{"ports": [{{"port": 80}}]}})
"""
    )
    assert "UPPER" in cluster_stack.preview().failed().text
    cluster_stack.write(
        f"""{HEAD}
k8s.apps.v1.Deployment("app", metadata={{"name": "app", "namespace": {namespace!r}}}, spec={{
    "selector": {{"match_labels": {{"app": "probe"}}}},
    "template": {{
        "metadata": {{"labels": {{"app": "probe"}}}}, "spec": {{"containers": [{{"name": "main", "image": "x"}}]}},
    }},
}})
"""
    )
    text = cluster_stack.preview().succeeded().text
    assert 'would violate PodSecurity "restricted' in text
    assert control_plane.get(f"/apis/apps/v1/namespaces/{namespace}/deployments")["items"] == []


def test_a_field_that_is_fixed_for_life_fails_the_preview_with_the_way_out(
    cluster_stack: StackProgram, control_plane: ControlPlane, namespace: str
) -> None:
    """Prevents an update that the API server refuses at the end; the official provider does not replace here either."""
    program = f"""{HEAD}
k8s.core.v1.PersistentVolumeClaim("claim", metadata={{"name": "claim", "namespace": {namespace!r},
    "annotations": {{"pulumi.com/skipAwait": "true"}}}}, spec={{
    "access_modes": ["ReadWriteOnce"], "storage_class_name": "none", "volume_mode": "MODE",
    "resources": {{"requests": {{"storage": "1Gi"}}}},
}})
"""
    cluster_stack.write(program.replace("MODE", "Filesystem"))
    cluster_stack.up().succeeded()
    cluster_stack.write(program.replace("MODE", "Block"))
    text = cluster_stack.preview().failed().text
    assert "immutable" in text
    assert "--replace" in text


def test_a_definition_and_its_object_come_in_one_update(
    cluster_stack: StackProgram, control_plane: ControlPlane, namespace: str
) -> None:
    """Prevents a program that must be run twice, and a destroy that fails when the definition went first."""
    group = f"{namespace}.example.org"
    program = f"""{HEAD}
definition = k8s.apiextensions.v1.CustomResourceDefinition("definition", metadata={{"name": "things.{group}"}}, spec={{
    "group": "{group}", "scope": "Namespaced", "names": {{"kind": "Thing", "plural": "things", "singular": "thing"}},
    "versions": [{{"name": "v1", "served": True, "storage": True, "schema": {{"open_apiv3_schema": {{
        "type": "object", "properties": {{"spec": {{"type": "object", "properties": {{
            "size": {{"x_kubernetes_int_or_string": True}}, "note": {{"type": "string"}}}}}}}}}}}}}}],
}})
k8s.apiextensions.CustomResource(
    "thing", api_version="{group}/v1", kind="Thing", metadata={{"name": "one", "namespace": {namespace!r}}},
    spec={{"size": "SIZE", "note": "1"}}, opts=pulumi.ResourceOptions(depends_on=[definition]),
)
"""
    cluster_stack.write(program.replace("SIZE", "10%"))
    assert cluster_stack.preview().succeeded().changes == {"to create": 3}
    assert cluster_stack.up().succeeded().changes == {"created": 3}
    assert cluster_stack.up().succeeded().changes == {"unchanged": 3}
    cluster_stack.write(program.replace("SIZE", "20%"))
    assert cluster_stack.up().succeeded().changes == {"updated": 1, "unchanged": 2}
    path = f"/apis/{group}/v1/namespaces/{namespace}/things/one"
    assert control_plane.get(path)["spec"] == {"size": "20%", "note": "1"}
    definition = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/things.{group}"
    control_plane.delete(definition)
    control_plane.wait_until_gone(definition)
    cluster_stack.destroy().succeeded()


def test_a_helm_release_is_planned_and_never_pretended(cluster_stack: StackProgram) -> None:
    """Prevents a chart that counts as installed and is not."""
    cluster_stack.write(
        f"""{HEAD}
k8s.helm.v3.Release("chart", name="chart", chart="probe", version="1.0.0", namespace="probe", values={{"a": 1}})
"""
    )
    assert cluster_stack.preview().succeeded().changes == {"to create": 2}
    assert "installs no Helm charts" in cluster_stack.up().failed().text
    cluster_stack.write(f'{HEAD}\nk8s.helm.v3.Release("chart", chrt="probe")\n')
    cluster_stack.preview().failed()


def test_manifests_are_decoded(cluster_stack: StackProgram, control_plane: ControlPlane, namespace: str) -> None:
    """Prevents a program with a manifest in YAML from needing the official plugin."""
    documents = [
        f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, namespace: {namespace}}}\ndata: {{a: '1'}}\n"
        for name in ("one", "two")
    ]
    (cluster_stack.folder / "manifest.yaml").write_text("---\n".join(documents))
    cluster_stack.write(f'{HEAD}\nk8s.yaml.ConfigFile("manifest", file="manifest.yaml")\n')
    assert cluster_stack.up().succeeded().changes == {"created": 4}
    assert control_plane.get(f"/api/v1/namespaces/{namespace}/configmaps/two")["data"] == {"a": "1"}


def test_a_value_of_none_is_left_out(cluster_stack: StackProgram, control_plane: ControlPlane, namespace: str) -> None:
    """Prevents a replica count of null from being applied, and owned, where an autoscaler sets it."""
    cluster_stack.write(
        f"""{HEAD}
k8s.apps.v1.Deployment("app", metadata={{"name": "app", "namespace": {namespace!r},
    "annotations": {{"pulumi.com/skipAwait": "true"}}}}, spec={{
    "replicas": None, "selector": {{"match_labels": {{"app": "probe"}}}},
    "template": {{
        "metadata": {{"labels": {{"app": "probe"}}}}, "spec": {{"containers": [{{"name": "main", "image": "x"}}]}},
    }},
}})
"""
    )
    cluster_stack.up().succeeded()
    live = control_plane.get(f"/apis/apps/v1/namespaces/{namespace}/deployments/app")
    applied = next(entry for entry in live["metadata"]["managedFields"] if entry["operation"] == "Apply")
    assert "f:selector" in applied["fieldsV1"]["f:spec"]
    assert "f:replicas" not in applied["fieldsV1"]["f:spec"]


def test_a_refusal_repeats_no_secret(cluster_stack: StackProgram, namespace: str) -> None:
    """Prevents a password in an error message of the API server from reaching a log."""
    cluster_stack.write(
        f"""{HEAD}
k8s.core.v1.Service("service", metadata={{"name": "service", "namespace": {namespace!r}}}, spec={{
    "ports": [{{"port": 80}}], "type": pulumi.Output.secret("never-to-be-shown")}})
"""
    )
    for outcome in (cluster_stack.preview().failed(), cluster_stack.up().failed()):
        assert 'Unsupported value: "[secret]"' in outcome.text
        assert "never-to-be-shown" not in outcome.text


def test_a_stack_whose_cluster_is_gone_can_be_removed(
    cluster_stack: StackProgram, control_plane: ControlPlane, namespace: str
) -> None:
    """Prevents a state that nobody can clear after `make cluster-down`."""
    cluster_stack.write(
        f"""{HEAD}
k8s.core.v1.ConfigMap("one", metadata={{"name": "one", "namespace": {namespace!r}}}, data={{"a": "1"}})
"""
    )
    cluster_stack.up().succeeded()
    (cluster_stack.folder / "nowhere").write_text(NOWHERE)
    cluster_stack.environment["KUBECONFIG"] = str(cluster_stack.folder / "nowhere")
    text = cluster_stack.destroy().failed().text
    assert "configured Kubernetes cluster is unreachable" in text
    assert "PULUMI_K8S_DELETE_UNREACHABLE=true" in text
    cluster_stack.environment["PULUMI_K8S_DELETE_UNREACHABLE"] = "true"
    assert cluster_stack.destroy().succeeded().changes == {"deleted": 2}


def test_components_of_the_official_plugin_are_refused_by_name(cluster_stack: StackProgram) -> None:
    """Prevents `unimplemented` without a word on what is."""
    cluster_stack.write(f'{HEAD}\nk8s.yaml.v2.ConfigGroup("group", yaml="a: 1")\n')
    text = cluster_stack.preview().failed().text
    assert "kubernetes:yaml/v2:ConfigGroup is a component inside the official kubernetes plugin" in text
