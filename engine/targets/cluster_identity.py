"""Which cluster a stack is in: written down before anything is declared, and held against the one that answers."""

import contextlib
import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

from engine.errors import UserFacingError
from engine.paths import Paths
from engine.report import private_file
from engine.targets.cluster_client import ApiError, ClusterClient

# Every cluster has this namespace from its first start to its end, so that its uid is the cluster's own.
_NAMESPACE = "kube-system"


@dataclass(frozen=True)
class ClusterIdentity:
    """A cluster, and by what it was reached: only `uid` tells it from others, the rest is for people."""

    uid: str
    server: str
    kubeconfig: str
    context: str = ""

    def __str__(self) -> str:
        """As people find it again."""
        context = f", context {self.context}" if self.context else ""
        return f"{self.server} (kubeconfig {self.kubeconfig}{context}; {_NAMESPACE} has the uid {self.uid})"


def identify(client: ClusterClient) -> ClusterIdentity:
    """The cluster that answers; raises UserFacingError where these credentials do not show it."""
    try:
        uid = str(client.get(f"/api/v1/namespaces/{_NAMESPACE}")["metadata"]["uid"])
    except ApiError as error:
        raise UserFacingError(
            f"The uid of the namespace {_NAMESPACE}, which tells this cluster from others, cannot be read: "
            f"{error.message}",
            f"Use credentials that may (`kubectl auth can-i get namespace/{_NAMESPACE}`).",
        ) from error
    config = client.config
    return ClusterIdentity(uid, client.server, str(config.path.resolve()), config.context or "")


def recorded(path: Path) -> ClusterIdentity | None:
    """What was written down; None where nothing was."""
    try:
        return ClusterIdentity(**json.loads(path.read_text()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise UserFacingError(
            f"{path}, which says in which cluster the stack is, cannot be read: {error}",
            "Remove it, if the kubeconfig in use is that of the stack's cluster, and run the command again.",
        ) from error


def record(path: Path, identity: ClusterIdentity) -> None:
    """Write it down, readable by this user only."""
    private_file(path, json.dumps(dataclasses.asdict(identity), indent=2) + "\n")


def forget_cluster(paths: Paths, kubeconfig: Path) -> None:
    """Forget a cluster that was removed with everything in it, so that its stacks may go to the next one."""
    for path in paths.fleet.glob(paths.cluster_identity("*").name):
        with contextlib.suppress(UserFacingError):  # one that cannot be read is said by its own stack's commands
            known = recorded(path)
            if known is not None and known.kubeconfig == str(kubeconfig.resolve()):
                path.unlink(missing_ok=True)


def refuse_another(known: ClusterIdentity, found: ClusterIdentity, fleet: str, stack: str) -> None:
    """Raise UserFacingError where the cluster that answers is not the one that the stack is in."""
    if known.uid == found.uid:
        return
    raise UserFacingError(
        f"{fleet} was deployed to another cluster than the one that answers, and nothing was changed:\n"
        f"  the stack is in {known}\n"
        f"  this one is     {found}",
        "Use the kubeconfig and the context of the stack's own cluster (KUBECONFIG, or fleet.cluster.kubeconfig and "
        "fleet.cluster.context), or another stack (STACK=...) for this one. To move it, run `make down "
        f"STACK={stack}` there first. If that cluster is gone for good: `make down STACK={stack} FORCE=yes` forgets "
        "it, and removes nothing.",
    )
