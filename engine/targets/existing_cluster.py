"""A cluster that exists already, by its kubeconfig, as the place of a fleet."""

import atexit
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine import docker_daemon
from engine.commands.session import Session
from engine.errors import UserFacingError
from engine.images import ensure_base_image
from engine.pulumi_cli import PulumiCli
from engine.report import say
from engine.stack_state import StackState
from engine.targets import kubeconfig
from engine.targets.cluster_client import ClusterClient
from engine.targets.cluster_place import ClusterPlace
from engine.targets.docker_place import check_space
from engine.targets.kubeconfig import Kubeconfig
from engine.targets.target import Place, Purpose

PROVIDERS = ("docker-build", "kubernetes", "random")
# The kubernetes provider's own variables. What somebody set by hand yields to the program, which leaves out what an
# autoscaler decides; and configuration changes in its place: a replacement would be missing for a moment, and pods that
# start in it would fail.
PROVIDER_ENVIRONMENT = {
    "PULUMI_K8S_ENABLE_PATCH_FORCE": "true",
    "PULUMI_K8S_ENABLE_CONFIGMAP_MUTABLE": "true",
    "PULUMI_K8S_ENABLE_SECRET_MUTABLE": "true",
}


def builds_images(settings: Mapping[str, Any]) -> bool:
    """Whether the stack builds its images, and so needs Docker."""
    images = settings.get("images")
    return not isinstance(images, Mapping) or not (images.get("digests") or images.get("imported"))


def connected(config: Kubeconfig) -> ClusterClient:
    """A client that has reached the cluster, closed with this process."""
    client = ClusterClient(config)
    client.connect()
    atexit.register(client.close)
    return client


class ExistingCluster:
    """Implements `target.Target` for `architecture: cluster` with `target: existing`."""

    ready_seconds = 300.0  # a cluster may have to pull images first

    def __init__(self, session: Session, settings: Mapping[str, Any]) -> None:
        """`settings` are the stack's, unchecked. Nothing is asked yet."""
        self._session = session
        self._settings = settings

    def _place(self, config: Kubeconfig) -> ClusterPlace:
        return ClusterPlace(connected(config), self._session.stack, self._session.fleet, say)

    def reach(self) -> Place:
        """The cluster, and Docker where images are built."""
        config = kubeconfig.required(self._settings, self._session.paths)
        place = self._place(config)
        context = f", context {config.context}" if config.context else ""
        say(f"The cluster is {place.server} ({config.source}: {config.path}{context}).")
        if builds_images(self._settings):
            check_space(docker_daemon.ensure_daemon(say, self._session.paths))
        return place

    def find(self, state: StackState) -> Place | None:
        """The cluster if it answers; None where there is none and the stack left nothing in one."""
        try:
            config = kubeconfig.find(self._settings, self._session.paths)
            if config is not None:
                return self._place(config)
            reason = "no kubeconfig was found"
        except UserFacingError as error:
            reason = error.message
        if not state.holds("kubernetes"):
            return None
        raise UserFacingError(
            f"{self._session.fleet} was deployed to a cluster that cannot be reached: {reason}",
            "Start the cluster or set KUBECONFIG, and run the command again. If the cluster is gone for good: "
            f"`make down STACK={self._session.stack} FORCE=yes` forgets the stack.",
        )

    def absent(self) -> str:
        """Said where no cluster answers."""
        return "No cluster answers. `make cluster` starts one on this machine, or set KUBECONFIG to that of your own."

    def forsake(self, state: StackState) -> str:
        """What stays in a cluster that does not answer."""
        left = len([resource for resource in state.resources() if resource["type"].startswith("kubernetes:")])
        return (
            f"The cluster does not answer: the stack is forgotten. If the cluster comes back, {left} objects of the "
            f"fleet are still in it; `make down STACK={self._session.stack} FORCE=yes` removes them then."
        )

    def prepare_images(self, place: Place) -> None:
        """The base of the images, where they are built."""
        del place
        if builds_images(self._settings):
            ensure_base_image(say)

    def engine(self, purpose: Purpose, state: Path | None = None) -> PulumiCli:
        """Stand-ins alone preview without a cluster; everything else reaches it as these commands do."""
        config = self._config(purpose)
        if config is None:
            return self._session.engine("stand-ins", PROVIDERS, state=state, **PROVIDER_ENVIRONMENT)
        variables = {**PROVIDER_ENVIRONMENT, "KUBECONFIG": str(config.path.resolve())}
        return self._session.engine("fleet", PROVIDERS, state=state, **variables)

    def _config(self, purpose: Purpose) -> Kubeconfig | None:
        """The kubeconfig; for a preview only where its cluster answers."""
        if purpose == "up":
            return kubeconfig.required(self._settings, self._session.paths)
        try:
            config = kubeconfig.find(self._settings, self._session.paths)
            if config is not None and purpose == "preview":
                connected(config)
        except UserFacingError as error:
            say(f"Previewing without the cluster: {error.message.splitlines()[0]}")
            return None
        return config
