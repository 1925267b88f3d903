"""`target: eks`: network, cluster, workspace and database, made on AWS."""

import pulumi
import pulumi_aws as aws
import pulumi_kubernetes as k8s
from agent_fleet import (
    AddonTraffic,
    Cluster,
    ClusterArgs,
    ManagedDatabase,
    Network,
    NodeAutoscalerArgs,
    NodeGroupArgs,
    PodIdentity,
    RunscArgs,
    SharedWorkspace,
)
from agent_fleet.aws.subnets import plan_subnets
from agent_fleet.execution_workloads import FLEET_USER
from agent_fleet.kubernetes.ordering import once_there

from architectures.eks_rings import NO_RIGHTS, declare_rings
from architectures.foundation import Foundation, ManagedPostgres
from settings.aws_model import Gvisor, NodeGroup
from settings.model import Settings

GVISOR = "gvisor"
DATABASE_CLASS = "agent-fleet-database"
WORKSPACE_CLASS = "agent-fleet-workspace"


def stand_on_eks(fleet: str, settings: Settings) -> Foundation:
    """Network, then the cluster, then what its pods need of AWS."""
    account = aws.Provider("aws", region=settings.aws.region)
    on_aws = pulumi.ResourceOptions(providers=[account])
    network = Network(
        fleet,
        {
            "fleet": fleet,
            "region": settings.aws.region,
            "zones": settings.aws.zones,
            "cidr": settings.aws.cidr,
            "nat": settings.aws.nat,
            "log_retention_days": settings.aws.log_retention_days,
        },
        opts=on_aws,
    )
    cluster = Cluster(fleet, _cluster_args(fleet, settings, network), opts=on_aws)
    # Renaming this resource replaces everything that is in the cluster.
    provider = k8s.Provider(
        "cluster",
        kubeconfig=cluster.kubeconfig,
        cluster_identifier=cluster.identifier,
        enable_server_side_apply=True,
        # Without these a changed value deletes the object before it is made anew, under pods that use it.
        enable_config_map_mutable=True,
        enable_secret_mutable=True,
    )
    in_cluster = pulumi.ResourceOptions(provider=provider)
    # Not after the cluster's nodes: their add-ons wait for it.
    traffic = AddonTraffic(fleet, {"fleet": fleet}, opts=in_cluster)
    rings = declare_rings(fleet, settings, on_aws)
    ready: list[pulumi.Resource] = [cluster, traffic]
    if settings.aws.gvisor is not None:
        ready.append(k8s.node.v1.RuntimeClass(GVISOR, metadata={"name": GVISOR}, handler="runsc", opts=in_cluster))

    def identity(name: str, namespace: str, service_account: str) -> pulumi.Resource:
        return PodIdentity(
            name,
            {
                "cluster_name": cluster.name,
                "cluster_arn": cluster.arn,
                "namespace": namespace,
                "service_account": service_account,
                "policy": rings.policies.get(name, NO_RIGHTS),
            },
            opts=on_aws,
        )

    return Foundation(
        provider=provider,
        ready=ready,
        untrusted_nodes=True,
        runtime_class=None if settings.aws.gvisor is None else GVISOR,
        workspace_class=_workspace_class(
            fleet, settings, network, cluster, pulumi.ResourceOptions(providers=[account, provider])
        ),
        database_class=_database_class(settings, in_cluster),
        managed_postgres=_postgres(fleet, settings, network, cluster, on_aws),
        ring_queues=rings.queues,
        pod_identity_enabled=True,
        identity=identity,
        karpenter={
            "cluster_name": cluster.name,
            "interruption_queue": cluster.karpenter_queue_name,
            "isolated_vpc": settings.aws.nat == "none",
        },
        nodes_as_needed=_nodes_as_needed(fleet, settings, network, cluster),
        outputs={"cluster_name": cluster.name, "kubeconfig": cluster.kubeconfig, **rings.outputs},
    )


def _cluster_args(fleet: str, settings: Settings, network: Network) -> ClusterArgs:
    given = settings.aws
    args: ClusterArgs = {
        "fleet": fleet,
        "version": settings.cluster.version or "",
        "vpc_id": network.vpc_id,
        "subnet_ids": network.private_subnet_ids,
        "endpoint_security_group_id": network.endpoint_security_group_id,
        "s3_prefix_list_id": network.s3_prefix_list_id,
        "administrators": given.administrators,
        "public_endpoint_cidrs": given.public_endpoint_cidrs,
        "api_client_cidrs": given.api_client_cidrs,
        "service_cidr": given.service_cidr,
        "log_retention_days": given.log_retention_days,
        "deletion_protection": given.deletion_protection,
        "system_nodes": _node_group(given.system_nodes),
        "pod_pids_limit": settings.sandbox.processes,
        "karpenter": settings.platform.karpenter != "off",
    }
    if given.untrusted_on_demand is not None:
        args["untrusted_on_demand"] = _node_group(given.untrusted_on_demand)
    if given.untrusted_spot is not None:
        args["untrusted_spot"] = _node_group(given.untrusted_spot)
    if given.gvisor is not None:
        args["runsc"] = _runsc(given.gvisor)
    return args


