"""From the inputs of `docker.Container` to the Docker Engine API."""

from pathlib import Path
from typing import Any

import pytest

from engine.standins import docker_container, sdk_types
from engine.standins.docker_container_rules import failures
from engine.standins.docker_container_spec import create_body, endpoints, nanoseconds, update_body
from engine.standins.docker_image import split_reference

SOURCES = Path(docker_container.__file__).parent.glob("docker_container*.py")


def test_no_input_of_the_sdk_is_ignored() -> None:
    """Prevents an input that is accepted and does nothing, after an SDK gained one."""
    resource = sdk_types.resource_type("docker:index/container:Container")
    assert resource is not None
    code = (
        "".join(path.read_text() for path in SOURCES)
        + (Path(docker_container.__file__).parent / "docker_health.py").read_text()
    )
    assert [name for name in resource.inputs if f'"{name}"' not in code] == []


def test_units_and_names_are_dockers() -> None:
    """Prevents limits that are a million times too small, and hardening that is lost on the way."""
    body = create_body(
        {
            "image": "sha256:1",
            "name": "x",
            "entrypoints": ["/e"],
            "memory": 64,
            "memorySwap": -1,
            "memoryReservation": 32,
            "shmSize": 8,
            "cpus": "1.5",
            "cpuQuota": 5,
            "ports": [{"internal": 80, "external": 8080, "ip": "127.0.0.1"}, {"internal": 53, "protocol": "udp"}],
            "volumes": [
                {"volumeName": "v", "containerPath": "/v", "readOnly": True},
                {"hostPath": "/h", "containerPath": "/h2"},
                {"containerPath": "/anonymous"},
                {"fromContainer": "other"},
            ],
            "mounts": [{"type": "tmpfs", "target": "/t", "tmpfsOptions": {"sizeBytes": 5}}],
            "securityOpts": ["no-new-privileges:true", "systempaths=unconfined"],
            "hosts": [{"host": "h", "ip": "10.0.0.1"}],
            "ulimits": [{"name": "nproc", "soft": 1, "hard": 2}],
            "healthcheck": {"tests": ["CMD", "x"], "interval": "1m30s", "timeout": "500ms", "retries": 2},
            "gpus": "device=0,1",
            "restart": "on-failure",
            "maxRetryCount": 3,
            "labels": [{"label": "a", "value": "b"}],
            "stopTimeout": 5,
        }
    )
    host = body["HostConfig"]
    mebibyte = 1024**2
    assert (host["Memory"], host["MemorySwap"], host["MemoryReservation"]) == (64 * mebibyte, -1, 32 * mebibyte)
    assert (host["ShmSize"], host["NanoCpus"], "CpuQuota" in host) == (8 * mebibyte, 1_500_000_000, False)
    assert body["ExposedPorts"] == {"80/tcp": {}, "53/udp": {}}
    assert host["PortBindings"] == {
        "80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}],
        "53/udp": [{"HostIp": "0.0.0.0", "HostPort": ""}],
    }
    assert host["Binds"] == ["v:/v:ro", "/h:/h2:rw"]
    assert body["Volumes"] == {"/v": {}, "/h2": {}, "/anonymous": {}}
    assert host["VolumesFrom"] == ["other"]
    assert host["Mounts"] == [
        {"Type": "tmpfs", "Target": "/t", "ReadOnly": False, "TmpfsOptions": {"SizeBytes": 5}},
    ]
    assert (host["SecurityOpt"], host["MaskedPaths"]) == (["no-new-privileges:true"], [])
    assert host["ExtraHosts"] == ["h:10.0.0.1"]
    assert host["Ulimits"] == [{"Name": "nproc", "Soft": 1, "Hard": 2}]
    assert body["Healthcheck"] == {
        "Test": ["CMD", "x"],
        "Retries": 2,
        "Interval": 90_000_000_000,
        "Timeout": 500_000_000,
    }
    assert host["DeviceRequests"] == [{"DeviceIDs": ["0", "1"], "Capabilities": [["gpu"]]}]
    assert host["RestartPolicy"] == {"Name": "on-failure", "MaximumRetryCount": 3}
    assert (body["Labels"], body["StopTimeout"], body["Entrypoint"]) == ({"a": "b"}, 5, ["/e"])


def test_networks_are_joined_with_aliases_and_addresses() -> None:
    """Prevents a container that its neighbours cannot find by name."""
    networks = [{"name": "n", "aliases": ["a"], "ipv4Address": "10.0.0.2", "driverOpts": ["k=v"]}, {"name": "m"}]
    assert endpoints({"networksAdvanced": networks}) == [
        ("n", {"Aliases": ["a"], "IPAMConfig": {"IPv4Address": "10.0.0.2"}, "DriverOpts": {"k": "v"}}),
        ("m", {}),
    ]


def test_a_higher_memory_limit_takes_the_swap_limit_along() -> None:
    """Prevents Docker's refusal to raise memory above the memory and swap that it set itself."""
    assert update_body({"memory": 64})["MemorySwap"] == 128 * 1024**2
    assert update_body({"memory": 64, "memorySwap": 64})["MemorySwap"] == 64 * 1024**2


@pytest.mark.parametrize("wrong", ["", "soon", "10", "5 s", "1d"])
def test_a_wrong_duration_is_refused(wrong: str) -> None:
    """Prevents a health check that never runs."""
    with pytest.raises(ValueError, match="is no duration"):
        nanoseconds(wrong)


@pytest.mark.parametrize(
    ("inputs", "path"),
    [
        ({"volumes": [{"volumeName": "v"}]}, "volumes[0]"),
        ({"volumes": [{"hostPath": "here", "containerPath": "/x"}]}, "volumes[0].hostPath"),
        ({"uploads": [{"file": "/f"}]}, "uploads[0]"),
        ({"uploads": [{"file": "/f", "content": "x", "permissions": "rw"}]}, "uploads[0].permissions"),
        ({"wait": True, "start": False}, "wait"),
        ({"rm": True, "restart": "always"}, "rm"),
        ({"command": ["a", ""]}, "command[1]"),
        ({"name": "-x"}, "name"),
        ({"containerReadRefreshTimeoutMilliseconds": 1}, "containerReadRefreshTimeoutMilliseconds"),
    ],
)
def test_what_docker_would_refuse_later_is_refused_now(inputs: dict[str, Any], path: str) -> None:
    """Prevents an update that stops halfway."""
    assert [item.path for item in failures({"image": "x", **inputs})] == [path]


@pytest.mark.parametrize(
    ("reference", "parts"),
    [
        ("debian", ("debian", "latest")),
        ("debian:12", ("debian", "12")),
        ("host:5000/a/b", ("host:5000/a/b", "latest")),
        ("host:5000/a/b:1", ("host:5000/a/b", "1")),
        ("a@sha256:0", ("a", "sha256:0")),
    ],
)
def test_references_are_split(reference: str, parts: tuple[str, str]) -> None:
    """Prevents a pull of the wrong tag."""
    assert split_reference(reference) == parts
