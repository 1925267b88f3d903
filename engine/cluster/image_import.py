"""Gives the nodes of an existing cluster the images that were built into this machine's Docker.

For clusters without a registry that they can pull from. Which kind of cluster it is shows in the kubeconfig's context.
"""

import re
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import Any

import docker
import yaml
from docker.errors import DockerException, ImageNotFound

from engine import docker_daemon
from engine.cluster import containers
from engine.cluster.layout import Layout
from engine.errors import UserFacingError
from engine.paths import PROJECT
from engine.report import Report

IMAGES = ("runtime", "sandbox", "postgres")
IF_BUILT = ("redis",)
"""Images that a stack builds only if its settings ask for them."""
_CONTAINERD = ("ctr", "--namespace", "k8s.io", "images", "import", "-")
_K3S = ("ctr", "images", "import", "-")
_KNOWN = "our own (make cluster), kind, k3d, k3s on this machine, minikube and Docker Desktop"


class Kind(Enum):
    """How images get into a cluster."""

    OWN = auto()
    KIND = auto()
    K3D = auto()
    K3S = auto()
    MINIKUBE = auto()
    DOCKER_DESKTOP = auto()


@dataclass(frozen=True)
class Target:
    """A cluster; `name` as its own tool calls it."""

    kind: Kind
    name: str


def target(kubeconfig: dict[str, Any], context: str | None, own_server: str, k3s_here: bool) -> Target:
    """The cluster that a kubeconfig's context means."""
    wanted = context or str(kubeconfig.get("current-context", ""))
    contexts = {item["name"]: item.get("context", {}) for item in kubeconfig.get("contexts") or []}
    if wanted not in contexts:
        raise UserFacingError(
            f"The kubeconfig has no context {wanted!r}.", f"It has: {', '.join(contexts) or 'none at all'}."
        )
    servers = {item["name"]: item.get("cluster", {}).get("server", "") for item in kubeconfig.get("clusters") or []}
    server = servers.get(contexts[wanted].get("cluster", ""), "")
    if server == own_server:
        return Target(Kind.OWN, wanted)
    for prefix, kind in (("kind-", Kind.KIND), ("k3d-", Kind.K3D)):
        if wanted.startswith(prefix):
            return Target(kind, wanted.removeprefix(prefix))
    if wanted in ("docker-desktop", "docker-for-desktop"):
        return Target(Kind.DOCKER_DESKTOP, wanted)
    if wanted == "minikube":
        return Target(Kind.MINIKUBE, wanted)
    if k3s_here and re.match(r"https://(127\.0\.0\.1|localhost|\[::1\])[:/]", server):
        return Target(Kind.K3S, wanted)
    raise UserFacingError(
        f"The context {wanted!r} ({server}) is no cluster that images can be imported into; these are: {_KNOWN}.",
        "Push the images to a registry that the cluster pulls from, and set images.registry or images.digests.",
    )


def read_kubeconfig(path: Path) -> dict[str, Any]:
    """A kubeconfig file."""
    try:
        document = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise UserFacingError(f"The kubeconfig {path} cannot be read: {error}", "Set KUBECONFIG.") from error
    if not isinstance(document, dict):
        raise UserFacingError(f"{path} is no kubeconfig.", "Set KUBECONFIG.")
    return document


def _import(command: Sequence[str], archive: bytes, where: str) -> None:
    try:
        ended = subprocess.run(command, input=archive, capture_output=True, check=False, timeout=900)
    except (FileNotFoundError, subprocess.TimeoutExpired) as error:
        raise UserFacingError(f"The images could not be given to {where}: {error}", "") from error
    if ended.returncode:
        said = ended.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["no output"]
        raise UserFacingError(f"The images could not be given to {where}: {said[0]}", "Is the cluster running?")


def _nodes(label: str) -> list[str]:
    return [container.name or "" for container in docker_daemon.connect().containers.list(filters={"label": label})]


def _into_containers(nodes: Sequence[str], command: Sequence[str], archive: bytes, cluster: str) -> None:
    if not nodes:
        raise UserFacingError(
            f"This machine's Docker runs no node of {cluster}.", "Start the cluster, or choose its Docker context."
        )
    for node in nodes:
        _import(["docker", "exec", "-i", node, *command], archive, node)


def import_images(
    client: docker.DockerClient, found: Target, own: Layout, stack: str, report: Report
) -> dict[str, str]:
    """Import the images of a stack; their names, by what they are, for the setting `images.imported`.

    Each gets a name of its own content (`agent-fleet/runtime:0123456789ab`), so that a pod never runs an older image
    that the node happens to have under the same name.
    """
    names: dict[str, str] = {}
    for image in (*IMAGES, *IF_BUILT):
        built = f"{PROJECT}/{image}:{PROJECT}-{stack}"
        try:
            held = client.images.get(built)
        except ImageNotFound as error:
            if image in IF_BUILT:
                continue
            raise UserFacingError(
                f"This machine's Docker has no image {built}.",
                f"`make up STACK={stack}` builds it; STACK names the stack whose images are imported.",
            ) from error
        names[image] = f"{PROJECT}/{image}:{str(held.id).removeprefix('sha256:')[:12]}"
        held.tag(*names[image].split(":"))
    if found.kind is Kind.DOCKER_DESKTOP:
        report("Docker Desktop's Kubernetes has the images of its Docker: nothing to import.")
        return names
    for name in names.values():
        report(f"Importing {name} into {found.name}.")
        if found.kind is Kind.MINIKUBE:
            _import(["minikube", "image", "load", name], b"", "minikube")
            continue
        try:
            # `named` keeps the name in the archive.
            archive = b"".join(client.images.get(name).save(named=name))
        except DockerException as error:
            raise UserFacingError(f"Docker could not save {name}: {error}", "") from error
        _give(found, own, archive)
    return names


def import_archives(
    archives: Mapping[str, tuple[str, Callable[[], bytes]]], found: Target, own: Layout, report: Report
) -> dict[str, str]:
    """Import images that are archives already, one at a time; their names by what they are. No Docker is needed."""
    for name, read in archives.values():
        report(f"Importing {name} into {found.name}.")
        if found.kind is Kind.MINIKUBE:
            _import(["minikube", "image", "load", "-"], read(), "minikube")
        elif found.kind is Kind.DOCKER_DESKTOP:
            _import(["docker", "load", "--quiet"], read(), "Docker Desktop")
        else:
            _give(found, own, read())
    return {image: name for image, (name, _) in archives.items()}


def _give(found: Target, own: Layout, archive: bytes) -> None:
    """An archive into every node that is containerd's."""
    if found.kind is Kind.OWN:
        containers.import_archive(own, archive)
    elif found.kind is Kind.K3S:
        _import([shutil.which("k3s") or "k3s", *_K3S], archive, "k3s")
    elif found.kind is Kind.K3D:
        _into_containers(_nodes(f"k3d.cluster={found.name}"), _K3S, archive, found.name)
    else:
        _into_containers(_nodes(f"io.x-k8s.kind.cluster={found.name}"), _CONTAINERD, archive, found.name)