def _nodes_as_needed(fleet: str, settings: Settings, network: Network, cluster: Cluster) -> NodeAutoscalerArgs | None:
    if settings.platform.karpenter == "off":
        return None
    args: NodeAutoscalerArgs = {
        "fleet": fleet,
        "cluster_name": cluster.name,
        "untrusted": True,
        "instance_profile": cluster.karpenter_instance_profile,
        "subnet_ids": network.private_subnet_ids,
        "security_group_ids": [cluster.untrusted_node_security_group_id],
        "pod_pids_limit": settings.sandbox.processes,
        "longest_job_seconds": settings.limits.task_timeout_seconds,
    }
    if settings.aws.gvisor is not None:
        args["runsc"] = _runsc(settings.aws.gvisor)
    return args


def _node_group(given: NodeGroup) -> NodeGroupArgs:
    return {
        "instance_types": given.instance_types,
        "minimum": given.minimum,
        "desired": given.desired,
        "maximum": given.maximum,
        "disk_gibibytes": given.disk_gibibytes,
    }


def _runsc(given: Gvisor) -> RunscArgs:
    args: RunscArgs = {
        "runsc_uri": given.runsc_uri,
        "runsc_sha256": given.runsc_sha256,
        "shim_uri": given.shim_uri,
        "shim_sha256": given.shim_sha256,
    }
    if given.bucket_arn is not None:
        args["bucket_arn"] = given.bucket_arn
    return args


def _database_class(settings: Settings, in_cluster: pulumi.ResourceOptions) -> pulumi.Input[str] | None:
    if settings.database.storage_class is not None or settings.database.kind != "in_cluster":
        return settings.database.storage_class
    # EKS has no default class any more, and its old one encrypts nothing.
    declared = k8s.storage.v1.StorageClass(
        DATABASE_CLASS,
        metadata={"name": DATABASE_CLASS},
        provisioner="ebs.csi.aws.com",
        parameters={"type": "gp3", "encrypted": "true"},
        volume_binding_mode="WaitForFirstConsumer",
        allow_volume_expansion=True,
        reclaim_policy="Delete",
        opts=in_cluster,
    )
    return once_there(DATABASE_CLASS, [declared])


def _workspace_class(
    fleet: str, settings: Settings, network: Network, cluster: Cluster, on_both: pulumi.ResourceOptions
) -> pulumi.Input[str] | None:
    if not settings.workspace.enabled or settings.workspace.storage_class is not None:
        return settings.workspace.storage_class
    return SharedWorkspace(
        fleet,
        {
            "fleet": fleet,
            "vpc_id": network.vpc_id,
            "zones": settings.aws.zones,
            "subnet_ids": network.private_subnet_ids,
            "client_security_group_id": cluster.node_security_group_id,
            "storage_class_name": WORKSPACE_CLASS,
            "uid": FLEET_USER.uid,
            "gid": FLEET_USER.gid,
            "deletion_protection": settings.aws.deletion_protection,
        },
        opts=on_both,
    ).storage_class


def _postgres(
    fleet: str, settings: Settings, network: Network, cluster: Cluster, on_aws: pulumi.ResourceOptions
) -> ManagedPostgres | None:
    if settings.database.kind != "rds":
        return None
    given = settings.aws.database
    database = ManagedDatabase(
        fleet,
        {
            "fleet": fleet,
            "vpc_id": network.vpc_id,
            "subnet_ids": network.private_subnet_ids,
            "client_security_group_ids": [cluster.node_security_group_id],
            "engine_version": given.engine_version,
            "instance_class": given.instance_class,
            "storage_gibibytes": given.storage_gibibytes,
            "multi_az": given.multi_zone,
            "deletion_protection": settings.aws.deletion_protection,
            "backup_retention_days": given.backup_retention_days,
            "log_retention_days": settings.aws.log_retention_days,
        },
        opts=on_aws,
    )
    plan = plan_subnets(settings.aws.cidr, len(settings.aws.zones))
    return ManagedPostgres(url=database.url, address=database.address, cidrs=plan.private)
