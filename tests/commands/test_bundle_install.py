"""What an install takes from a bundle: images that Docker lacks, settings that name them, a cluster's programs."""

from datetime import date
from pathlib import Path
from unittest.mock import Mock

import pytest
import yaml
from docker.errors import ImageNotFound
from small_bundle import small_staging

from engine.bundle import images
from engine.bundle.install import Bundle
from engine.commands.cluster import cluster
from engine.commands.session import Session
from engine.configuration import KEY
from engine.errors import UserFacingError
from engine.paths import Paths
from settings.load import from_mapping

_ID = "sha256:" + "a1" * 32


def _quiet(line: str) -> None:
    """Nobody reads it."""


def test_a_second_install_needs_no_room_for_what_docker_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prevents a `make up` that cannot be repeated, because the first one filled half of the disk."""
    entry = {"kind": "image", "image": "runtime", "id": _ID, "reference": "agent-fleet/runtime:a1", "bytes": 1 << 40}
    opened = Bundle(tmp_path, {"entries": {"images/runtime.tar.gz": entry}})
    monkeypatch.setattr(images, "free_bytes", Mock(return_value=1 << 20))
    daemon = Mock()
    opened.load_images(daemon, _quiet)
    daemon.images.load.assert_not_called()
    daemon.images.get.side_effect = ImageNotFound("none")
    with pytest.raises(UserFacingError, match="GB free"):
        opened.load_images(daemon, _quiet)


@pytest.mark.parametrize(("architecture", "image"), [("vm", _ID), ("cluster", "agent-fleet/runtime:a1a1a1a1a1a1")])
def test_a_stack_takes_its_images_from_the_bundle(tmp_path: Path, architecture: str, image: str) -> None:
    """Prevents a build or a pull where there is no network."""
    entries = {
        f"images/{name}.tar.gz": {
            "kind": "image", "image": name, "id": _ID, "reference": f"agent-fleet/{name}:a1a1a1a1a1a1"
        }
        for name in ("runtime", "sandbox", "postgres")
    }  # fmt: skip
    source = tmp_path / "Pulumi.local.yaml"
    fleet = {"architecture": architecture, "images": {"registry": "127.0.0.1:5001"}, "workers": {"count": 1}}
    source.write_text(yaml.safe_dump({"config": {KEY: fleet}}))
    written = Bundle(tmp_path, {"entries": entries}).settings(Paths(tmp_path), "local", source)
    settings = yaml.safe_load(written.read_text())["config"][KEY]
    assert settings["images"]["imported"]["runtime"] == image
    assert set(settings["images"]) == {"imported"}
    assert settings["workers"] == {"count": 1}


def test_a_cluster_from_a_bundle_without_its_programs_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there is no network the programs cannot be built either, and that would be said after minutes."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    bundle = tmp_path / "bundle.tar"
    small_staging(tmp_path / "work").write(bundle)
    with pytest.raises(UserFacingError, match="no programs of a cluster") as refusal:
        cluster(Session(Paths(tmp_path), "local-cluster", 0.0), bundle)
    assert "CLUSTER=yes" in refusal.value.remedy


@pytest.mark.parametrize("architecture", ["vm", "cluster"])
def test_the_agents_images_of_a_bundle_are_named_where_agents_have_them(tmp_path: Path, architecture: str) -> None:
    """A fleet with agents would want to build theirs where there is no network."""
    names = ("runtime", "sandbox", "postgres", "agent-python", "agent-node-hardened")
    entries = {
        f"images/{name}.tar.gz": {"kind": "image", "image": name, "id": _ID, "reference": f"agent-fleet/{name}:a1"}
        for name in names
    }
    source = tmp_path / "Pulumi.local.yaml"
    agents = {"a": {"toolchain": "python"}, "b": {"toolchain": "node", "hardened": True}}
    teams = {"t": {"pools": {"testing": {}}}}
    fleet = {"architecture": architecture, **({"agents": agents} if architecture == "vm" else {"teams": teams})}
    source.write_text(yaml.safe_dump({"config": {KEY: fleet}}))
    written = Bundle(tmp_path, {"entries": entries}).settings(Paths(tmp_path), "local", source)
    given = yaml.safe_load(written.read_text())["config"][KEY]
    imported = from_mapping(given, stack="local", today=date(2026, 11, 21)).images.imported
    assert imported is not None
    assert set(Bundle(tmp_path, {"entries": entries}).archives()) == {"runtime", "sandbox", "postgres"}, "for a node"
    expected = (_ID, _ID, None) if architecture == "vm" else (None, None, None)
    assert (imported.agents.python, imported.agents.node_hardened, imported.agents.rust) == expected
