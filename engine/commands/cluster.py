"""`make cluster` and `make cluster-down`: a one-node Kubernetes on this machine, as ordinary processes."""

import os
from pathlib import Path

from engine.bundle.install import open_bundle
from engine.cluster import conflicts, packages, removal
from engine.cluster.layout import Layout, layout
from engine.cluster.node import Node
from engine.cluster.programs import ensure_programs
from engine.commands.session import Session
from engine.errors import UserFacingError
from engine.file_lock import held
from engine.report import Report, say
from engine.targets import cluster_identity
from engine.versions import KUBERNETES


def _lock_error() -> UserFacingError:
    return UserFacingError(
        "Another command is starting or removing this checkout's cluster.",
        "Wait until it has ended, or interrupt it, and run the command again.",
    )


def ready(session: Session, report: Report = say) -> Node:
    """The programs and packages, made ready as far as they are missing; nothing is started."""
    place = layout(session.paths)
    conflicts.check_machine(place)
    conflicts.check_owner(place)
    packages.ensure_packages(report, session.paths.logs / "cluster-packages.log")
    return Node(place, ensure_programs(report, session.paths), report)


def start(session: Session, report: Report = say) -> tuple[Node, list[str]]:
    """Have the cluster run; the names of the parts that were started, none when it ran already."""
    place = layout(session.paths)
    conflicts.check_machine(place)
    with held(session.paths.lock("cluster"), busy=_lock_error()):
        node = ready(session, report)
        if node.runs():
            return node, []
        conflicts.check_resources(place)
        node.check()
        report(f"Starting Kubernetes v{KUBERNETES} on this machine: 10 to 60 s.")
        return node, node.start()


def stop(session: Session, report: Report = say) -> bool:
    """Remove the cluster; False when there was none."""
    place = layout(session.paths)
    if not removal.present(place):
        return False
    conflicts.check_machine(place)
    with held(session.paths.lock("cluster"), busy=_lock_error()):
        removal.remove(place, report)
        cluster_identity.forget_cluster(session.paths, place.kubeconfig)
    return True


def _usage(place: Layout) -> str:
    sudo = "  it is root's: run `make up STACK=local-cluster` as root too\n" if os.environ.get("SUDO_UID") else ""
    return (
        f"  export KUBECONFIG={place.kubeconfig} PATH={place.programs}:$PATH\n"
        f"  registry   {place.registry} (push there with Docker; pods pull {place.registry}/NAME@sha256:…)\n"
        f"  storage    class local, the default: ReadWriteOnce and ReadWriteMany\n"
        f"  node ports on 127.0.0.1 only; NetworkPolicies are accepted, but nothing enforces them on this node\n"
        f"  logs       {place.logs}\n"
        f"{sudo}"
        "Next: make up STACK=local-cluster. `make cluster-down` removes it with everything in it."
    )


def cluster(session: Session, bundle: Path | None = None) -> None:
    """Start the cluster, or what is missing of it, by programs of the bundle if there is one; say how it is used."""
    if bundle is not None:
        opened = open_bundle(bundle, say)
        if not opened.has_cluster:
            raise UserFacingError(
                f"{bundle} has no programs of a cluster.", "Make one that has them: make bundle CLUSTER=yes."
            )
        opened.install_programs(session.paths, say)
    node, started = start(session)
    if not started:
        say("The cluster is running already; nothing was changed.")
    else:
        what = "everything" if len(started) == len(node.parts.all()) else ", ".join(started)
        say(f"The cluster is ready after {session.seconds():.0f} s (started: {what}).")
    say(_usage(node.layout))


def cluster_down(session: Session) -> None:
    """Remove the cluster with everything in it."""
    if not stop(session):
        say("There is no cluster of this checkout on this machine.")
        return
    say(f"The cluster is gone after {session.seconds():.0f} s. Its programs stay in the cache; Docker was not touched.")
