"""`make cluster-images`: the locally built images into an existing cluster's nodes."""

import os
import shutil
from pathlib import Path

from engine import docker_daemon
from engine.bundle.install import open_bundle
from engine.cluster.image_import import import_archives, import_images, read_kubeconfig, target
from engine.cluster.layout import layout
from engine.commands.session import Session
from engine.report import say


def cluster_images(session: Session, kubeconfig: Path | None, context: str | None, bundle: Path | None = None) -> None:
    """Import them, from Docker or from a bundle, and print the settings that name them."""
    opened = None if bundle is None else open_bundle(bundle, say)
    own = layout(session.paths)
    # As kubectl chooses, except that this checkout's own cluster comes before the user's default.
    environment = os.environ.get("KUBECONFIG", "").split(os.pathsep)[0]
    default = own.kubeconfig if own.kubeconfig.exists() else Path.home() / ".kube" / "config"
    chosen = kubeconfig or (Path(environment) if environment else default)
    found = target(read_kubeconfig(chosen), context, own.server, shutil.which("k3s") is not None)
    if opened is None:
        names = import_images(docker_daemon.connect(600), found, own, session.stack, say)
    else:
        names = import_archives(opened.archives(), found, own, say)
    say("Set below `fleet` in the stack's settings file:\n  images:\n    imported:")
    for image, name in names.items():
        say(f"      {image}: {name}")
