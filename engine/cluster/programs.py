"""The cluster's programs, built from their Go modules, once per user.

They are kept under the cache and appear there whole or not at all: Kubernetes by its version, what stands beside it by
the hash of its sources, since part of them are ours.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from engine import go_toolchain
from engine.file_lock import held
from engine.go_build import GoBuild, Product
from engine.paths import CHECKOUT, Paths, cache_directory
from engine.report import Report
from engine.toolchain import uv_program
from engine.versions import CLUSTER_GO_MINIMUM, KUBERNETES

_MODULES = CHECKOUT / "engine" / "go"
# The largest first: it compiles what the rest shares.
KUBERNETES_PROGRAMS = (
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "kubectl",
)
_VERSION = "k8s.io/component-base/version"
_FREE_BYTES = 6 * 1024**3  # modules 1 GB, compiled packages 3 GB, the programs 0.6 GB


@dataclass(frozen=True)
class _Group:
    """Programs that one folder of the cache holds. `packages` by the name of the program."""

    folder: Path
    module: Path
    title: str
    packages: dict[str, str]
    variables: tuple[str, ...] = ()

    def missing(self) -> bool:
        return not self.folder.is_dir()


@dataclass(frozen=True)
class Programs:
    """Where the cluster's programs are."""

    kubernetes: Path
    pods: Path
    services: Path

    def path(self, name: str) -> Path:
        """The file of a program, by its name."""
        for folder in (self.kubernetes, self.pods, self.services):
            if (folder / name).is_file():
                return folder / name
        raise FileNotFoundError(name)


def _fingerprint(module: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(module.rglob("*")):
        if path.is_file():
            digest.update(f"{path.relative_to(module)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def _groups(cache: Path) -> tuple[_Group, _Group, _Group]:
    major, minor, _ = KUBERNETES.split(".")
    version = (
        f"{_VERSION}.gitVersion=v{KUBERNETES}",
        f"{_VERSION}.gitMajor={major}",
        f"{_VERSION}.gitMinor={minor}",
        f"{_VERSION}.gitTreeState=clean",
    )
    kubernetes, services = _MODULES / "kubernetes", _MODULES / "cluster-services"
    return (
        _Group(
            cache / "kubernetes" / f"v{KUBERNETES}",
            kubernetes,
            f"Kubernetes v{KUBERNETES}",
            {name: f"k8s.io/kubernetes/cmd/{name}" for name in KUBERNETES_PROGRAMS},
            version,
        ),
        _Group(
            cache / "kubernetes" / f"pods-{_fingerprint(kubernetes)}",
            kubernetes,
            "the node's pause and volumes programs",
            {"pause": "./pause", "volumes": "./volumes"},
        ),
        _Group(
            cache / "kubernetes" / f"services-{_fingerprint(services)}",
            services,
            "CoreDNS and metrics-server",
            {"coredns": "./coredns", "metrics-server": "sigs.k8s.io/metrics-server/cmd/metrics-server"},
        ),
    )


def _build(group: _Group, cache: Path, logs: Path, report: Report) -> None:
    go = go_toolchain.ensure_go(cache, uv_program(), report, CLUSTER_GO_MINIMUM)
    private = None if go_toolchain.on_path(CLUSTER_GO_MINIMUM) else cache / "go" / "caches"
    product = Product(f"{group.title[0].upper()}{group.title[1:]}", _FREE_BYTES)
    build = GoBuild(go, group.module, product, report, logs / f"{group.folder.name}-build.log", private)
    build.begin()
    part = group.folder.with_name(f"{group.folder.name}.part")
    part.mkdir(parents=True, exist_ok=True)
    report(f"Downloading the Go modules of {group.title} (what is there already is not loaded again).")
    build.run("mod", "download")
    for name, package in group.packages.items():
        if (part / name).exists():
            continue  # an interrupted build left it, whole
        sizes = build.sizes([package])
        if len(sizes) < 20:
            report(f"Building {name}: linking takes some seconds.")
        else:
            minutes = "5 to 12 minutes" if len(sizes) > 1000 else "1 to 3 minutes"
            report(f"Building {name}: {len(sizes)} packages to compile, {minutes} on two cores.")
        unfinished = part / f".{name}"
        build.compile(unfinished, [package], sizes, group.variables)
        unfinished.rename(part / name)
    for stray in part.glob(".*"):
        stray.unlink()
    part.rename(group.folder)
    report(f"{product.name}: ready in {group.folder}; other checkouts of this user share it.")


def ensure_programs(report: Report, paths: Paths | None = None) -> Programs:
    """The programs; built first where they are missing, about 15 minutes on two cores with nothing in Go's caches."""
    paths = paths or Paths()
    cache = cache_directory()
    groups = _groups(cache)
    if any(group.missing() for group in groups):
        with held(
            cache / "kubernetes" / ".lock",
            waiting=lambda: report("Another run is building the cluster's programs: waiting for it."),
        ):
            wanted = [group for group in groups if group.missing()]
            if wanted:
                report(
                    "The cluster's programs are built from source, once per user: up to 15 minutes on two cores with "
                    "nothing in Go's caches, 1 to 2 minutes with them warm. Ctrl-C is safe."
                )
            for group in wanted:
                _build(group, cache, paths.logs, report)
    return Programs(*(group.folder for group in groups))


def link(programs: Programs, folder: Path) -> None:
    """Have kubectl in `folder`, for the user's PATH."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    target = folder / "kubectl"
    if not target.is_symlink() or target.readlink() != programs.path("kubectl"):
        target.unlink(missing_ok=True)
        target.symlink_to(programs.path("kubectl"))
