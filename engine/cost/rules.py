"""Which rule prices which type of resource, and which types cost nothing by themselves.

A type of a cloud that is in neither table is `not estimated`, and said to be.
"""

from collections.abc import Callable, Mapping

from engine.cost import compute_rules, data_rules, network_rules
from engine.cost.charges import FREE, Verdict, not_estimated
from engine.cost.planned import Plan, Planned
from engine.cost.price_table import RegionalPrices

Rule = Callable[[Planned, Plan, RegionalPrices], Verdict]

RULES: Mapping[str, Rule] = {
    "aws:autoscaling/group:Group": compute_rules.autoscaling_group,
    "aws:cloudwatch/dashboard:Dashboard": data_rules.dashboard,
    "aws:cloudwatch/logGroup:LogGroup": data_rules.log_group,
    "aws:cloudwatch/metricAlarm:MetricAlarm": data_rules.alarm,
    "aws:dlm/lifecyclePolicy:LifecyclePolicy": compute_rules.snapshots,
    "aws:ebs/volume:Volume": compute_rules.volume,
    "aws:ec2/eip:Eip": network_rules.address,
    "aws:ec2/instance:Instance": compute_rules.instance,
    "aws:ec2/launchTemplate:LaunchTemplate": compute_rules.launch_template,
    "aws:ec2/natGateway:NatGateway": network_rules.nat_gateway,
    "aws:ec2/vpcEndpoint:VpcEndpoint": network_rules.endpoint,
    "aws:ecr/repository:Repository": data_rules.repository,
    "aws:efs/backupPolicy:BackupPolicy": data_rules.file_system_backup,
    "aws:efs/fileSystem:FileSystem": data_rules.file_system,
    "aws:eks/cluster:Cluster": network_rules.control_plane,
    "aws:eks/nodeGroup:NodeGroup": compute_rules.node_group,
    "aws:elasticache/cluster:Cluster": data_rules.cache,
    "aws:elasticache/replicationGroup:ReplicationGroup": data_rules.cache,
    "aws:kms/key:Key": data_rules.key,
    "aws:lb/loadBalancer:LoadBalancer": network_rules.load_balancer,
    "aws:rds/instance:Instance": data_rules.database,
    "aws:s3/bucket:Bucket": data_rules.bucket,
    "aws:s3/bucketV2:BucketV2": data_rules.bucket,
    "aws:secretsmanager/secret:Secret": data_rules.secret,
    "aws:sqs/queue:Queue": data_rules.queue,
}
IN_THE_CLUSTER: Mapping[str, Rule] = {
    "kubernetes:apps/v1:StatefulSet": data_rules.cluster_store,
    "kubernetes:core/v1:PersistentVolumeClaim": data_rules.cluster_volume,
    "kubernetes:core/v1:Service": network_rules.cluster_service,
    "kubernetes:karpenter.sh/v1:NodePool": network_rules.more_nodes,
    "kubernetes:networking.k8s.io/v1:Ingress": network_rules.cluster_ingress,
}
"""Objects of a cluster that make something in the account, where the cluster itself is the stack's."""

_FREE_PACKAGES = ("command", "docker", "docker-build", "kubernetes", "pulumi", "random", "time", "tls")
_FREE_MODULES = ("aws:iam/", "aws:vpc/securityGroup")
_FREE_TYPES = frozenset(
    {
        "aws:acm/certificate:Certificate",
        "aws:acm/certificateValidation:CertificateValidation",
        "aws:autoscaling/attachment:Attachment",
        "aws:autoscaling/lifecycleHook:LifecycleHook",
        "aws:autoscaling/policy:Policy",
        "aws:autoscaling/schedule:Schedule",
        "aws:cloudwatch/eventRule:EventRule",
        "aws:cloudwatch/eventTarget:EventTarget",
        "aws:cloudwatch/logResourcePolicy:LogResourcePolicy",
        "aws:cloudwatch/logStream:LogStream",
        "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup",
        "aws:ec2/eipAssociation:EipAssociation",
        # What it writes is the log group's.
        "aws:ec2/flowLog:FlowLog",
        "aws:ec2/internetGateway:InternetGateway",
        "aws:ec2/networkAcl:NetworkAcl",
        "aws:ec2/networkInterface:NetworkInterface",
        "aws:ec2/route:Route",
        "aws:ec2/routeTable:RouteTable",
        "aws:ec2/routeTableAssociation:RouteTableAssociation",
        "aws:ec2/securityGroup:SecurityGroup",
        "aws:ec2/securityGroupRule:SecurityGroupRule",
        "aws:ec2/subnet:Subnet",
        "aws:ec2/volumeAttachment:VolumeAttachment",
        "aws:ec2/vpc:Vpc",
        "aws:ecr/lifecyclePolicy:LifecyclePolicy",
        "aws:ecr/pullThroughCacheRule:PullThroughCacheRule",
        "aws:ecr/registryPolicy:RegistryPolicy",
        "aws:ecr/repositoryCreationTemplate:RepositoryCreationTemplate",
        "aws:ecr/repositoryPolicy:RepositoryPolicy",
        "aws:efs/accessPoint:AccessPoint",
        "aws:efs/fileSystemPolicy:FileSystemPolicy",
        "aws:efs/mountTarget:MountTarget",
        "aws:eks/accessEntry:AccessEntry",
        "aws:eks/accessPolicyAssociation:AccessPolicyAssociation",
        # AWS's own ones, which are all that the fleet has; those of the marketplace have prices.
        "aws:eks/addon:Addon",
        "aws:eks/podIdentityAssociation:PodIdentityAssociation",
        "aws:elasticache/parameterGroup:ParameterGroup",
        "aws:elasticache/subnetGroup:SubnetGroup",
        "aws:elasticache/user:User",
        "aws:elasticache/userGroup:UserGroup",
        "aws:kms/alias:Alias",
        "aws:kms/keyPolicy:KeyPolicy",
        "aws:lb/listener:Listener",
        "aws:lb/listenerCertificate:ListenerCertificate",
        "aws:lb/listenerRule:ListenerRule",
        "aws:lb/targetGroup:TargetGroup",
        "aws:lb/targetGroupAttachment:TargetGroupAttachment",
        "aws:rds/parameterGroup:ParameterGroup",
        "aws:rds/subnetGroup:SubnetGroup",
        "aws:secretsmanager/secretPolicy:SecretPolicy",
        "aws:secretsmanager/secretVersion:SecretVersion",
        "aws:sqs/queuePolicy:QueuePolicy",
        "aws:sqs/redriveAllowPolicy:RedriveAllowPolicy",
        "aws:sqs/redrivePolicy:RedrivePolicy",
    }
)


def is_cloud(kind: str) -> bool:
    """Whether a type of resource is in somebody's account."""
    return kind.partition(":")[0] not in _FREE_PACKAGES


def judge(planned: Planned, plan: Plan, prices: RegionalPrices, *, own_cluster: bool) -> Verdict:
    """What one resource costs. `own_cluster`: the stack makes the cluster that its Kubernetes objects are in."""
    if rule := RULES.get(planned.type):
        return rule(planned, plan, prices)
    if own_cluster and (rule := IN_THE_CLUSTER.get(planned.type)):
        return rule(planned, plan, prices)
    if not is_cloud(planned.type) or planned.type in _FREE_TYPES or planned.type.startswith(_FREE_MODULES):
        return FREE
    return not_estimated("the price table does not have this type")
