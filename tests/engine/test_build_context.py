"""What a build's context is, and when it counts as changed."""

from pathlib import Path

import pytest

from engine.standins.build_command import Builder, build_command
from engine.standins.build_context import context_hash
from engine.standins.build_run import explain
from engine.standins.dockerignore import IgnoreRules
from engine.standins.standin import OperationError
from engine.standins.values import Secret

OLD_CLI = Builder("/usr/bin/docker", buildx=False)


@pytest.mark.parametrize(
    ("patterns", "path", "ignored"),
    [
        ("node_modules", "node_modules/a/b", True),
        ("node_modules", "x/node_modules/a", False),
        ("**/node_modules", "x/y/node_modules/a", True),
        ("*.log", "a.log", True),
        ("*.log", "x/a.log", False),
        ("**/*.log", "a.log", True),
        ("/build/", "build/x", True),
        ("# comment\n\nx", "# comment", False),
        ("*\n!keep", "keep", False),
        ("*\n!keep/this", "keep/other", True),
        ("*\n!keep/this", "keep/this", False),
        ("!a\na", "a", True),
        ("a?c", "abc", True),
        ("a[bd]c", "adc", True),
        ("a[!b]c", "abc", False),
        ("x/../y", "y", True),
        ("a.b", "axb", False),
    ],
)
def test_ignore_patterns_mean_what_docker_says(patterns: str, path: str, ignored: bool) -> None:
    """Prevents rebuilds for ignored files, and stale images for files that are sent."""
    assert IgnoreRules(patterns).ignores(path) is ignored


def context(root: Path) -> dict[str, object]:
    """A context in `root`."""
    root.mkdir()
    (root / "Dockerfile").write_text("FROM scratch\n")
    (root / "program").write_text("#!/bin/sh\n")
    (root / "link").symlink_to("program")
    (root / ".dockerignore").write_text("*.tmp\n")
    return {"context": {"location": str(root)}}


def test_the_hash_is_the_same_on_another_machine(tmp_path: Path) -> None:
    """Prevents a rebuild because a checkout lies elsewhere, is newer, or has another umask."""
    one, two = context(tmp_path / "one"), context(tmp_path / "two")
    (tmp_path / "two" / "program").chmod(0o600)
    (tmp_path / "two" / "noise.tmp").write_text("x")
    assert context_hash(one, tmp_path) == context_hash(two, tmp_path)


@pytest.mark.parametrize("change", ["content", "name", "mode", "link", "Dockerfile", "argument", "target", "ignore"])
def test_the_hash_changes_with_what_could_change_the_image(tmp_path: Path, change: str) -> None:
    """Prevents a stale image."""
    inputs = context(tmp_path / "one")
    before = context_hash(inputs, tmp_path)
    root = tmp_path / "one"
    match change:
        case "content":
            (root / "program").write_text("#!/bin/bash\n")
        case "name":
            (root / "program").rename(root / "renamed")
        case "mode":
            (root / "program").chmod(0o755)
        case "link":
            (root / "link").unlink()
            (root / "link").symlink_to("Dockerfile")
        case "Dockerfile":
            (root / "Dockerfile").write_text("FROM scratch\nUSER 1\n")
        case "argument":
            inputs["buildArgs"] = {"A": "1"}
        case "target":
            inputs["target"] = "last"
        case _:
            (root / ".dockerignore").write_text("program\n")
    assert context_hash(inputs, tmp_path) != before


def test_secrets_are_on_no_command_line(tmp_path: Path) -> None:
    """Prevents a secret that every user of the machine can read with `ps`."""
    inputs = context(tmp_path / "one") | {
        "load": True,
        "secrets": Secret({"ca": "secret-certificate"}),
        "buildArgs": {"TOKEN": Secret("secret-token"), "HTTP_PROXY": "http://proxy", "PATH": "/x"},
    }
    command = build_command(inputs, tmp_path, OLD_CLI, tmp_path / "id")
    assert "secret-" not in " ".join(command.words)
    assert command.environment["TOKEN"] == "secret-token"
    assert command.secrets == {"ca": b"secret-certificate"}
    assert "PATH" not in command.environment
    assert "PATH=/x" in command.words


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ({"push": True}, "tags: is required with `push=True`"),
        ({"exports": [{"registry": {}}]}, "exports: the docker-build stand-in pushes no exports"),
        ({"exports": [{"tar": {"dest": "x"}}]}, "exports: the docker-build stand-in"),
        ({}, "give `load=True`, `push=True`, or exactly one export"),
        ({"load": True, "platforms": ["linux/amd64", "linux/arm64"]}, "platforms: needs Docker's buildx plugin"),
        ({"load": True, "cacheFrom": [{"registry": {"ref": "x"}}]}, "cacheFrom: needs Docker's buildx plugin"),
    ],
)
def test_what_cannot_be_done_is_said(tmp_path: Path, extra: dict[str, object], message: str) -> None:
    """Prevents an option that is silently ignored."""
    with pytest.raises(OperationError, match=message.replace("(", r"\(")):
        build_command(context(tmp_path / "one") | extra, tmp_path, OLD_CLI, tmp_path / "id")


def test_a_failed_build_is_explained_by_its_step() -> None:
    """Prevents hundreds of lines of progress where ten say what is wrong."""
    lines = [
        "#5 [2/3] RUN make",
        "#5 0.101 compiling",
        "#6 [other] RUN sleep",
        "#5 0.202 cannot find header",
        "#5 ERROR: executor failed running [make]: exit code: 2",
    ]
    assert explain(lines) == (
        "The build failed at [2/3] RUN make: executor failed running [make]: exit code: 2\n"
        "  compiling\n  cannot find header"
    )
    full = [*lines, "write /x: no space left on device"]
    assert "The disk is full" in explain(full)
