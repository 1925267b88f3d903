"""The kubernetes stand-in where pods really run: readiness, roll-outs, failures and draining as kubelets show them."""

import subprocess
from pathlib import Path

import pytest
from node_under_test import NodeUnderTest, new_name
from stack_program import StackProgram

from engine import plugins
from engine.environment import engine_environment
from engine.paths import Paths
from engine.toolchain import ensure_toolchain


@pytest.fixture
def workloads(node: NodeUnderTest, tmp_path: Path) -> StackProgram:
    """An empty stack whose programs use the node by default."""
    paths, lines = Paths(), list[str]()
    ensure_toolchain(lines.append, paths)
    plugins.provide(paths, "stand-ins", lines.append)
    environment = engine_environment(
        paths, state=tmp_path / "state", passphrase=tmp_path / "passphrase", plugins="stand-ins"
    )
    return StackProgram(tmp_path / "program", environment | {"KUBECONFIG": str(node.kubeconfig)}).init()


def head(namespace: str, image: str, script: str, grace: int = 1) -> str:
    """The beginning of a program: a namespace, and pods that run a bash script."""
    return f"""
import pulumi, pulumi_kubernetes as k8s
space = k8s.core.v1.Namespace("space", metadata={{"name": {namespace!r}}})
meta = lambda name: {{"name": name, "namespace": space.metadata.name}}
def pod(name, **more):
    container = {{"name": "main", "image": {image!r}, "command": ["bash", "-c", {script!r}], **more}}
    return {{"metadata": {{"labels": {{"app": name}}}},
        "spec": {{"containers": [container], "termination_grace_period_seconds": {grace}}}}}
def chosen(name):
    return {{"match_labels": {{"app": name}}}}
"""


def test_workloads_of_every_kind_roll_out_and_go(workloads: StackProgram, node: NodeUnderTest, node_image: str) -> None:
    """Prevents a success while pods of the old version still serve, and one that never comes."""
    namespace = new_name("standin")
    program = f"""{head(namespace, node_image, "trap 'exit 0' TERM; sleep 1000 & wait")}
env = [{{"name": "VERSION", "value": "VALUE"}}]
k8s.apps.v1.Deployment("web", metadata=meta("web"), spec={{
    "replicas": 2, "selector": chosen("web"), "template": pod("web", env=env),
    "strategy": {{"rolling_update": {{"max_unavailable": 0, "max_surge": 1}}}}}})
k8s.apps.v1.StatefulSet("data", metadata=meta("data"), spec={{
    "service_name": "data", "replicas": 2, "selector": chosen("data"), "template": pod("data", env=env)}})
k8s.apps.v1.DaemonSet("each", metadata=meta("each"), spec={{
    "selector": chosen("each"), "template": pod("each", env=env)}})
k8s.core.v1.Service("web", metadata=meta("web"), spec={{"selector": {{"app": "web"}}, "ports": [{{"port": 80}}]}})
k8s.core.v1.PersistentVolumeClaim("claim", metadata=meta("claim"), spec={{
    "access_modes": ["ReadWriteOnce"], "resources": {{"requests": {{"storage": "1Mi"}}}}}})
task = pod("task")
task["spec"] |= {{"restart_policy": "Never"}}
task["spec"]["containers"][0]["command"] = ["true"]
k8s.batch.v1.Job("task", metadata=meta("task"), spec={{"template": task}})
"""
    workloads.write(program.replace("VALUE", "1"))
    assert workloads.up().succeeded().changes == {"created": 8}
    assert workloads.up().succeeded().changes == {"unchanged": 8}
    workloads.write(program.replace("VALUE", "2"))
    assert workloads.up().succeeded().changes == {"updated": 3, "unchanged": 5}
    pods = node.get("pods", "-n", namespace, "-l", "app in (web, data, each)")["items"]
    current = [item for item in pods if not item["metadata"].get("deletionTimestamp")]
    assert len(current) == 5
    assert {item["spec"]["containers"][0]["env"][0]["value"] for item in current} == {"2"}
    assert all(item["status"]["containerStatuses"][0]["ready"] for item in current)
    workloads.refresh().succeeded()
    assert workloads.up().succeeded().changes == {"unchanged": 8}
    workloads.destroy().succeeded()
    assert namespace not in node.kubectl("get", "namespaces")


def test_an_image_that_cannot_be_pulled_is_named_and_the_next_run_goes_on(
    workloads: StackProgram, node: NodeUnderTest, node_image: str
) -> None:
    """Prevents ten silent minutes; the object that is there is mended and not made again."""
    namespace = new_name("standin")
    program = f"""{head(namespace, "IMAGE", "sleep 1000")}
k8s.apps.v1.Deployment("web", metadata=meta("web"), spec={{
    "selector": chosen("web"), "template": pod("web"), "progress_deadline_seconds": 20}})
"""
    missing = f"{node.registry}/no-such-image@sha256:{'0' * 64}"
    workloads.write(program.replace("IMAGE", missing))
    text = workloads.up().failed().text
    assert f"Deployment {namespace}/web did not become ready" in text
    assert "has timed out progressing" in text
    assert "ErrImagePull" in text or "ImagePullBackOff" in text
    assert "no-such-image" in text
    workloads.write(program.replace("IMAGE", node_image))
    assert workloads.up().succeeded().changes == {"updated": 1, "unchanged": 2}
    workloads.destroy().succeeded()


def test_a_container_that_crashes_is_named_with_its_exit_code(
    workloads: StackProgram, node: NodeUnderTest, node_image: str
) -> None:
    """Prevents a message that only says `timed out`."""
    namespace = new_name("standin")
    workloads.write(
        f"""{head(namespace, node_image, "echo why > /dev/termination-log; exit 7")}
k8s.apps.v1.Deployment("web", metadata=meta("web"), spec={{
    "selector": chosen("web"), "template": pod("web"), "min_ready_seconds": 5, "progress_deadline_seconds": 15}})
"""
    )
    assert "container main exited with code 7: why" in workloads.up().failed().text
    workloads.destroy().succeeded()


def test_a_removed_pool_drains_before_it_counts_as_gone(
    workloads: StackProgram, node: NodeUnderTest, node_image: str
) -> None:
    """Prevents running jobs from being cut off, and a destroy that ends before they do."""
    namespace = new_name("standin")
    start = head(namespace, node_image, "trap 'sleep 4; echo drained; exit 0' TERM; sleep 1000 & wait", grace=30)
    pool = """
k8s.apps.v1.Deployment("pool", metadata=meta("pool"), spec={"selector": chosen("pool"), "template": pod("pool")},
    opts=pulumi.ResourceOptions(custom_timeouts=pulumi.CustomTimeouts(delete="60s")))
"""
    workloads.write(start + pool)
    workloads.up().succeeded()
    name = node.get("pods", "-n", namespace)["items"][0]["metadata"]["name"]
    workloads.write(start)
    following = node.command("logs", "--follow", "-n", namespace, name)
    # From before the change: right after its last line the pod is gone, and its log with it.
    with subprocess.Popen(following, stdout=subprocess.PIPE, text=True) as log:
        with workloads.start("up", "--yes", "--skip-preview") as process:
            text, _ = process.communicate(timeout=100)
        said, _ = log.communicate(timeout=30)
    assert "drained" in said
    assert process.returncode == 0, text
    assert "1 deleted" in text
    assert node.get("pods", "-n", namespace)["items"] == []
    workloads.destroy().succeeded()
