"""The pipeline's script that publishes and has signed: by what the run built, whatever tags say by then."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
AMD64, ARM64, OTHER = (f"sha256:{letter * 64}" for letter in "abc")
INDEX = "sha256:" + "1" * 64
# Answers as a registry whose tag leads to an index of the digests in OWN.
DOCKER = f"""#!/bin/bash
echo "$*" >> "$CALLS"
case "$*" in
    *--format*) echo {INDEX} ;;
    *--raw*) printf '{{"manifests": [%s]}}' "$OWN" ;;
esac
"""


def _publish(folder: Path, own: tuple[str, str]) -> tuple[int, list[str]]:
    """Run the step; its exit code, and how it called docker."""
    if shutil.which("jq") is None:
        pytest.skip("cannot be had here: jq")
    steps = yaml.safe_load((ROOT / ".github" / "workflows" / "images.yml").read_text())["jobs"]["publish"]["steps"]
    (script,) = (each["run"] for each in steps if each.get("name") == "Publish the index")
    for architecture, digest in (("amd64", AMD64), ("arm64", ARM64)):
        image = folder / "records" / f"records-{architecture}" / "images" / "runtime"
        image.mkdir(parents=True)
        (image / "record.json").write_text(json.dumps({"digest": digest}))
    (folder / "bin").mkdir()
    (folder / "bin" / "docker").write_text(DOCKER)
    (folder / "bin" / "docker").chmod(0o755)
    environment = {
        "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
        "CALLS": str(folder / "calls"),
        "OWN": ", ".join(f'{{"digest": "{digest}"}}' for digest in own),
        "TOKEN": "t",
        "GITHUB_ACTOR": "someone",
        "GITHUB_REPOSITORY_OWNER": "Team",
        "GITHUB_SHA": "0123abc",
        "GITHUB_REF_NAME": "main",
        "PULL_REQUEST": "",
        "VERSION": "",
    }
    ended = subprocess.run(
        ["bash", "-e", "-c", script], cwd=folder, env=environment, capture_output=True, check=False, timeout=30
    )
    return ended.returncode, (folder / "calls").read_text().splitlines()


def test_what_is_published_and_signed_is_what_the_run_verified(tmp_path: Path) -> None:
    """Prevents the release's key from signing what another job has pushed under this commit's tag meanwhile."""
    code, calls = _publish(tmp_path, (ARM64, AMD64))
    assert code == 0
    (created,) = (call for call in calls if " create " in call)
    repository = "ghcr.io/team/agent-fleet/runtime"
    assert created.endswith(f" {repository}@{AMD64} {repository}@{ARM64}")
    assert json.loads((tmp_path / "digests.json").read_text()) == {"runtime": f"{repository}@{INDEX}"}


def test_an_index_of_other_images_is_not_taken_for_the_releases(tmp_path: Path) -> None:
    """Prevents a signature on an index that somebody put in the place of the one that was just made."""
    code, _ = _publish(tmp_path, (AMD64, OTHER))
    assert code != 0
    assert "runtime" not in (tmp_path / "digests.json").read_text()
