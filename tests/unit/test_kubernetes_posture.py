"""The posture of everything that the cluster's components start, and the Docker rendering held against the pods'."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pulumi_docker as docker
import pulumi_kubernetes as k8s
import pytest
from agent_fleet.docker.container import container_args
from agent_fleet.kubernetes.pod import PodSettings, grace_seconds, pod_template
from agent_fleet.kubernetes.pool_workloads import pool_workloads
from agent_fleet.workload import CredentialsMount, HostPathMount, User, Workload
from kubernetes_fleet import RUNTIME_IMAGE, SANDBOX_IMAGE, containers, declare_fleet, mebibytes, millicpus, pods
from recording import FLEET, Recording, record

ROLES = ("pool", "api", "database", "redis", "sandbox", "image-prepull")
POOL: Any = {
    "fleet": FLEET,
    "team": "alpha",
    "agent_type": "testing",
    "namespace": "pools",
    "image": RUNTIME_IMAGE,
    "database_url": "postgresql://u:p@h:5432/d",
    "sandbox": {"image": SANDBOX_IMAGE},
    "sandbox_namespace": "sandboxes",
}


@pytest.fixture(scope="module")
def in_cluster(preview: bool) -> Recording:
    """All components in a cluster, declared once for each mode."""
    return record(declare_fleet, preview=preview)


def of_role(recording: Recording, role: str) -> list[Mapping[str, Any]]:
    """The pods' specs of one role."""
    return [spec for owner, spec in pods(recording) if owner.inputs["metadata"]["labels"]["agent-fleet.role"] == role]


@pytest.mark.parametrize("role", ROLES)
class TestEveryPod:
    """What holds for the fleet's own programs and for strangers' code alike."""

    def test_is_there_to_be_judged(self, in_cluster: Recording, role: str) -> None:
        """A posture test over no pods would pass."""
        assert of_role(in_cluster, role)

    def test_runs_as_somebody_else_than_root_under_the_default_seccomp_profile(
        self, in_cluster: Recording, role: str
    ) -> None:
        """Root in a container is root in the kernel."""
        wanted = {"pool": 1001, "api": 1001, "database": 999, "redis": 998, "sandbox": 10001, "image-prepull": 65532}[
            role
        ]
        for spec in of_role(in_cluster, role):
            assert spec["securityContext"]["runAsNonRoot"] is True
            assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
            for container in containers(spec).values():
                assert container["securityContext"]["runAsUser"] == spec["securityContext"]["runAsUser"] == wanted

    def test_has_a_read_only_root_no_capability_and_gains_none(self, in_cluster: Recording, role: str) -> None:
        """An intruder could change the program that runs, or open the host."""
        for spec in of_role(in_cluster, role):
            for container in containers(spec).values():
                context = container["securityContext"]
                assert context["readOnlyRootFilesystem"] is True
                assert context["allowPrivilegeEscalation"] is context["privileged"] is False
                assert context["capabilities"] == {"drop": ["ALL"]}

    def test_shares_nothing_of_its_host(self, in_cluster: Recording, role: str) -> None:
        """The host's processes, network or files would be in reach."""
        for spec in of_role(in_cluster, role):
            assert not {"hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"} & spec.keys()
            kinds = {kind for volume in spec.get("volumes", []) for kind in volume if kind != "name"}
            assert kinds <= {"emptyDir", "persistentVolumeClaim", "projected"}
            for container in containers(spec).values():
                assert not any("hostPort" in port for port in container.get("ports", []))

    def test_is_not_told_of_other_services(self, in_cluster: Recording, role: str) -> None:
        """Their addresses would stand in its environment."""
        assert all(spec["enableServiceLinks"] is False for spec in of_role(in_cluster, role))

    def test_writes_to_memory_of_a_bounded_size_only(self, in_cluster: Recording, role: str) -> None:
        """A directory without a limit fills its node's disk."""
        for spec in of_role(in_cluster, role):
            for volume in spec.get("volumes", []):
                if "emptyDir" in volume:
                    assert volume["emptyDir"]["medium"] == "Memory"
                    assert mebibytes(volume["emptyDir"]["sizeLimit"]) > 0


def test_a_sandbox_finds_no_name_server_and_no_account(in_cluster: Recording) -> None:
    """Names are a way out, and an account is a way to the API server."""
    for spec in of_role(in_cluster, "sandbox"):
        assert (spec["dnsPolicy"], spec["dnsConfig"]) == ("None", {"nameservers": ["127.0.0.1"]})
        assert spec["automountServiceAccountToken"] is False
        assert not any("projected" in volume for volume in spec["volumes"])
        (container,) = spec["containers"]
        assert "env" not in container


