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
from engine.targets import cluster_identity, kubeconfig
from engine.targets.cluster_client import ClusterClient
from engine.targets.cluster_identity import ClusterIdentity
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
        self._reached: ClusterIdentity | None = None

    def _place(self, client: ClusterClient) -> ClusterPlace:
        return ClusterPlace(client, self._session.stack, self._session.fleet, say)

    @property
    def _record(self) -> Path:
        return self._session.paths.cluster_identity(self._session.stack)

    def _refuse_another(self, client: ClusterClient) -> None:
        """Against a stack of another cluster; one that is in no cluster yet may go to any."""
        known = cluster_identity.recorded(self._record) if self._session.state.exists() else None
        if known is not None:
            found = cluster_identity.identify(client)
            cluster_identity.refuse_another(known, found, self._session.fleet, self._session.stack)

    def reach(self) -> Place:
        """The cluster, and Docker where images are built."""
        config = kubeconfig.required(self._settings, self._session.paths)
        client = connected(config)
        self._refuse_another(client)
        self._reached = cluster_identity.identify(client)
        place = self._place(client)
        context = f", context {config.context}" if config.context else ""
        say(f"The cluster is {place.server} ({config.source}: {config.path}{context}).")
        if builds_images(self._settings):
            check_space(docker_daemon.ensure_daemon(say, self._session.paths))
        return place

    def occupy(self) -> None:
        """The cluster's identity, beside the stack's other files."""
        if self._reached is not None:
            cluster_identity.record(self._record, self._reached)

    def find(self, state: StackState) -> Place | None:
        """The cluster if it answers; None where there is none and the stack left nothing in one."""
        try:
            config = kubeconfig.find(self._settings, self._session.paths)
            client = None if config is None else connected(config)
            reason = "no kubeconfig was found"
        except UserFacingError as error:
            client, reason = None, error.message
        if client is not None:
            self._refuse_another(client)
            return self._place(client)
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
        """What stays in a cluster that does not answer, or that is not the one that answers."""
        left = len([resource for resource in state.resources() if resource["type"].startswith("kubernetes:")])
        return (
            f"The cluster that the stack is in was not reached: the stack is forgotten. If that cluster is not gone, "
            f"{left} objects of the fleet are still in it; `make down STACK={self._session.stack} FORCE=yes` with its "
            "kubeconfig removes them."
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
        """The kubeconfig; for a preview only where its cluster answers. `reach` and `find` check for the rest."""
        if purpose == "up":
            return kubeconfig.required(self._settings, self._session.paths)
        config = None
        try:
            config = kubeconfig.find(self._settings, self._session.paths)
            client = None if config is None or purpose == "down" else connected(config)
        except UserFacingError as error:
            doing = "Previewing" if purpose == "preview" else "Going on"
            say(f"{doing} without the cluster: {error.message.splitlines()[0]}")
            return None if purpose == "preview" else config
        if client is not None:
            self._refuse_another(client)
        return config
