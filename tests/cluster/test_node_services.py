"""What the one-node cluster gives its pods: restricted pods, names, services, metrics, storage, images."""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from kr8s import Api
from kr8s.objects import Node
from node_under_test import HTTP_SERVER, NodeUnderTest, claim, http_get, new_name, pod, wait_for


@pytest.fixture(scope="module")
def place(node: NodeUnderTest, node_image: str) -> Iterator[str]:
    """A namespace with a server, a client and a Service of both kinds of address."""
    name = new_name("services")
    node.make_namespace(name)
    node.apply(
        pod("server", name, node_image, HTTP_SERVER),
        pod("client", name, node_image),
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "server", "namespace": name},
            "spec": {"type": "NodePort", "selector": {"app": "server"}, "ports": [{"port": 80, "targetPort": 8080}]},
        },
    )
    node.ready(name, "server", "client")
    yield name
    node.kubectl("delete", "namespace", name, "--wait=false")


def test_the_node_is_ready_and_speaks_the_pinned_version(api: Api) -> None:
    """Prevents tests that pass against another Kubernetes than the one that is documented."""
    found = Node.get("agent-fleet-node", api=api)
    assert found.status.nodeInfo.kubeletVersion == "v1.34.2"
    assert api.version()["gitVersion"] == "v1.34.2"


def test_a_second_make_cluster_says_that_it_runs(node: NodeUnderTest) -> None:
    """Prevents a command that starts things anew because somebody asked whether they run."""
    ended = node.run(sys.executable, "-m", "engine", "cluster")
    assert ended.returncode == 0, ended.stderr
    assert "running already; nothing was changed" in ended.stdout
    assert str(node.kubeconfig) in ended.stdout


def test_a_pod_finds_a_service_by_name_and_reaches_it(node: NodeUnderTest, place: str) -> None:
    """Prevents a cluster whose pods cannot call each other, which a Ready node does not show."""
    assert node.shell(place, "client", f"getent hosts server.{place}.svc.cluster.local").strip()
    wait_for(
        lambda: "hello" in node.shell(place, "client", http_get("server", 80), fails=None),
        "the Service's rules, which come a moment after its pods",
        30,
    )


def test_a_node_port_answers_on_the_loopback_interface_only(node: NodeUnderTest, place: str) -> None:
    """Prevents a service of the fleet that the whole network of the machine reaches."""
    service = node.get("service", "server", "-n", place)
    port = service["spec"]["ports"][0]["nodePort"]
    assert "hello" in node.run("bash", "-c", http_get("127.0.0.1", port)).stdout
    listed = json.loads(node.run("ip", "-json", "-4", "address", "show").stdout)
    addresses = [info["local"] for item in listed for info in item["addr_info"] if info["local"] != "127.0.0.1"]
    assert addresses
    for address in addresses:
        assert node.run("bash", "-c", http_get(address, port)).returncode != 0, address


def test_nothing_of_the_cluster_listens_beyond_the_machine(node: NodeUnderTest) -> None:
    """Prevents an API server, an etcd or a kubelet on the machine's public address."""
    ports = {value for name, value in vars(node.layout).items() if name.endswith("_port") and isinstance(value, int)}
    listening = [line.split()[1] for line in Path("/proc/net/tcp").read_text().splitlines()[1:] if " 0A " in line]
    own = {
        "".join(f"{int(part):02X}" for part in reversed(address.split(".")))
        for address in ("127.0.0.1", node.layout.node_address)
    }
    wide = [item for item in listening if int(item.split(":")[1], 16) in ports and item.split(":")[0] not in own]
    assert wide == []
    six = Path("/proc/net/tcp6").read_text().splitlines()[1:] if Path("/proc/net/tcp6").exists() else []
    assert not [line for line in six if " 0A " in line and int(line.split()[1].split(":")[1], 16) in ports]


def test_a_pod_speaks_to_the_api_with_its_service_account(node: NodeUnderTest, place: str, node_image: str) -> None:
    """Prevents workers that cannot claim sandboxes because the API's address in pods does not answer."""
    node.apply(pod("caller", place, node_image, service_account="default"))
    node.ready(place, "caller")
    script = (
        "test -s /var/run/secrets/kubernetes.io/serviceaccount/token && "
        "exec timeout 5 bash -c 'exec 3<>/dev/tcp/kubernetes.default.svc/443 && echo reached'"
    )
    assert "reached" in node.shell(place, "caller", script)


def test_exec_logs_and_attach_go_through_the_api_server(node: NodeUnderTest, place: str, node_image: str) -> None:
    """Prevents a kubelet whose certificate the API server does not trust, which only these requests show."""
    assert node.shell(place, "client", "echo $((40 + 2))").strip() == "42"
    node.apply(pod("echo", place, node_image, "echo begun; read line; echo got $line; sleep infinity"))
    node.ready(place, "echo")
    wait_for(lambda: "begun" in node.kubectl("logs", "-n", place, "echo"), "the first line")
    attached = node.run(
        "bash",
        "-c",
        f"echo word | timeout 3 {node.layout.programs}/kubectl --kubeconfig={node.kubeconfig} "
        f"attach -i -n {place} echo",
    )
    wait_for(lambda: "got word" in node.kubectl("logs", "-n", place, "echo"), f"the answer: {attached.stderr}")


