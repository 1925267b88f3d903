"""Dockerfiles and the scripts in images, judged by checkers that nobody here wrote."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from image_builds import CHECKOUT

IMAGES = CHECKOUT / "images"
DOCKERFILES = sorted(IMAGES.glob("*/Dockerfile"))
SCRIPTS = sorted([*IMAGES.glob("postgres/postgres-*"), *IMAGES.glob("redis/redis-*")])
PROGRAMS = Path(sys.executable).parent


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.parent.name)
def test_a_dockerfile_passes_hadolint(dockerfile: Path) -> None:
    """A known mistake in a Dockerfile is cheaper to read here than to find in a layer."""
    command = [str(PROGRAMS / "hadolint"), "--no-color", "--config", str(IMAGES / "hadolint.yaml"), str(dockerfile)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout) == (0, "")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_shell_script_passes_shellcheck(script: Path) -> None:
    """An unquoted name in an entrypoint fails on the one machine where it holds a space."""
    command = [str(PROGRAMS / "shellcheck"), str(script)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout) == (0, "")


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.parent.name)
def test_a_dockerfile_starts_from_the_one_base_and_needs_no_registry(dockerfile: Path) -> None:
    """A `# syntax` line or another base would need an image registry, and builds here must not."""
    lines = dockerfile.read_text().splitlines()
    assert "ARG BASE=agent-fleet/base:bookworm-1" in lines
    stages = {line.split()[-1] for line in lines if line.startswith("FROM ") and " AS " in line}
    sources = {line.split()[1] for line in lines if line.startswith("FROM ")}
    assert sources <= {"${BASE}", "scratch"} | stages
    assert not [line for line in lines if line.lower().startswith("# syntax")]


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.parent.name)
def test_a_dockerfile_names_no_architecture_or_both(dockerfile: Path) -> None:
    """A path or package of one architecture builds here and fails on the other, at the user's."""
    families = [re.compile(r"x86_64|amd64"), re.compile(r"aarch64|arm64")]
    commands = [line for line in dockerfile.read_text().splitlines() if not line.lstrip().startswith("#")]
    named = [[bool(family.search(line)) for family in families] for line in commands]
    assert not [line for line, found in zip(commands, named, strict=True) if any(found) and not all(found)]
