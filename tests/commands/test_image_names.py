"""VERSION and IMAGE of `make scan` and `make bundle`: a wrong one is told before anything is done."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine.commands.bundle import bundle
from engine.commands.scan import scan
from engine.commands.session import Session
from engine.errors import UserFacingError
from engine.image_family.names import read_references, read_version
from engine.paths import Paths

CHECKOUT = Path(__file__).parents[2]
_DIGEST = "sha256:" + "a1" * 32


@pytest.mark.parametrize("version", ["a b", "-rf", ".x", "v" * 129, "../dev", "a:b", "dev\n"])
def test_a_version_that_can_be_no_tag_is_told_by_bundle_and_scan_alike(version: str, tmp_path: Path) -> None:
    """Prevents an error of Docker's that names no variable, and an archive that is written outside its folder."""
    with pytest.raises(UserFacingError) as of_bundle:
        bundle(Session(Paths(tmp_path), "local", 0.0), {"VERSION": version})
    with pytest.raises(UserFacingError) as of_scan:
        scan("", version, None, only_configuration=False)
    for refused in (of_bundle, of_scan):
        assert f"VERSION is {version!r}; allowed are at most 128 letters" in refused.value.message
        assert "VERSION=1.4.0" in refused.value.remedy


@pytest.mark.parametrize("version", ["dev", "1.4.0", "sha-0123abc", "_x", "v" * 128])
def test_a_version_that_can_be_a_tag_is_taken_as_it_is(version: str) -> None:
    """Prevents a refusal of what Docker takes."""
    assert read_version(version) == version


def test_no_version_is_dev() -> None:
    """Prevents `VERSION=` of a pipeline from meaning a tag without a name."""
    assert read_version("") == "dev"


@pytest.mark.parametrize(
    "wrong",
    [
        "a b:1", "-rf", "Runtime:dev", "team/Runtime", "runtime:", "runtime:a b", "runtime:-x", "https://example.com/a",
        "runtime@sha256:abc", "a//b", "a..b", "/runtime", "runtime/", "example.com:port/a", "x" * 238,
        f"{_DIGEST}@{_DIGEST}x",
    ],
)  # fmt: skip
def test_what_is_no_images_name_is_told_by_itself_among_others(wrong: str) -> None:
    """Prevents an error of Docker's after minutes of scanning what comes first."""
    given = f"agent-fleet/runtime:dev,{wrong},redis"
    with pytest.raises(UserFacingError) as refused:
        scan(given, "dev", None, only_configuration=False)
    assert f"IMAGE is {given!r}, and {wrong!r} is no image's name" in refused.value.message
    assert "[host[:port]/]name[:tag]" in refused.value.message
    assert "IMAGE=agent-fleet/runtime:dev" in refused.value.remedy


def test_names_are_read_without_the_white_space_around_them() -> None:
    """Prevents a refusal of `IMAGE=a, b`, and an image without a name after the last comma."""
    assert read_references(" agent-fleet/runtime:dev, redis,\n") == ["agent-fleet/runtime:dev", "redis"]
    assert read_references("") == []


@pytest.mark.parametrize(
    ("variables", "command", "said"),
    [
        ({"VERSION": "a b"}, "scan", "VERSION is 'a b'"),
        ({"VERSION": "a b"}, "bundle", "VERSION is 'a b'"),
        ({"IMAGE": "agent-fleet/Runtime:dev"}, "scan", "IMAGE is 'agent-fleet/Runtime:dev'"),
    ],
)
def test_the_command_says_it_before_it_asks_docker_or_checks_anything(
    variables: dict[str, str], command: str, said: str
) -> None:
    """Prevents "Something unforeseen went wrong: APIError" at the end of a scan of everything else."""
    # A daemon that cannot be there: whatever is refused was refused before Docker was asked for anything.
    environment = {**os.environ, "DOCKER_HOST": "unix:///nowhere/docker.sock", **variables}
    ended = subprocess.run(
        [sys.executable, "-m", "engine", command],
        cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert ended.returncode == 1
    assert said in ended.stderr
    assert "unforeseen" not in ended.stderr
    assert ended.stdout == ""
