"""The Debian packages that the cluster's node needs, installed without starting any service of theirs."""

import contextlib
import os
import shutil
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from engine import docker_install
from engine.docker_daemon import is_debian
from engine.errors import UserFacingError
from engine.report import Report

_CNI_FOLDERS = (Path("/usr/lib/cni"), Path("/opt/cni/bin"), Path("/usr/libexec/cni"))
CNI_PLUGINS = next((folder for folder in _CNI_FOLDERS if (folder / "ptp").exists()), _CNI_FOLDERS[0])
"""Debian's folder, unless another distribution's has the plugins."""
_POLICY = Path("/usr/sbin/policy-rc.d")
# What invoke-rc.d takes for "do not start this": an administrator's own policy is left in place.
_REFUSES = "#!/bin/sh\n# Put here by agent-fleet while it installs packages; safe to remove.\nexit 101\n"


@dataclass(frozen=True)
class Package:
    """A package, and the program by which one sees that it is there."""

    name: str
    program: str


PACKAGES = (
    Package("etcd-server", "etcd"),
    Package("containerd", "containerd"),
    Package("runc", "runc"),
    Package("containernetworking-plugins", str(CNI_PLUGINS / "ptp")),
    Package("docker-registry", "docker-registry"),
    Package("iptables", "iptables"),
    Package("iproute2", "ip"),
)


def _there(package: Package) -> bool:
    return shutil.which(package.program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin:/usr/bin:/bin") is not None


def missing() -> list[Package]:
    """The packages whose program is not there."""
    return [package for package in PACKAGES if not _there(package)]


@contextmanager
def services_not_started(policy: Path = _POLICY) -> Generator[None]:
    """Keep packages from starting their services while they are installed."""
    ours = not policy.exists() or policy.read_text() == _REFUSES
    if ours:
        policy.write_text(_REFUSES)
        policy.chmod(0o755)
    try:
        yield
    finally:
        if ours:
            with contextlib.suppress(FileNotFoundError):
                policy.unlink()


def ensure_packages(report: Report, log: Path) -> None:
    """Install what is missing; raises UserFacingError where that cannot be."""
    wanted = missing()
    if not wanted:
        return
    names = [package.name for package in wanted]
    if not is_debian():
        raise UserFacingError(
            f"The cluster's node needs programs that are not on this machine: "
            f"{', '.join(package.program for package in wanted)}.",
            "They are installed by themselves on Debian and Ubuntu only. Install them, or use a cluster that you "
            "have: kind, k3s or Docker Desktop with STACK=local-cluster (docs/cluster.md).",
        )
    report(f"Installing {', '.join(names)} with apt-get (you are root); their services are not started.")
    with services_not_started():
        _install(names, log)
    if still := missing():
        raise UserFacingError(
            f"apt-get installed {', '.join(names)}, but there is still no "
            f"{', '.join(package.program for package in still)}.",
            f"The whole output is in {log}.",
        )


def _install(names: Sequence[str], log: Path) -> None:
    docker_install.install_packages(names, log, "the cluster's packages")
