"""What counts as done: waiting for readiness, its end when it fails, and deletion until gone."""

import os
import signal
import time
from typing import Any

from control_plane import ControlPlane
from stack_program import StackProgram, wait_until

HEAD = "import pulumi, pulumi_kubernetes as k8s\n"


def deployment(namespace: str, replicas: int = 1, annotations: str = "", more: str = "") -> str:
    """A program with one Deployment."""
    return f"""{HEAD}
k8s.apps.v1.Deployment(
    "app", metadata={{"name": "app", "namespace": {namespace!r}, "annotations": {{{annotations}}}}},
    spec={{
        "replicas": {replicas}, "selector": {{"match_labels": {{"app": "probe"}}}},
        "template": {{
            "metadata": {{"labels": {{"app": "probe"}}}},
            "spec": {{"containers": [{{"name": "main", "image": "example.invalid/one", "resources": {{
                "requests": {{"cpu": "100m"}}, "limits": {{"cpu": "100m"}}}}}}]}},
        }},
    }},{more}
)
"""


def pods(control_plane: ControlPlane, namespace: str) -> list[dict[str, Any]]:
    """The namespace's pods."""
    return control_plane.get(f"/api/v1/namespaces/{namespace}/pods")["items"]


def test_a_deployment_is_done_when_its_pods_are_available(
    cluster_stack: StackProgram, control_plane: ControlPlane, namespace: str
) -> None:
    """Prevents a success that was reported before anything ran, and silence about why it takes so long."""
    cluster_stack.write(deployment(namespace, 2))
    with cluster_stack.start("up", "--yes", "--skip-preview") as process:
        wait_until(lambda: len(pods(control_plane, namespace)) == 2, 30, "two pods")
        waiting = {"name": "main", "ready": False, "restartCount": 0, "image": "x", "imageID": ""}
        state = {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image"}}
        for pod in pods(control_plane, namespace):
            control_plane.pod_status(pod, {"containerStatuses": [{**waiting, "state": state}]})
        assert process.stdout is not None
        text = ""
        while "container main: ImagePullBackOff: Back-off pulling image (2 pods)" not in text:
            line = process.stdout.readline()
            assert line, text
            text += line
        for pod in pods(control_plane, namespace):
            control_plane.pod_status(pod, {"containerStatuses": None})
        control_plane.serve_pods(namespace)
        rest, _ = process.communicate(timeout=60)
        text += rest
        assert process.returncode == 0, text
    assert "of 2 pods updated and available" in text
    assert cluster_stack.up().succeeded().changes == {"unchanged": 2}


def test_a_quota_that_refuses_pods_is_an_error_in_its_own_words(
    cluster_stack: StackProgram, control_plane: ControlPlane, namespace: str
) -> None:
    """Prevents ten minutes of waiting for pods that the quota will never let in."""
    control_plane.create(
        f"/api/v1/namespaces/{namespace}/resourcequotas",
        {"metadata": {"name": "small"}, "spec": {"hard": {"requests.cpu": "150m"}}},
    )
    wait_until(
        lambda: "used" in control_plane.get(f"/api/v1/namespaces/{namespace}/resourcequotas/small").get("status", {}),
        20,
        "the quota to be counted",
    )
    cluster_stack.write(deployment(namespace, 2))
    begun = time.monotonic()
    text = cluster_stack.up().failed().text
    assert time.monotonic() - begun < 60
    assert (
        "exceeded quota: small, requested: requests.cpu=100m, used: requests.cpu=100m, limited: requests.cpu=150m"
        in text
    )


def test_what_did_not_become_ready_in_time_is_kept_and_gone_on_with(
    cluster_stack: StackProgram, control_plane: ControlPlane, namespace: str
) -> None:
    """Prevents an object that the state does not know after a failure, and a second one beside it."""
    cluster_stack.write(deployment(namespace, annotations='"pulumi.com/timeoutSeconds": "2"'))
    text = cluster_stack.up().failed().text
    assert f"Deployment {namespace}/app was not ready after 2 s" in text
    uid = control_plane.get(f"/apis/apps/v1/namespaces/{namespace}/deployments/app")["metadata"]["uid"]
    wait_until(lambda: bool(pods(control_plane, namespace)), 30, "a pod")
    control_plane.serve_pods(namespace)
    assert cluster_stack.up().succeeded().changes == {"updated": 1, "unchanged": 1}
    assert control_plane.get(f"/apis/apps/v1/namespaces/{namespace}/deployments/app")["metadata"]["uid"] == uid
    assert cluster_stack.up().succeeded().changes == {"unchanged": 2}


def test_an_interrupt_ends_the_waiting_and_keeps_what_is_there(
    cluster_stack: StackProgram, control_plane: ControlPlane, namespace: str
) -> None:
    """Prevents Ctrl-C from hanging for ten minutes, or from losing what was made."""
    cluster_stack.write(deployment(namespace))
    with cluster_stack.start("up", "--yes", "--skip-preview") as process:
        wait_until(lambda: len(pods(control_plane, namespace)) == 1, 30, "a pod")
        os.kill(process.pid, signal.SIGINT)
        text, _ = process.communicate(timeout=30)
        assert process.returncode != 0, text
    assert "cancelled" in text
    control_plane.serve_pods(namespace)
    cluster_stack.up().succeeded()
    assert len(pods(control_plane, namespace)) == 1


def test_a_failed_job_fails_the_update_and_a_finished_one_ends_it(
    cluster_stack: StackProgram, control_plane: ControlPlane, namespace: str
) -> None:
    """Prevents a migration that failed from counting as done."""
    cluster_stack.write(
        f"""{HEAD}
k8s.batch.v1.Job("job", metadata={{"name": "job", "namespace": {namespace!r}}}, spec={{
    "backoff_limit": 0,
    "template": {{"spec": {{
        "restart_policy": "Never", "containers": [{{"name": "main", "image": "example.invalid/one"}}],
    }}}},
}})
"""
    )
    with cluster_stack.start("up", "--yes", "--skip-preview") as process:
        wait_until(lambda: len(pods(control_plane, namespace)) == 1, 30, "a pod")
        control_plane.pod_status(pods(control_plane, namespace)[0], {"phase": "Failed"})
        text, _ = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "BackoffLimitExceeded" in text


def test_a_deletion_lasts_until_the_object_is_gone(
    cluster_stack: StackProgram, control_plane: ControlPlane, namespace: str
) -> None:
    """Prevents a destroy that is over while pods still drain, and one that says nothing of what holds it."""
    path = f"/api/v1/namespaces/{namespace}/configmaps/settings"
    program = f"""{HEAD}
k8s.core.v1.ConfigMap(
    "one", metadata={{"name": "settings", "namespace": {namespace!r}}}, data={{"a": "1"}},
    opts=pulumi.ResourceOptions(custom_timeouts=pulumi.CustomTimeouts(delete="3s")),
)
"""
    cluster_stack.write(program)
    cluster_stack.up().succeeded()
    control_plane.patch(path, {"metadata": {"finalizers": ["probe/held"]}})
    text = cluster_stack.destroy().failed().text
    assert "not gone after 3 s" in text
    assert "these finalizers hold it" in text
    assert "probe/held" in text
    with cluster_stack.start("destroy", "--yes", "--skip-preview") as process:
        wait_until(lambda: "deletionTimestamp" in control_plane.get(path)["metadata"], 20, "the deletion")
        control_plane.patch(path, {"metadata": {"finalizers": None}})
        text, _ = process.communicate(timeout=60)
    assert process.returncode == 0, text
    assert control_plane.get(path) is None


def test_pods_go_before_their_deployment_counts_as_deleted(
    cluster_stack: StackProgram, control_plane: ControlPlane, namespace: str
) -> None:
    """Prevents a namespace, or a volume, from being taken away under pods that still work."""
    cluster_stack.write(
        deployment(namespace, annotations='"pulumi.com/skipAwait": "false", "pulumi.com/timeoutSeconds": "60"')
    )
    with cluster_stack.start("up", "--yes", "--skip-preview") as process:
        wait_until(lambda: len(pods(control_plane, namespace)) == 1, 30, "a pod")
        control_plane.serve_pods(namespace)
        process.communicate(timeout=60)
    pod = pods(control_plane, namespace)[0]["metadata"]["name"]
    control_plane.patch(f"/api/v1/namespaces/{namespace}/pods/{pod}", {"metadata": {"finalizers": ["probe/drains"]}})
    with cluster_stack.start("destroy", "--yes", "--skip-preview") as process:
        path = f"/apis/apps/v1/namespaces/{namespace}/deployments/app"
        wait_until(lambda: "deletionTimestamp" in control_plane.get(path)["metadata"], 20, "the deletion")
        wait_until(lambda: "deletionTimestamp" in pods(control_plane, namespace)[0]["metadata"], 20, "the pod to end")
        assert process.poll() is None
        assert control_plane.get(path) is not None
        control_plane.patch(f"/api/v1/namespaces/{namespace}/pods/{pod}", {"metadata": {"finalizers": None}})
        text, _ = process.communicate(timeout=60)
    assert process.returncode == 0, text
    assert control_plane.get(path) is None
    assert pods(control_plane, namespace) == []
