"""A fleet in a cluster that answers."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

from engine.errors import UserFacingError
from engine.report import Report
from engine.stack_state import StackState
from engine.targets import cluster_objects, cluster_report, cluster_troubles
from engine.targets.cluster_client import ApiError, ClusterClient
from engine.targets.cluster_entrance import entrance
from engine.targets.cluster_logs import ClusterLogs
from engine.targets.cluster_objects import FLEET_LABEL, FleetObjects
from engine.targets.target import Entrance, LogSelection


class ClusterPlace:
    """One fleet's place in a cluster; implements `target.Place`."""

    def __init__(self, client: ClusterClient, stack: str, fleet: str, report: Report) -> None:
        """`client` is connected. What is removed on the way is told to `report`."""
        self._client = client
        self._stack = stack
        self._fleet = fleet
        self._report = report
        self._objects = FleetObjects(client, fleet)

    @property
    def server(self) -> str:
        """The API server's address."""
        return self._client.server

    def _foreign(self, state: StackState) -> list[str]:
        """What is deployed under the fleet's name and is another checkout's: a killed run leaves a state."""
        return [] if state.exists() else self._objects.deployed()

    @property
    def packages(self) -> frozenset[str]:
        """Kubernetes' objects carry the label."""
        return frozenset({"kubernetes"})

    def refuse_foreign_fleet(self, state: StackState) -> None:
        """Refuse to take the place of a fleet of this name that another checkout deployed."""
        if theirs := self._foreign(state):
            raise UserFacingError(
                f"A fleet {self._fleet} is in this cluster already, and this checkout did not deploy it: "
                f"{', '.join(theirs)}.",
                "Choose another name (STACK=..., with its own settings file), or run `make down` in the checkout that "
                f"deployed it. If that is gone: `make down STACK={self._stack} FORCE=yes` here removes the fleet with "
                f"its jobs, and `kubectl delete deployments,statefulsets -A -l {FLEET_LABEL}={self._fleet}` its "
                "programs only, so that `make up` goes on with its jobs.",
            )

    def refuse_foreign_removal(self, state: StackState) -> None:
        """Refuse to remove a fleet of this name that another checkout deployed."""
        if theirs := self._foreign(state):
            raise UserFacingError(
                f"A fleet {self._fleet} is in this cluster, and this checkout did not deploy it: "
                f"{', '.join(theirs)}. Nothing was removed.",
                "Run `make down` in the checkout that deployed it. If that is gone: "
                f"`make down STACK={self._stack} FORCE=yes` removes the fleet with its jobs.",
            )

    def check_before(self, settings: Mapping[str, Any]) -> None:
        """Refuse namespaces that are somebody else's, and credentials that may not make any."""
        teams = settings.get("teams")
        wanted = {self._fleet}
        for team in teams if isinstance(teams, Mapping) else ():
            wanted |= {f"{self._fleet}-{team}", f"{self._fleet}-{team}-sandboxes"}
        try:
            present = self._client.get("/api/v1/namespaces")["items"]
        except ApiError as error:
            raise UserFacingError(
                f"These credentials may not do what a deployment needs: {error.message}",
                "A fleet makes its own namespaces: use credentials that may (`kubectl auth can-i create namespaces`).",
            ) from error
        taken = [
            item["metadata"]["name"]
            for item in present
            if item["metadata"]["name"] in wanted
            and (item["metadata"].get("labels") or {}).get(FLEET_LABEL) != self._fleet
        ]
        if taken:
            raise UserFacingError(
                f"The cluster has namespaces of these names that are not this fleet's: {', '.join(sorted(taken))}.",
                "Choose another stack name (STACK=...) or other names for the teams.",
            )

    def remove_orphans(self, state: StackState) -> None:
        """Remove what an interrupted run made and the state does not know."""
        cluster_objects.remove_orphans(self._objects, state, self._report)

    def drifted(self, state: StackState) -> bool:
        """Always where there is anything: people and controllers change a cluster's objects, and no event tells."""
        return bool(cluster_objects.known(state))

    def remove_all(self) -> int:
        """Remove everything with the fleet's label, namespaces last."""
        return self._objects.remove(self._objects.labelled())

    def what_stays(self) -> str:
        """Nothing to remove by hand: images stay on the nodes and in the registry, which have their own clean-up."""
        return ""

    def entrance(self, outputs: Mapping[str, Any]) -> AbstractContextManager[Entrance]:
        """A way to the API: its own address, a node's port, or through the API server."""
        return entrance(self._client, self._fleet, outputs)

    def troubles(self) -> str:
        """Why pods do not run; nothing where the API server does not say."""
        try:
            return "\n".join(cluster_troubles.troubles(self._client, self._fleet))
        except (ApiError, UserFacingError):
            return ""

    def anything(self) -> bool:
        """Whether there is a namespace of the fleet."""
        return bool(self._objects.namespaces())

    def condition(self) -> list[str]:
        """The fleet's workloads, and the cluster that they are in."""
        return [f"  cluster {self._client.server}", *cluster_report.condition(self._client, self._fleet)]

    def logs(self, selection: LogSelection) -> None:
        """Print logs; raises UserFacingError where nothing was selected."""
        if not ClusterLogs(self._client, self._fleet, selection).show():
            role = f" of the role {selection.role}" if selection.role else ""
            team = f" of the team {selection.team}" if selection.team else ""
            raise UserFacingError(
                f"{self._fleet} has no container{role}{team}.",
                f"`make status STACK={self._stack}` shows what it has.",
            )
