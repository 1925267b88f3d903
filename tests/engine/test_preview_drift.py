"""What somebody changes by hand is seen by `make drift`, which itself changes nothing."""

from pathlib import Path

import pytest
from docker_objects import DockerObjects
from program_folder import ProgramFolder

from engine.commands.drift import drift
from engine.errors import UserFacingError

PROGRAM = """
import pulumi, pulumi_docker as docker, pulumi_random as random
password = random.RandomPassword("password", length=20)
for name in ("changed", "gone", "left"):
    docker.Container(
        name, name={prefix!r} + name, image={image!r}, command=["sleep", "600"], memory=32, memory_swap=32,
        restart="no", destroy_grace_seconds=0, envs=[pulumi.Output.concat("PASSWORD=", password.result)],
    )
"""


@pytest.fixture
def deployed(tmp_path: Path, docker_objects: DockerObjects, tiny_image: str) -> ProgramFolder:
    """Three containers."""
    folder = ProgramFolder(tmp_path)
    folder.program(PROGRAM.format(prefix=f"{docker_objects.prefix}-", image=tiny_image))
    folder.up()
    return folder


def test_what_was_changed_by_hand_is_told_and_left_as_it_is(
    deployed: ProgramFolder, docker_objects: DockerObjects, capsys: pytest.CaptureFixture[str]
) -> None:
    """Prevents a night in which nobody learns of it, and a look that puts the state or the place right by itself."""
    assert not drift(deployed.session)
    assert "No drift: 4 resources" in capsys.readouterr().out

    docker_objects.client.containers.get(f"{docker_objects.prefix}-changed").update(
        mem_limit=64 * 1024**2, memswap_limit=64 * 1024**2
    )
    docker_objects.client.containers.get(f"{docker_objects.prefix}-gone").remove(force=True)
    state = deployed.session.state.checkpoint.read_bytes()
    assert drift(deployed.session)
    told = capsys.readouterr().out
    assert "~ changed      Container changed: memory, memorySwap" in told
    assert "- gone         Container gone" in told
    assert "Container left" not in told
    assert "Drift: 2 resources differ" in told
    assert "make preview STACK=probe" in told
    assert deployed.session.state.checkpoint.read_bytes() == state
    assert docker_objects.names() == [f"{docker_objects.prefix}-changed", f"{docker_objects.prefix}-left"]
    found = docker_objects.inspect(f"{docker_objects.prefix}-changed")
    assert found["HostConfig"]["Memory"] == 64 * 1024**2
    secret = next(each.removeprefix("PASSWORD=") for each in found["Config"]["Env"] if each.startswith("PASSWORD="))
    for text in (told, *deployed.texts().values()):
        assert secret not in text


def test_a_stack_that_was_never_deployed_has_no_drift_to_look_for(
    tmp_path: Path, docker_objects: DockerObjects
) -> None:
    """Prevents a reassuring "no drift" where nothing is known."""
    with pytest.raises(UserFacingError, match="was never deployed from here") as refused:
        drift(ProgramFolder(tmp_path).session)
    assert "make preview STACK=probe" in refused.value.remedy