def test_a_sandbox_writes_where_a_docker_host_lets_it(in_cluster: Recording) -> None:
    """A job would work in one architecture and fail in the other."""
    for spec in of_role(in_cluster, "sandbox"):
        (container,) = spec["containers"]
        sizes = {volume["name"]: mebibytes(volume["emptyDir"]["sizeLimit"]) for volume in spec["volumes"]}
        mounted = {mount["mountPath"]: sizes[mount["name"]] for mount in container["volumeMounts"]}
        assert mounted == {"/job": 64, "/tmp": 16, "/dev/shm": 16}


def rendered_both_ways(describe: Callable[[], Workload]) -> tuple[Workload, Any, Any]:
    """A workload, its Docker container's inputs and the spec of its pod."""
    described = PodSettings(
        labels={"a": "b"}, selector={"a": "b"}, service_account="x", pull_policy="Always", secrets="x"
    )
    found: list[Workload] = []

    def program() -> Any:
        found.append(describe())
        docker.Container("docker", container_args(found[0], FLEET))
        return k8s.core.v1.Pod("pod", spec=pod_template(found, described).spec).urn

    recording = record(program, preview=False)
    return (
        found[0],
        recording.one("docker:index/container:Container", "docker").inputs,
        recording.one("kubernetes:core/v1:Pod", "pod").inputs["spec"],
    )


def what_docker_has_too(workload: Workload) -> Workload:
    """Without the mount that only a cluster has."""
    kept = tuple(each for each in workload.mounts if not isinstance(each, CredentialsMount))
    return replace(workload, mounts=kept)


@pytest.mark.parametrize("index", [0, 1], ids=["api", "worker"])
def test_both_renderings_of_a_workload_say_the_same(index: int) -> None:
    """The posture would be written once and hold on Docker only, or in a cluster only."""
    workload, on_host, pod = rendered_both_ways(lambda: what_docker_has_too(pool_workloads(POOL)[index]))
    (container,) = pod["containers"]
    context = container["securityContext"]
    assert on_host["user"] == f"{context['runAsUser']:g}:{context['runAsGroup']:g}"
    assert on_host["readOnly"] is context["readOnlyRootFilesystem"]
    assert on_host["capabilities"] == {"drops": context["capabilities"]["drop"]}
    assert (on_host["securityOpts"] == ["no-new-privileges:true"]) is not context["allowPrivilegeEscalation"]
    assert on_host["memory"] == mebibytes(container["resources"]["limits"]["memory"])
    assert float(on_host["cpus"]) * 1000 == millicpus(container["resources"]["limits"]["cpu"])
    assert on_host["command"] == container["args"]
    assert on_host["image"] == container["image"]
    assert on_host["stopTimeout"] + workload.routed_seconds == pod["terminationGracePeriodSeconds"]
    assert set(on_host["tmpfs"]) == {mount["mountPath"] for mount in container["volumeMounts"]}
    plain = {each["name"]: each["value"] for each in container["env"] if "value" in each}
    secret = {each["name"] for each in container["env"] if "secretKeyRef" in each.get("valueFrom", {})}
    assert {each.split("=", 1)[0] for each in on_host["envs"]} == {*plain, *secret}
    assert secret == {"FLEET_DATABASE_URL"}


def test_a_pod_stops_when_the_slowest_of_its_workloads_has() -> None:
    """The API's short grace would cut off the worker's jobs."""

    def program() -> str:
        api, worker = pool_workloads(POOL)
        slowest = grace_seconds([api, worker])
        return f"{slowest == worker.stop_grace_seconds > api.routed_seconds + api.stop_grace_seconds}"

    assert record(program, preview=False).result == "True"


@pytest.mark.parametrize(
    "weaker",
    [{"user": User(uid=0, gid=0)}, {"mounts": (HostPathMount(host_path="/", path="/x"),)}],
    ids=["root", "host path"],
)
def test_what_a_namespace_would_refuse_is_refused_by_the_renderer(weaker: dict[str, Any]) -> None:
    """The Deployment would be accepted and never have a pod."""
    with pytest.raises(ValueError, match="which Pod Security restricted refuses"):
        rendered_both_ways(lambda: replace(pool_workloads(POOL)[0], **weaker))


def test_a_docker_host_refuses_credentials_that_it_cannot_give() -> None:
    """The worker would start, and find no token."""
    with pytest.raises(ValueError, match="a Docker host has none to give"):
        rendered_both_ways(lambda: pool_workloads(POOL)[1])
