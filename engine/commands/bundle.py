"""`make bundle`: everything that an install needs, in one archive for a machine without a network."""

import shutil
import subprocess
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

import docker

from engine import docker_daemon
from engine.bundle import images, packages, programs
from engine.bundle.readme import readme
from engine.bundle.writing import Staging, check_space, digest_of
from engine.commands.session import Session
from engine.errors import UserFacingError
from engine.file_lock import held
from engine.image_family import matrix
from engine.image_family.names import read_version
from engine.paths import CHECKOUT
from engine.report import Report, say

DIST = CHECKOUT / "dist"
_PROGRAMS_BYTES = 700_000_000
"""Wheels, the engine and uv, and the archive that has them once more."""
_CLUSTER_BYTES = 1_500_000_000
_ABSENT = {
    "Helm charts of Istio, KEDA and Karpenter": "their hosts are no package registry, so this build has never had "
    "them: mirror them from the addresses in components/agent_fleet/versions.py",
    "Docker, Debian packages": "the machine's own mirror or installation medium has them (docker.io, python3-venv, "
    "make; for make cluster: etcd-server, containerd, runc, iptables)",
    "the base image and compilers": "nothing is built from a bundle",
    "packages of the tests": "make test needs a package index",
}


def bundle(session: Session, variables: Mapping[str, str]) -> None:
    """Write `dist/agent-fleet-bundle-<version>.tar`; `variables` may have VERSION (of the images) and CLUSTER."""
    tag = read_version(variables.get("VERSION", ""))
    cluster = _yes("CLUSTER", variables.get("CLUSTER", ""))
    names = [image.name for image in matrix.load().image]
    busy = UserFacingError("Another `make bundle` is at work in this checkout.", "Wait for its end, or interrupt it.")
    client = docker_daemon.connect(600)
    with held(DIST / ".bundle.lock", busy=busy):
        write(client, session, DIST, tag, names, cluster=cluster, report=say)


def write(
    client: docker.DockerClient,
    session: Session,
    target_folder: Path,
    tag: str,
    names: list[str],
    *,
    cluster: bool,
    report: Report,
) -> Path:
    """Collect the entries and write the archive; its path. Running it again goes on where it stopped."""
    found = images.find(client, names, tag)
    target_folder.mkdir(parents=True, exist_ok=True)
    # Twice what Docker has unpacked would be too much: layers compress to less than half.
    needed = sum(image.bytes for image in found) + _PROGRAMS_BYTES + (_CLUSTER_BYTES if cluster else 0)
    check_space(target_folder, needed)
    work = target_folder / f".bundle-{tag}.part"
    staging = Staging(work)
    staging.described |= {
        "project": metadata.version("agent-fleet"),
        "version": tag,
        "commit": _commit(),
        "lock": digest_of([CHECKOUT / "uv.lock"]),
        "python": packages.platform(),
        "absent": dict(_ABSENT),
    }
    report("Programs: the Pulumi engine" + (", and the one-node cluster's." if cluster else "."))
    programs.add(staging, session.paths, report, cluster=cluster)
    report("Python packages.")
    packages.add(staging, work / "packages", report)
    report(f"Images with the tag {tag}:")
    images.add(client, staging, found, report)
    staging.add_text("README.md", "text", readme(staging))
    target = target_folder / f"agent-fleet-bundle-{tag}.tar"
    report("Writing the archive.")
    digest = staging.write(target)
    shutil.rmtree(work)
    report(
        f"{target} ({target.stat().st_size / 1e6:.0f} MB, {len(staging.entries())} entries, {session.seconds():.0f} s)"
    )
    report(f"SHA-256 {digest}, also in {target.name}.sha256.")
    report("Not in it:")
    for what, why in _ABSENT.items():
        report(f"  {what}: {why}")
    report(f"Where there is no network, in a clone of commit {staging.described['commit'][:12]}: make up BUNDLE=path")
    return target


def _yes(name: str, value: str) -> bool:
    if value not in ("", "yes", "no"):
        raise UserFacingError(f"{name} is {value!r}; allowed are yes and no.", f"Give {name}=yes, or leave it out.")
    return value == "yes"


def _commit() -> str:
    run = subprocess.run(["git", "rev-parse", "HEAD"], cwd=CHECKOUT, capture_output=True, text=True, check=False)
    return run.stdout.strip() or "unknown"
