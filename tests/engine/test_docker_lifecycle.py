"""The docker stand-in on the real engine: from preview to destroy."""

from docker_objects import DockerObjects
from stack_program import StackProgram

NOTICE = "stand-in for the official provider"


def fleet(objects: DockerObjects, image: str, *, memory: int = 32, setting: str = "one") -> str:
    """A program with a network, a volume and a container that is waited for."""
    return f"""
        import pulumi
        import pulumi_docker as docker

        prefix = {objects.prefix!r}
        labels = [docker.ContainerLabelArgs(label="agent-fleet.fleet", value=prefix)]
        network = docker.Network(
            "network", name=prefix + "-network", internal=True,
            labels=[docker.NetworkLabelArgs(label="agent-fleet.fleet", value=prefix)],
        )
        volume = docker.Volume(
            "volume", name=prefix + "-volume", labels=[docker.VolumeLabelArgs(label="agent-fleet.fleet", value=prefix)]
        )
        container = docker.Container(
            "container", name=prefix + "-container", image={image!r}, command=["sleep", "600"], labels=labels,
            envs=["SETTING={setting}"], memory={memory}, memory_swap={memory}, restart="unless-stopped",
            capabilities=docker.ContainerCapabilitiesArgs(drops=["ALL"]), security_opts=["no-new-privileges:true"],
            read_only=True, tmpfs={{"/tmp": "size=1m"}}, user="1001:1001", cpus="0.5",
            log_driver="json-file", log_opts={{"max-size": "1m", "max-file": "2"}},
            networks_advanced=[docker.ContainerNetworksAdvancedArgs(name=network.name, aliases=["probe"])],
            volumes=[docker.ContainerVolumeArgs(volume_name=volume.name, container_path="/data")],
            healthcheck=docker.ContainerHealthcheckArgs(tests=["CMD", "/bin/true"], interval="200ms", retries=2),
            wait=True, wait_timeout=30, destroy_grace_seconds=0,
        )
        pulumi.export("address", container.network_datas[0].ip_address)
    """


def test_a_preview_creates_nothing(stack: StackProgram, docker_objects: DockerObjects, tiny_image: str) -> None:
    """Prevents a preview that acts."""
    stack.write(fleet(docker_objects, tiny_image))
    outcome = stack.preview().succeeded()
    assert outcome.changes == {"to create": 4}
    assert NOTICE in outcome.text
    assert docker_objects.names() == []


def test_a_stack_goes_up_stays_and_is_destroyed(
    stack: StackProgram, docker_objects: DockerObjects, tiny_image: str
) -> None:
    """Prevents drift between what the program says and what runs, needless changes, and leftovers."""
    stack.write(fleet(docker_objects, tiny_image))
    first = stack.up().succeeded()
    assert first.changes == {"created": 4}
    assert NOTICE in first.text
    prefix = docker_objects.prefix
    assert docker_objects.names() == [f"{prefix}-container", f"{prefix}-network", f"{prefix}-volume"]
    found = docker_objects.inspect(f"{prefix}-container")
    assert found["State"]["Health"]["Status"] == "healthy"
    host = found["HostConfig"]
    assert (host["Memory"], host["MemorySwap"], host["NanoCpus"]) == (32 * 1024**2, 32 * 1024**2, 500_000_000)
    assert (host["CapDrop"], host["SecurityOpt"]) == (["ALL"], ["no-new-privileges:true"])
    assert (host["ReadonlyRootfs"], host["Tmpfs"]) == (True, {"/tmp": "size=1m"})
    assert host["LogConfig"] == {"Type": "json-file", "Config": {"max-size": "1m", "max-file": "2"}}
    assert list(found["NetworkSettings"]["Networks"]) == [f"{prefix}-network"]
    assert stack.outputs()["address"] == found["NetworkSettings"]["Networks"][f"{prefix}-network"]["IPAddress"]

    assert stack.up().succeeded().changes == {"unchanged": 4}
    assert stack.refresh().succeeded().changes == {"unchanged": 4}

    assert stack.destroy().succeeded().changes == {"deleted": 4}
    assert docker_objects.names() == []


def test_a_limit_changes_in_place_and_a_setting_replaces(
    stack: StackProgram, docker_objects: DockerObjects, tiny_image: str
) -> None:
    """Prevents a container restarted for nothing, and one that keeps an old environment."""
    name = f"{docker_objects.prefix}-container"
    stack.write(fleet(docker_objects, tiny_image))
    stack.up().succeeded()
    before = docker_objects.inspect(name)

    stack.write(fleet(docker_objects, tiny_image, memory=48))
    assert stack.up().succeeded().changes == {"updated": 1, "unchanged": 3}
    updated = docker_objects.inspect(name)
    assert (updated["Id"], updated["HostConfig"]["Memory"]) == (before["Id"], 48 * 1024**2)

    stack.write(fleet(docker_objects, tiny_image, memory=48, setting="two"))
    preview = stack.preview("--diff").succeeded()
    assert preview.changes == {"to replace": 1, "unchanged": 3}
    assert '"SETTING=one" => "SETTING=two"' in preview.text
    assert stack.up().succeeded().changes == {"replaced": 1, "unchanged": 3}
    replaced = docker_objects.inspect(name)
    assert replaced["Id"] != before["Id"]
    assert "SETTING=two" in replaced["Config"]["Env"]


def test_a_refresh_notices_what_was_done_by_hand(
    stack: StackProgram, docker_objects: DockerObjects, tiny_image: str
) -> None:
    """Prevents a stack that claims containers which are stopped, changed or gone."""
    container = f"{docker_objects.prefix}-container"
    stack.write(fleet(docker_objects, tiny_image))
    stack.up().succeeded()

    docker_objects.client.containers.get(container).stop(timeout=0)
    docker_objects.client.containers.get(container).update(mem_limit="40m", memswap_limit="40m")
    assert stack.refresh().succeeded().changes == {"updated": 1, "unchanged": 3}
    assert stack.up().succeeded().changes == {"updated": 1, "unchanged": 3}
    found = docker_objects.inspect(container)
    assert (found["State"]["Running"], found["HostConfig"]["Memory"]) == (True, 32 * 1024**2)

    docker_objects.client.containers.get(container).remove(force=True)
    assert stack.refresh().succeeded().changes == {"deleted": 1, "unchanged": 3}
    assert stack.up().succeeded().changes == {"created": 1, "unchanged": 3}
    assert docker_objects.inspect(container)["State"]["Running"] is True


def test_deleting_what_is_gone_already_succeeds(
    stack: StackProgram, docker_objects: DockerObjects, tiny_image: str
) -> None:
    """Prevents a destroy that stops halfway because someone tidied up by hand."""
    stack.write(fleet(docker_objects, tiny_image))
    stack.up().succeeded()
    docker_objects.remove()
    assert stack.destroy().succeeded().changes == {"deleted": 4}


def test_a_resource_without_a_name_gets_one_and_keeps_it(
    stack: StackProgram, docker_objects: DockerObjects, tiny_image: str
) -> None:
    """Prevents a new random name, and so a replacement, on every run."""
    stack.write(f"""
        import pulumi, pulumi_docker as docker
        container = docker.Container(
            {docker_objects.prefix!r}, image={tiny_image!r}, command=["sleep", "600"], rm=False
        )
        pulumi.export("name", container.name)
    """)
    stack.up().succeeded()
    name = stack.outputs()["name"]
    assert name.startswith(f"{docker_objects.prefix}-")
    assert stack.up().succeeded().changes == {"unchanged": 2}
    assert docker_objects.names() == [name]
