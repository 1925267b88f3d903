"""A Kubernetes cluster on EKS, closed by default, with its nodes, add-ons and access."""

import pulumi
import pulumi_aws as aws

from agent_fleet.aws.cluster_access import check_administrators, declare_administrators, kubeconfig
from agent_fleet.aws.cluster_addons import AFTER_NODES, BEFORE_NODES, CNI, Addon, check_overrides, declare_addon
from agent_fleet.aws.cluster_args import ClusterArgs
from agent_fleet.aws.cluster_control_plane import check_public_endpoint, declare_control_plane
from agent_fleet.aws.cluster_nodes import NodeGroup, declare_node_group, node_role
from agent_fleet.aws.cluster_security_groups import ClusterSecurityGroups, SecurityGroups
from agent_fleet.aws.karpenter_support import DEFAULT_NAMESPACE, KarpenterSupport, declare_karpenter_support
from agent_fleet.aws.node_user_data import system_user_data, untrusted_user_data
from agent_fleet.aws.resource_tags import tags
from agent_fleet.versions import addon_versions


class Cluster(pulumi.ComponentResource):
    """EKS with a private endpoint, secrets under a key of ours, all logs, explicit access, and tainted untrusted nodes.

    What is destroyed goes in this order, so that no network interface is left in a subnet or a security group: add-ons
    with Deployments, nodes, the CNI (which releases the interfaces of the nodes), the cluster (which takes its own
    interfaces along), security groups; the network, which is another component, last.
    """

    name: pulumi.Output[str]
    """The cluster's name: the component's."""
    arn: pulumi.Output[str]
    """The cluster's ARN."""
    endpoint: pulumi.Output[str]
    """The API server's URL."""
    identifier: pulumi.Output[str]
    """For the Kubernetes provider's `cluster_identifier`: another only if the cluster is another, so that a changed
    kubeconfig replaces nothing."""
    certificate_authority: pulumi.Output[str]
    """The API server's certificate authority, base64 of PEM."""
    kubeconfig: pulumi.Output[str]
    """Fetches its token with `aws eks get-token`. A secret. Known as soon as the administrators may enter, long before
    the nodes are there."""
    node_security_group_id: pulumi.Output[str]
    """The nodes of the fleet's own programs: what databases and file systems let in."""
    untrusted_node_security_group_id: pulumi.Output[str]
    """The nodes of untrusted work: never let them into anything."""
    cluster_security_group_id: pulumi.Output[str]
    """The control plane's interfaces."""
    node_role_arn: pulumi.Output[str]
    """The role of the system nodes."""
    kms_key_arn: pulumi.Output[str]
    """The key of the cluster's secrets."""
    karpenter_queue_name: pulumi.Output[str]
    """Karpenter's interruption queue; empty without Karpenter."""
    karpenter_controller_role_arn: pulumi.Output[str]
    """Karpenter's role, already bound to its service account; empty without Karpenter."""
    karpenter_instance_profile: pulumi.Output[str]
    """For an EC2NodeClass's `instanceProfile`; empty without Karpenter."""

    def __init__(self, name: str, args: ClusterArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Declare the cluster and all in it; see `ClusterArgs`. Raises ValueError for what EKS would refuse later."""
        versions = {**addon_versions(args["version"]), **args.get("addon_versions", {})}
        check_overrides(args.get("addon_versions", {}))
        check_administrators(args["administrators"])
        check_public_endpoint(args)
        super().__init__("agent-fleet:index:Cluster", name, {}, opts)
        own_tags = tags(args["fleet"], "cluster", args.get("owner"))
        options = pulumi.ResourceOptions(parent=self)
        groups = SecurityGroups(name, args["vpc_id"], own_tags, options).declare(
            endpoint_security_group_id=args["endpoint_security_group_id"],
            s3_prefix_list_id=args["s3_prefix_list_id"],
            api_client_cidrs=args.get("api_client_cidrs", ()),
        )
        plane = declare_control_plane(
            name, args, control_plane_group=groups.control_plane, own_tags=own_tags, parent=self
        )
        administrators = declare_administrators(name, plane.cluster, args["administrators"], own_tags, options)

        def addon(given: Addon, *depends_on: pulumi.Resource) -> aws.eks.Addon:
            return declare_addon(
                name,
                given,
                version=versions[given.name],
                cluster=plane.cluster,
                own_tags=own_tags,
                parent=self,
                depends_on=depends_on,
            )

        # Nodes come after the CNI and go before it. Without it a node never becomes ready; and if it went first, the
        # interfaces that it added to the nodes would stay behind and hold subnets and security groups.
        before = [addon(each) for each in BEFORE_NODES]
        cni = addon(CNI, *before)
        role, nodes = self._node_groups(name, args, plane.cluster, plane.role, groups, [*before, cni])
        for each in AFTER_NODES:
            addon(each, *nodes)
        karpenter: KarpenterSupport | None = None
        if args.get("karpenter", False):
            karpenter = declare_karpenter_support(
                name,
                plane.cluster,
                namespace=args.get("karpenter_namespace", DEFAULT_NAMESPACE),
                own_tags=own_tags,
                parent=self,
                readable_bucket_arn=args.get("runsc", {}).get("bucket_arn"),
            )
        self.name = plane.cluster.name
        self.arn = plane.cluster.arn
        self.endpoint = self.identifier = plane.cluster.endpoint
        self.certificate_authority = plane.cluster.certificate_authority.data.apply(lambda data: data or "")
        self.kubeconfig = kubeconfig(plane.cluster, administrators)
        self.node_security_group_id = groups.nodes.id
        self.untrusted_node_security_group_id = groups.untrusted_nodes.id
        self.cluster_security_group_id = groups.control_plane.id
        self.node_role_arn = role.arn
        self.kms_key_arn = plane.key.arn
        none = pulumi.Output.from_input("")
        self.karpenter_queue_name = karpenter.queue_name if karpenter else none
        self.karpenter_controller_role_arn = karpenter.controller_role_arn if karpenter else none
        self.karpenter_instance_profile = karpenter.instance_profile if karpenter else none
        self.register_outputs(
            {
                "name": self.name,
                "arn": self.arn,
                "endpoint": self.endpoint,
                "identifier": self.identifier,
                "certificate_authority": self.certificate_authority,
                "kubeconfig": self.kubeconfig,
                "node_security_group_id": self.node_security_group_id,
                "untrusted_node_security_group_id": self.untrusted_node_security_group_id,
                "cluster_security_group_id": self.cluster_security_group_id,
                "node_role_arn": self.node_role_arn,
                "kms_key_arn": self.kms_key_arn,
                "karpenter_queue_name": self.karpenter_queue_name,
                "karpenter_controller_role_arn": self.karpenter_controller_role_arn,
                "karpenter_instance_profile": self.karpenter_instance_profile,
            }
        )

    def _node_groups(
        self,
        name: str,
        args: ClusterArgs,
        cluster: aws.eks.Cluster,
        cluster_role: aws.iam.Role,
        groups: ClusterSecurityGroups,
        addons: list[aws.eks.Addon],
    ) -> tuple[aws.iam.Role, list[aws.eks.NodeGroup]]:
        options = pulumi.ResourceOptions(parent=self)
        node_tags = tags(args["fleet"], "nodes", args.get("owner"))
        system_role, policies = node_role(f"{name}-nodes", cluster_role.arn, node_tags, options)
        wanted = [NodeGroup("system", args["system_nodes"], system_role, groups.nodes, system_user_data())]
        on_demand, spot = args.get("untrusted_on_demand"), args.get("untrusted_spot")
        if on_demand is not None or spot is not None:
            runsc = args.get("runsc")
            role, more = node_role(
                f"{name}-untrusted",
                cluster_role.arn,
                node_tags,
                options,
                readable_bucket_arn=None if runsc is None else runsc.get("bucket_arn"),
            )
            policies += more
            user_data = untrusted_user_data(args["pod_pids_limit"], runsc)
            for given, is_spot in ((on_demand, False), (spot, True)):
                if given is not None:
                    purpose = "untrusted-spot" if is_spot else "untrusted"
                    wanted.append(
                        NodeGroup(purpose, given, role, groups.untrusted_nodes, user_data, spot=is_spot, untrusted=True)
                    )
        return system_role, [
            declare_node_group(
                name,
                group,
                cluster=cluster,
                subnet_ids=args["subnet_ids"],
                own_tags=node_tags,
                parent=self,
                # Nodes drain and leave through all of these, so they are removed only after the nodes.
                depends_on=[*addons, *policies, *groups.rules],
            )
            for group in wanted
        ]
