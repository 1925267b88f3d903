"""A cluster on EKS that the stack itself makes, as the place of a fleet."""

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from engine.commands.session import Session
from engine.errors import UserFacingError
from engine.pulumi_cli import PulumiCli
from engine.report import private_file, say
from engine.stack_state import StackState
from engine.targets.aws_account import AwsTarget, aws_engine, require_credentials, require_provider
from engine.targets.cluster_place import ClusterPlace
from engine.targets.existing_cluster import PROVIDER_ENVIRONMENT, connected
from engine.targets.kubeconfig import Kubeconfig
from engine.targets.target import Entrance, LogSelection, Place, Purpose


class EksPlace:
    """The fleet in a cluster that may not be there yet; implements `target.Place`.

    What the stack made goes with the stack: nothing is looked for by label in an account.
    """

    def __init__(self, session: Session, kubeconfig: str) -> None:
        """`kubeconfig` is the stack's output; empty before the cluster was made."""
        self._session = session
        self._kubeconfig = kubeconfig

    def _cluster(self, kubeconfig: str = "") -> ClusterPlace:
        if not (content := kubeconfig or self._kubeconfig):
            raise UserFacingError(
                f"The cluster of {self._session.fleet} is not made yet.",
                f"`make up STACK={self._session.stack}` makes it.",
            )
        path = self._session.paths.kubeconfig(self._session.stack)
        private_file(path, content)
        try:
            client = connected(Kubeconfig(path, None, "the stack's output"))
        except UserFacingError as error:
            raise UserFacingError(
                error.message,
                "The API server of a cluster on EKS is private by default: run the command from inside its network "
                "(docs/cluster.md has the ways there, also for CI).",
            ) from error
        return ClusterPlace(client, self._session.stack, self._session.fleet, say)

    @property
    def packages(self) -> frozenset[str]:
        """None: whatever the engine cannot remove stays in the state."""
        return frozenset()

    def refuse_foreign_fleet(self, state: StackState) -> None:
        """A cluster of the stack's own holds no other fleet; a second one of its name is refused by AWS."""

    def refuse_foreign_removal(self, state: StackState) -> None:
        """Without a state there is nothing that could be removed."""

    def check_before(self, settings: Mapping[str, Any]) -> None:
        """Nothing beyond what the settings' own check has said."""

    def remove_orphans(self, state: StackState) -> None:
        """In the cluster, once there is one."""
        if self._kubeconfig and state.holds("kubernetes"):
            self._cluster().remove_orphans(state)

    def drifted(self, state: StackState) -> bool:
        """Not asked on every run: reading a whole account takes minutes. `pulumi refresh` in `make shell` does."""
        del state
        return False

    def remove_all(self) -> int:
        """Nothing: the cluster has gone with the stack."""
        return 0

    def what_stays(self) -> str:
        """Nothing that the stack made."""
        return ""

    def entrance(self, outputs: Mapping[str, Any]) -> AbstractContextManager[Entrance]:
        """As in any cluster."""
        return self._cluster(_kubeconfig(outputs)).entrance(outputs)

    def troubles(self) -> str:
        """As in any cluster; nothing before there is one."""
        return self._cluster().troubles() if self._kubeconfig else ""

    def anything(self) -> bool:
        """Whether the cluster was made."""
        return bool(self._kubeconfig)

    def condition(self) -> list[str]:
        """As in any cluster."""
        return self._cluster().condition()

    def logs(self, selection: LogSelection) -> None:
        """As in any cluster."""
        self._cluster().logs(selection)


def _kubeconfig(outputs: Mapping[str, Any]) -> str:
    found = outputs.get("kubeconfig") or ""
    return found if isinstance(found, str) else json.dumps(found)


class Eks(AwsTarget):
    """Implements `target.Target` for `architecture: cluster` with `target: eks`."""

    def reach(self) -> Place:
        """AWS, by credentials and the official provider; raises UserFacingError before anything is changed."""
        require_credentials()
        require_provider(self._session)
        return EksPlace(self._session, self._stored())

    def _stored(self) -> str:
        """The kubeconfig of a cluster that an earlier run made."""
        if not self._session.state.exists():
            return ""
        run = self.engine("up").run("stack", "output", "--json", "--show-secrets")
        return _kubeconfig(json.loads(run.stdout)) if run.returncode == 0 else ""

    def find(self, state: StackState) -> Place | None:
        """The stack's cluster; None where nothing was ever made."""
        if not state.exists():
            return None
        if state.holds("aws"):
            require_credentials()
        return EksPlace(self._session, self._stored())

    def engine(self, purpose: Purpose, state: Path | None = None) -> PulumiCli:
        """Without credentials stand-ins preview; with them the official plugins do everything."""
        return aws_engine(self._session, purpose, state, **PROVIDER_ENVIRONMENT)
