"""Images for nodes that pull from no registry: `make cluster-images`."""

import sys

import docker
from node_under_test import NodeUnderTest, new_name, pod

from engine.cluster.image_import import IMAGES, import_images, read_kubeconfig, target
from engine.images import ensure_base_image


def test_imported_images_run_without_any_pull(node: NodeUnderTest) -> None:
    """Prevents names in the settings that the node does not know, told as ErrImageNeverPull."""
    client = docker.from_env(timeout=300)
    stack, base = new_name("import"), ensure_base_image(print)
    names: dict[str, str] = {}
    try:
        for image in IMAGES:
            client.images.get(base).tag(f"agent-fleet/{image}", f"agent-fleet-{stack}")
        found = target(read_kubeconfig(node.kubeconfig), None, node.layout.server, False)
        names = import_images(client, found, node.layout, stack, print)
        place = new_name("imported")
        node.make_namespace(place)
        worker = pod("worker", place, names["runtime"])
        worker["spec"]["containers"][0]["imagePullPolicy"] = "Never"
        node.apply(worker)
        node.ready(place, "worker")
        node.kubectl("delete", "namespace", place, "--wait=false")
    finally:
        for image in IMAGES:
            client.images.remove(f"agent-fleet/{image}:agent-fleet-{stack}")
        for name in names.values():
            client.images.remove(name)
        client.close()


def test_without_the_stacks_images_the_command_says_which_is_missing(node: NodeUnderTest) -> None:
    """Prevents a stack trace of Docker's client where one sentence says what to build."""
    ended = node.run(
        *(sys.executable, "-m", "engine", "cluster-images", "--stack", "no-such-stack"),
        *("--kubeconfig", str(node.kubeconfig)),
    )
    assert ended.returncode == 1
    assert "no image agent-fleet/runtime:agent-fleet-no-such-stack" in ended.stderr
    assert "make up STACK=no-such-stack" in ended.stderr