def test_the_kubelet_lets_nobody_in_without_a_certificate(node: NodeUnderTest) -> None:
    """Prevents a pod that runs commands in other pods through the kubelet's own port."""
    url = f"https://{node.layout.node_address}:{node.layout.kubelet_port}/pods"
    assert node.run("curl", "-sk", "-o", "/dev/null", "-w", "%{http_code}", url).stdout == "401"


def test_a_pod_that_is_not_restricted_is_refused(node: NodeUnderTest, place: str, node_image: str) -> None:
    """Prevents a cluster on which the posture of the fleet's pods is not judged at all."""
    privileged = pod("privileged", place, node_image)
    privileged["spec"]["containers"][0]["securityContext"] = {"privileged": True}
    said = node.kubectl("apply", "--filename=-", given=json.dumps(privileged), fails=True)
    assert 'violates PodSecurity "restricted' in said


def test_a_pods_processes_are_limited_and_filtered(node: NodeUnderTest, place: str) -> None:
    """Prevents a job that forks without end from taking the machine with it."""
    uid = node.get("pod", "client", "-n", place)["metadata"]["uid"]
    limits = [
        path.read_text().strip() for path in Path("/sys/fs/cgroup").rglob(f"{node.layout.cgroup}/**/pod{uid}/pids.max")
    ]
    assert limits == ["1024"]
    status = node.shell(place, "client", "cat /proc/self/status")
    assert re.search(r"^NoNewPrivs:\s+1$", status, re.M)
    assert re.search(r"^Seccomp:\s+2$", status, re.M)


def test_metrics_are_served_for_the_node_and_its_pods(node: NodeUnderTest, place: str) -> None:
    """Prevents autoscalers that never move because nobody measures."""

    def measured() -> bool:
        nodes = json.loads(node.kubectl("get", "--raw", "/apis/metrics.k8s.io/v1beta1/nodes"))["items"]
        pods = json.loads(node.kubectl("get", "--raw", f"/apis/metrics.k8s.io/v1beta1/namespaces/{place}/pods"))[
            "items"
        ]
        return bool(nodes) and {"server", "client"} <= {item["metadata"]["name"] for item in pods}

    wait_for(measured, "figures of the node and both pods", 90)
    assert "agent-fleet-node" in node.kubectl("top", "node")


@pytest.mark.parametrize("mode", ["ReadWriteOnce", "ReadWriteMany"])
def test_a_claim_is_written_by_any_user_shared_and_removed(
    node: NodeUnderTest, place: str, node_image: str, mode: str
) -> None:
    """Prevents a workspace that only root writes to, and disks that fill with what was deleted."""
    name = f"work-{mode.lower()}"
    node.apply(claim(name, place, mode))
    node.apply(
        pod(f"{name}-first", place, node_image, user=1001, claim=name),
        pod(f"{name}-second", place, node_image, user=1002, claim=name),
    )
    node.ready(place, f"{name}-first", f"{name}-second")
    node.shell(place, f"{name}-first", "echo kept > /work/file")
    assert node.shell(place, f"{name}-second", "cat /work/file; echo more > /work/second") == "kept\n"
    volume = node.get("pvc", name, "-n", place)["spec"]["volumeName"]
    folder = node.layout.volumes / volume
    assert {path.name for path in folder.iterdir()} == {"file", "second"}
    node.kubectl("delete", "pod", "-n", place, f"{name}-first", f"{name}-second")
    node.kubectl("delete", "pvc", "-n", place, name)
    wait_for(lambda: not folder.exists(), f"the folder of {volume} is gone")
    wait_for(lambda: not node.get("pv")["items"] or volume not in node.kubectl("get", "pv"), "so is the volume")


def test_a_secret_is_not_readable_in_the_database_files(node: NodeUnderTest, place: str) -> None:
    """Prevents API keys in plain text on the disk, and in every copy of it."""
    marker = new_name("marker")
    node.kubectl("create", "secret", "generic", "-n", place, "hidden", f"--from-literal=key={marker}")
    node.kubectl("create", "configmap", "-n", place, "shown", f"--from-literal=key=open-{marker}")
    files = [path.read_bytes() for path in (node.layout.data / "etcd").rglob("*") if path.is_file()]
    assert any(f"open-{marker}".encode() in content for content in files), "the test looks at the right files"
    assert not any(f"{marker}".encode() in content.replace(f"open-{marker}".encode(), b"") for content in files)


def test_what_belongs_to_the_cluster_is_readable_by_its_user_only(node: NodeUnderTest) -> None:
    """Prevents other users of the machine from becoming administrators of the cluster."""
    assert node.layout.folder.stat().st_mode & 0o777 == 0o700
    assert node.kubeconfig.stat().st_mode & 0o777 == 0o600
    for path in node.layout.certificates.iterdir():
        assert path.stat().st_mode & 0o077 == 0, path
