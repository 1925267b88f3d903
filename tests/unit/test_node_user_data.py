"""The script that installs gVisor on a node: run for real, in a folder, with programs of AWS that stand still."""

import hashlib
import os
import shutil
import subprocess
import sys
from email import message_from_string
from pathlib import Path

import pytest
from agent_fleet.aws.node_user_data import install_script
from aws_fleet import cloud, user_data
from recording import FLEET

RUNSC, SHIM = b"runsc of a release", b"shim of a release"


def script(folder: Path, *, runsc_sha256: str) -> str:
    """The script with the node's folders inside of `folder`."""
    text = install_script(
        {
            "runsc_uri": "s3://tools/runsc",
            "runsc_sha256": runsc_sha256,
            "shim_uri": "s3://tools/shim",
            "shim_sha256": hashlib.sha256(SHIM).hexdigest(),
        }
    )
    return text.replace("/usr/local/bin", str(folder / "bin")).replace("/etc/containerd", str(folder / "etc"))


def run(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    """Run it with a bucket in a folder, and a machine that notes when it is switched off."""
    programs = folder / "programs"
    for made in (programs, folder / "bin", folder / "bucket"):
        made.mkdir()
    (folder / "bucket" / "runsc").write_bytes(RUNSC)
    (folder / "bucket" / "shim").write_bytes(SHIM)
    copy = f'#!/bin/sh\ncp "{folder}/bucket/${{4##*/}}" "$5"\n'
    off = f'#!/bin/sh\necho "$@" >"{folder}/off"\n'
    for name, content in (("aws", copy), ("systemctl", off)):
        (programs / name).write_text(content)
        (programs / name).chmod(0o755)
    environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "TMPDIR": str(folder)}
    bash = shutil.which("bash")
    assert bash
    return subprocess.run([bash, "-c", text], env=environment, capture_output=True, text=True, timeout=30, check=False)


def test_both_programs_are_installed_when_their_checksums_are_right(tmp_path: Path) -> None:
    """Sandboxes would not start on any node."""
    result = run(tmp_path, script(tmp_path, runsc_sha256=hashlib.sha256(RUNSC).hexdigest()))
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "bin" / "runsc").read_bytes() == RUNSC
    assert (tmp_path / "bin" / "containerd-shim-runsc-v1").read_bytes() == SHIM
    assert (tmp_path / "bin" / "runsc").stat().st_mode & 0o777 == 0o755
    assert 'systemd-cgroup = "true"' in (tmp_path / "etc" / "runsc.toml").read_text()
    assert not (tmp_path / "off").exists()


def test_a_node_with_another_program_than_asked_for_goes_off(tmp_path: Path) -> None:
    """Whoever can write the bucket would own every sandbox, or pods would start without gVisor."""
    result = run(tmp_path, script(tmp_path, runsc_sha256="0" * 64))
    assert result.returncode != 0
    assert not list((tmp_path / "bin").iterdir())
    assert (tmp_path / "off").read_text().strip() == "poweroff --force"


def test_a_node_that_cannot_reach_the_bucket_goes_off(tmp_path: Path) -> None:
    """It would join without gVisor, and every sandbox on it fail."""
    text = script(tmp_path, runsc_sha256=hashlib.sha256(RUNSC).hexdigest()).replace("s3://tools/runsc", "s3://tools/no")
    assert run(tmp_path, text).returncode != 0
    assert (tmp_path / "off").exists()


def test_shellcheck_finds_nothing(tmp_path: Path) -> None:
    """A quoting mistake runs as root on every node."""
    path = tmp_path / "install.sh"
    path.write_text(script(tmp_path, runsc_sha256="0" * 64))
    checker = Path(sys.executable).parent / "shellcheck"
    result = subprocess.run([str(checker), str(path)], capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(("group", "kinds"), [("system", 1), ("untrusted", 2), ("untrusted-spot", 2)])
def test_user_data_is_what_cloud_init_and_nodeadm_read(preview: bool, group: str, kinds: int) -> None:
    """A node whose user data cannot be read joins with none of its limits."""
    template = cloud(preview).one("aws:ec2/launchTemplate:LaunchTemplate", f"{FLEET}-{group}")
    message = message_from_string(user_data(template))
    assert message.get_content_type() == "multipart/mixed"
    parts = [part.get_content_type() for part in message.walk() if not part.is_multipart()]
    assert parts == ["application/node.eks.aws", "text/x-shellscript"][:kinds]
    # EC2's limit, before base64.
    assert len(user_data(template)) < 16_384
