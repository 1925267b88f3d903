"""Fields that others own: conflicts are said, autoscalers are left alone."""

from control_plane import ControlPlane
from stack_program import StackProgram

HEAD = "import pulumi, pulumi_kubernetes as k8s\n"


def deployment(namespace: str, replicas: str = "", image: str = "example.invalid/one", more: str = "") -> str:
    """A program with one Deployment that nobody waits for."""
    return f"""{HEAD}
k8s.apps.v1.Deployment(
    "app", metadata={{"name": "app", "namespace": {namespace!r}, "annotations": {{"pulumi.com/skipAwait": "true"}}}},
    spec={{
        "selector": {{"match_labels": {{"app": "probe"}}}}, {replicas}
        "template": {{
            "metadata": {{"labels": {{"app": "probe"}}}},
            "spec": {{"containers": [{{
                "name": "main", "image": {image!r}, "resources": {{"requests": {{"cpu": "1000m", "memory": "1024Mi"}}}},
            }}]}},
        }},
    }},{more}
)
"""


def test_a_field_that_another_manager_took_is_a_conflict_with_advice(
    cluster_stack: StackProgram, control_plane: ControlPlane, namespace: str
) -> None:
    """Prevents two managers from overwriting each other for ever, unseen."""
    path = f"/api/v1/namespaces/{namespace}/configmaps/settings"
    program = f"""{HEAD}
provider = k8s.Provider("cluster", enable_config_map_mutable=True)
k8s.core.v1.ConfigMap(
    "one", metadata={{"name": "settings", "namespace": {namespace!r}, "annotations": {{ANNOTATIONS}}}},
    data={{"a": "VALUE"}}, opts=pulumi.ResourceOptions(provider=provider),
)
"""
    cluster_stack.write(program.replace("VALUE", "1").replace("ANNOTATIONS", ""))
    cluster_stack.up().succeeded()
    control_plane.patch(path, {"data": {"a": "theirs"}}, "controller-of-others")
    cluster_stack.write(program.replace("VALUE", "2").replace("ANNOTATIONS", ""))
    for text in (cluster_stack.preview().failed().text, cluster_stack.up().failed().text):
        assert "server-side apply field conflict detected" in text
        assert 'conflict with "controller-of-others"' in text
        assert "pulumi.com/patchForce" in text
    assert control_plane.get(path)["data"] == {"a": "theirs"}
    cluster_stack.write(program.replace("VALUE", "2").replace("ANNOTATIONS", '"pulumi.com/patchForce": "true"'))
    cluster_stack.up().succeeded()
    assert control_plane.get(path)["data"] == {"a": "2"}


def test_a_replica_count_that_is_left_out_is_the_autoscalers(
    cluster_stack: StackProgram, control_plane: ControlPlane, namespace: str
) -> None:
    """Prevents every deployment from throwing a busy pool back to one pod."""
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/app"
    cluster_stack.write(deployment(namespace))
    cluster_stack.up().succeeded()
    control_plane.patch(f"{path}/scale", {"spec": {"replicas": 5}}, "autoscaler")
    assert cluster_stack.preview().succeeded().changes == {"unchanged": 2}
    assert cluster_stack.refresh().succeeded().changes in ({"unchanged": 2}, {"updated": 1, "unchanged": 1})
    assert cluster_stack.up().succeeded().changes == {"unchanged": 2}
    cluster_stack.write(deployment(namespace, image="example.invalid/two"))
    assert cluster_stack.up().succeeded().changes == {"updated": 1, "unchanged": 1}
    live = control_plane.get(path)
    assert live["spec"]["replicas"] == 5
    assert live["spec"]["template"]["spec"]["containers"][0]["image"] == "example.invalid/two"


def test_another_spelling_of_a_quantity_is_no_drift(
    cluster_stack: StackProgram, control_plane: ControlPlane, namespace: str
) -> None:
    """Prevents `1000m` against the server's `1` from being a difference on every run."""
    cluster_stack.write(deployment(namespace))
    cluster_stack.up().succeeded()
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/app"
    container = control_plane.get(path)["spec"]["template"]["spec"]["containers"][0]
    assert container["resources"]["requests"] == {"cpu": "1", "memory": "1Gi"}
    cluster_stack.refresh().succeeded()
    assert cluster_stack.preview().succeeded().changes == {"unchanged": 2}


def test_an_ignored_field_stays_with_whoever_set_it(
    cluster_stack: StackProgram, control_plane: ControlPlane, namespace: str
) -> None:
    """Prevents `ignore_changes` from ending in a conflict, or in the old value."""
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/app"
    ignoring = '\n    opts=pulumi.ResourceOptions(ignore_changes=["spec.replicas"]),'
    cluster_stack.write(deployment(namespace, '"replicas": 2,', more=ignoring))
    cluster_stack.up().succeeded()
    control_plane.patch(path, {"spec": {"replicas": 4}}, "controller-of-others")
    cluster_stack.write(deployment(namespace, '"replicas": 3,', image="example.invalid/two", more=ignoring))
    cluster_stack.up().succeeded()
    live = control_plane.get(path)
    assert live["spec"]["replicas"] == 4
    assert live["spec"]["template"]["spec"]["containers"][0]["image"] == "example.invalid/two"


def test_pods_are_kept_when_a_fixed_number_gives_way_to_an_autoscaler_and_back(
    cluster_stack: StackProgram, control_plane: ControlPlane, namespace: str
) -> None:
    """Prevents a pool of ten from draining nine pods because somebody asked for an autoscaler."""
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/app"
    ignoring = '\n    opts=pulumi.ResourceOptions(ignore_changes=["spec.replicas"]),'
    forced = '"pulumi.com/patchForce": "true", "pulumi.com/skipAwait"'

    def fixed(number: int) -> str:
        return deployment(namespace, f'"replicas": {number},').replace('"pulumi.com/skipAwait"', forced)

    def autoscaled(image: str) -> str:
        return deployment(namespace, '"replicas": 2,', image=image, more=ignoring)

    def replicas() -> int:
        return control_plane.get(path)["spec"]["replicas"]

    cluster_stack.write(fixed(10))
    cluster_stack.up().succeeded()
    cluster_stack.write(autoscaled("example.invalid/one"))
    cluster_stack.up().succeeded()
    assert replicas() == 10
    control_plane.patch(f"{path}/scale", {"spec": {"replicas": 7}}, "autoscaler")
    assert cluster_stack.up().succeeded().changes == {"unchanged": 2}
    cluster_stack.write(autoscaled("example.invalid/two"))
    cluster_stack.up().succeeded()
    assert replicas() == 7
    cluster_stack.write(fixed(10))
    cluster_stack.preview().succeeded()
    cluster_stack.up().succeeded()
    assert replicas() == 10
