"""`target: existing`: a cluster that somebody else runs, by its kubeconfig."""

from pathlib import Path

import pulumi_kubernetes as k8s

from architectures.foundation import Foundation
from settings.model import Settings


def stand_on_existing(fleet: str, settings: Settings) -> Foundation:
    """The cluster of the kubeconfig, with what it has."""
    cluster = settings.cluster
    # Renaming this resource replaces everything that is in the cluster.
    provider = k8s.Provider(
        "cluster",
        kubeconfig=None if cluster.kubeconfig is None else str(Path(cluster.kubeconfig).expanduser()),
        context=cluster.context,
        # Where the file is and what is in it may change; the cluster is the same as long as its context is.
        cluster_identifier=f"{fleet}@{cluster.context or 'current-context'}",
        enable_server_side_apply=True,
        # Without these a changed value deletes the object before it is made anew, under pods that use it.
        enable_config_map_mutable=True,
        enable_secret_mutable=True,
    )
    return Foundation(
        provider=provider,
        untrusted_nodes=cluster.untrusted_nodes_present,
        runtime_class=cluster.runtime_class,
        workspace_class=settings.workspace.storage_class,
        database_class=settings.database.storage_class,
    )
