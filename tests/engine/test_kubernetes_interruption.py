"""What is left when everything is killed, and that the next run makes one whole of it."""

import json
import os
import random
import signal
from pathlib import Path
from typing import Any

from control_plane import ControlPlane
from stack_program import StackProgram, wait_until

from engine.stack_state import StackState

HEAD = "import pulumi, pulumi_kubernetes as k8s\n"
COUNT = 12


def program(namespace: str, name: str = "") -> str:
    """A program with objects under fixed and under made-up names."""
    return f"""{HEAD}
inside = {{"namespace": {namespace!r}}}
for number in range({COUNT}):
    k8s.core.v1.ConfigMap(f"fixed-{{number}}", metadata={{"name": f"fixed-{{number}}", **inside}}, data={{"a": "1"}})
    k8s.core.v1.ConfigMap(f"auto-{{number}}", metadata=inside, data={{"a": "1"}})
k8s.core.v1.Service("service", metadata={{"name": "service", **inside}},
    spec={{"ports": [{{"port": 80}}], "selector": {{"a": "b"}}}})
"""


def names(control_plane: ControlPlane, namespace: str) -> list[str]:
    """The ConfigMaps of the namespace that the program made."""
    items: list[Any] = control_plane.get(f"/api/v1/namespaces/{namespace}/configmaps")["items"]
    return sorted(item["metadata"]["name"] for item in items if item["metadata"]["name"] != "kube-root-ca.crt")


def put_back_a_torn_checkpoint(stack: StackProgram) -> None:
    """What `make up` does first: a kill may cut off what the engine writes."""
    state = Path(stack.environment["PULUMI_BACKEND_URL"].removeprefix("file://"))
    StackState(state, "test").drop_torn_attributes()
    checkpoint = state / ".pulumi" / "stacks" / "probe" / "test.json"
    try:
        json.loads(checkpoint.read_text())
    except ValueError:
        checkpoint.write_bytes(checkpoint.with_name(f"{checkpoint.name}.bak").read_bytes())


def test_killed_at_five_moments_a_run_converges_and_makes_nothing_twice(
    cluster_stack: StackProgram, control_plane: ControlPlane, namespace: str
) -> None:
    """Prevents `already exists` after a crash, and objects under made-up names that nobody knows any more."""
    cluster_stack.write(program(namespace))
    chance = random.Random(7)
    for _ in range(5):
        goal = len(names(control_plane, namespace)) + chance.randint(1, 6)
        with cluster_stack.start("up", "--yes", "--skip-preview") as process:
            wait_until(
                lambda goal=goal, process=process: (
                    process.poll() is not None or len(names(control_plane, namespace)) >= goal
                ),
                60,
                f"{goal} objects",
            )
            if process.poll() is None:
                os.kill(process.pid, signal.SIGKILL)
            process.communicate()
        wait_until(lambda: not cluster_stack.plugins(), 15, "the engine's plugins to end with it")
        put_back_a_torn_checkpoint(cluster_stack)
        cluster_stack.run("cancel", "--yes")
    cluster_stack.up().succeeded()
    assert cluster_stack.up().succeeded().changes == {"unchanged": 2 * COUNT + 2}
    found = names(control_plane, namespace)
    assert len([name for name in found if name.startswith("fixed-")]) == COUNT
    stems = sorted(name.rpartition("-")[0] for name in found if name.startswith("auto-"))
    assert stems == sorted(f"auto-{number}" for number in range(COUNT))
    assert len(found) == 2 * COUNT
    cluster_stack.destroy().succeeded()
    assert names(control_plane, namespace) == []


def test_a_forced_replacement_of_a_fixed_name_loses_nothing(
    cluster_stack: StackProgram, control_plane: ControlPlane, namespace: str
) -> None:
    """Prevents an object from being found again as its own successor, and then deleted as its own predecessor."""
    cluster_stack.write(program(namespace))
    cluster_stack.up().succeeded()
    urn = "urn:pulumi:test::probe::kubernetes:core/v1:ConfigMap::fixed-1"
    cluster_stack.up("--replace", urn)
    assert "fixed-1" in names(control_plane, namespace)
    cluster_stack.up().succeeded()
    assert "fixed-1" in names(control_plane, namespace)


def test_an_api_server_that_restarts_does_not_fail_the_update(
    cluster_stack: StackProgram, control_plane: ControlPlane, namespace: str
) -> None:
    """Prevents half a minute without an API server from failing a deployment."""
    cluster_stack.write(program(namespace))
    with cluster_stack.start("up", "--yes", "--skip-preview") as process:
        wait_until(lambda: len(names(control_plane, namespace)) >= 3, 60, "three objects")
        control_plane.stop_api_server()
        control_plane.start_api_server()
        text, _ = process.communicate(timeout=120)
        assert process.returncode == 0, text
    assert len(names(control_plane, namespace)) == 2 * COUNT


def test_a_new_token_replaces_nothing_and_another_cluster_everything(
    cluster_stack: StackProgram, control_plane: ControlPlane, namespace: str
) -> None:
    """Prevents a renewed kubeconfig from deleting a fleet and making it anew."""
    source = f"""{HEAD}
import json
config = json.load(open({str(control_plane.kubeconfig)!r}))
config["clusters"][0]["cluster"]["certificate-authority"] = {str(control_plane.folder / "certs" / "apiserver.crt")!r}
CHANGE
provider = k8s.Provider("cluster", kubeconfig=json.dumps(config), namespace={namespace!r} IDENTIFIER)
options = pulumi.ResourceOptions(provider=provider)
k8s.core.v1.ConfigMap("one", metadata={{"name": "one"}}, data={{"a": "1"}}, opts=options)
"""
    cluster = 'config["clusters"][0]["cluster"]'
    address = f'{cluster}["server"] = {cluster}["server"].replace("127.0.0.1", "localhost")'

    def write(change: str, identifier: str) -> None:
        named = f', cluster_identifier="{identifier}"' if identifier else ""
        cluster_stack.write(source.replace("CHANGE", change).replace("IDENTIFIER", named))

    write("", "")
    cluster_stack.up().succeeded()
    write('config["users"].append({"name": "other", "user": {"token": "x"}})', "")
    assert cluster_stack.preview().succeeded().changes == {"to update": 1, "unchanged": 2}
    write(address, "")
    assert cluster_stack.preview().succeeded().changes["to replace"] == 2
    write("", "one")
    cluster_stack.up().succeeded()
    write(address, "one")
    assert cluster_stack.up().succeeded().changes == {"updated": 1, "unchanged": 2}
    write(address, "two")
    assert cluster_stack.preview().succeeded().changes["to replace"] == 2
