"""Rules for clusters (EKS)."""

from agent_fleet_policies.networks import open_to_the_world
from agent_fleet_policies.resource import Resource
from agent_fleet_policies.rule import Findings, Option, Options, Severity, require, resource_rule
from agent_fleet_policies.truth import some

CLUSTER = "aws:eks/cluster:Cluster"
NODE_GROUP = "aws:eks/nodeGroup:NodeGroup"
ADDON = "aws:eks/addon:Addon"
LOG_TYPES = ("api", "audit", "authenticator", "controllerManager", "scheduler")


@resource_rule(
    7,
    "eks-no-public-endpoint",
    Severity.HIGH,
    CLUSTER,
    title="The Kubernetes API is not on the internet",
    reason="A stolen token, or a fault of the API server, would be usable from anywhere.",
    fix="vpcConfig.endpointPublicAccess false; reach it through a VPN or a runner in the VPC.",
    source="CKV_AWS_39, CIS EKS 5.4.2",
    demands=("vpcConfig.endpointPublicAccess", "vpcConfig"),
)
def no_public_endpoint(cluster: Resource, options: Options) -> Findings:
    """Off; AWS's default is on."""
    del options
    public = cluster["vpcConfig.endpointPublicAccess"]
    yield require(~public.on(default=True), public, "the endpoint must not be public (AWS's default is that it is)")


@resource_rule(
    8,
    "eks-endpoint-cidrs",
    Severity.CRITICAL,
    CLUSTER,
    title="A public endpoint is for listed networks only",
    reason="Public access without a list is access for the whole internet.",
    fix="vpcConfig.publicAccessCidrs with your own networks.",
    source="CKV_AWS_38, CIS EKS 5.4.1",
    demands=("vpcConfig.publicAccessCidrs*", "vpcConfig"),
)
def endpoint_cidrs(cluster: Resource, options: Options) -> Findings:
    """No network of the size of the internet; AWS's default is all of it."""
    del options
    private = ~cluster["vpcConfig.endpointPublicAccess"].on(default=True)
    cidrs = cluster["vpcConfig.publicAccessCidrs"]
    yield require(private | cidrs.given(), cidrs, "without a list the whole internet may connect")
    for each in cidrs.items():
        yield require(private | ~each.fits(open_to_the_world), each, "this is everybody")


@resource_rule(
    9,
    "eks-private-endpoint",
    Severity.MEDIUM,
    CLUSTER,
    title="Nodes reach the Kubernetes API without leaving the VPC",
    reason="Otherwise every kubelet talks through the internet, and needs a way there.",
    fix="vpcConfig.endpointPrivateAccess true.",
    source="CIS EKS 5.4.2",
    demands=("vpcConfig.endpointPrivateAccess", "vpcConfig"),
)
def private_endpoint(cluster: Resource, options: Options) -> Findings:
    """On; AWS's default is off."""
    del options
    private = cluster["vpcConfig.endpointPrivateAccess"]
    yield require(private.on(), private, "the private endpoint has to be on")


@resource_rule(
    10,
    "eks-all-logs",
    Severity.MEDIUM,
    CLUSTER,
    title="The control plane logs all five kinds",
    reason="What was not logged cannot be found out after an incident.",
    fix=f"enabledClusterLogTypes {', '.join(LOG_TYPES)}.",
    source="CKV_AWS_37, CIS EKS 2.1.1",
)
def all_logs(cluster: Resource, options: Options) -> Findings:
    """Each of the five."""
    del options
    kinds = cluster["enabledClusterLogTypes"]
    for name in LOG_TYPES:
        yield require(kinds.includes(name), kinds, f"logs of the kind {name} are missing")


@resource_rule(
    11,
    "eks-secrets-encryption",
    Severity.HIGH,
    CLUSTER,
    title="Kubernetes secrets are encrypted with a KMS key",
    reason="A copy of the control plane's storage would show every secret.",
    fix="encryptionConfig with the resources [secrets] and a key's ARN.",
    source="CKV_AWS_58, CIS EKS 5.3.1",
)
def secrets_encryption(cluster: Resource, options: Options) -> Findings:
    """Secrets among the resources, and a key."""
    del options
    resources = cluster["encryptionConfig.resources"]
    yield require(resources.includes("secrets"), resources, "secrets have to be among what is encrypted")
    key = cluster["encryptionConfig.provider.keyArn"]
    yield require(key.given(), key, "a KMS key is needed")


@resource_rule(
    12,
    "eks-version",
    Severity.MEDIUM,
    CLUSTER,
    title="The Kubernetes version is one that is supported",
    reason="A version out of standard support gets no fixes, or costs six times as much.",
    fix="version on the list; extend the list when a release has been tried.",
    source="CKV_AWS_339",
    demands=("version",),
    options={"versions": Option(("1.35", "1.36"), "versions that may be deployed")},
)
def version(cluster: Resource, options: Options) -> Findings:
    """Written down, and on the list."""
    given = cluster["version"]
    allowed: list[str] = list(options["versions"])
    yield require(given.one_of(*allowed), given, f"allowed are {', '.join(allowed)}")


@resource_rule(
    13,
    "eks-api-authentication",
    Severity.MEDIUM,
    CLUSTER,
    title="Access to the cluster is given by the EKS API alone",
    reason="The aws-auth ConfigMap is edited by whoever may edit ConfigMaps, and logged nowhere.",
    fix="accessConfig.authenticationMode API.",
    source="CIS EKS 4.1.7",
    demands=("accessConfig.authenticationMode", "accessConfig"),
)
def api_authentication(cluster: Resource, options: Options) -> Findings:
    """No ConfigMap."""
    del options
    mode = cluster["accessConfig.authenticationMode"]
    yield require(mode.one_of("API"), mode, "API is wanted")


@resource_rule(
    14,
    "eks-creator-not-admin",
    Severity.MEDIUM,
    CLUSTER,
    title="Whoever creates the cluster does not administer it by that",
    reason="The CI role that made it would stay administrator, and no list would show it.",
    fix="accessConfig.bootstrapClusterCreatorAdminPermissions false, and an access entry for each administrator.",
    source="AWS EKS best practices, identity and access",
    demands=("accessConfig.bootstrapClusterCreatorAdminPermissions", "accessConfig"),
)
def creator_not_admin(cluster: Resource, options: Options) -> Findings:
    """Off; AWS's default is on."""
    del options
    given = cluster["accessConfig.bootstrapClusterCreatorAdminPermissions"]
    yield require(~given.on(default=True), given, "it has to be off (AWS's default is on)")


@resource_rule(
    15,
    "eks-remote-access",
    Severity.HIGH,
    NODE_GROUP,
    title="SSH to nodes is for named security groups only",
    reason="With a key and no groups, EKS opens port 22 of every node to the internet.",
    fix="Leave remoteAccess out (use Session Manager), or name sourceSecurityGroupIds.",
    source="CKV_AWS_100",
)
def remote_access(group: Resource, options: Options) -> Findings:
    """No key, or groups with it."""
    del options
    groups = group["remoteAccess.sourceSecurityGroupIds"]
    yield require(~group["remoteAccess.ec2SshKey"].given() | groups.given(), groups, "SSH would be open to everybody")


@resource_rule(
    16,
    "eks-launch-template",
    Severity.MEDIUM,
    NODE_GROUP,
    title="Node groups use a launch template",
    reason="Without one, IMDS, disks and security groups are what EKS chooses.",
    fix="launchTemplate with an id and a version.",
    source="AWS EKS best practices, node security",
)
def launch_template(group: Resource, options: Options) -> Findings:
    """By id or name."""
    del options
    template = group["launchTemplate"]
    yield require(template["id"].given() | template["name"].given(), template, "a launch template is needed")


@resource_rule(
    17,
    "eks-untrusted-taint",
    Severity.HIGH,
    NODE_GROUP,
    title="Nodes for untrusted work take nothing else",
    reason="A database beside a sandbox is one kernel fault away from it.",
    fix="A taint with the effect NO_SCHEDULE or NO_EXECUTE.",
    source="AWS EKS best practices, tenant isolation",
    demands=("taints*", "labels*"),
    options={"label": Option(("agent-fleet.io/untrusted",), "labels that mark nodes for untrusted work")},
)
def untrusted_taint(group: Resource, options: Options) -> Findings:
    """Marked by a label, so tainted."""
    marked = some(group["labels"].key(name).given() for name in options["label"])
    tainted = some(each["effect"].one_of("NO_SCHEDULE", "NO_EXECUTE") for each in group["taints"].items())
    yield require(~marked | tainted, group["taints"], "a group for untrusted work has to be tainted")


@resource_rule(
    18,
    "eks-network-policy",
    Severity.HIGH,
    ADDON,
    title="The cluster enforces network policies",
    reason="The VPC CNI ignores them by default: every denial would be decoration.",
    fix="configurationValues of vpc-cni with enableNetworkPolicy true.",
    source="CIS EKS 5.4.4",
)
def network_policy(addon: Resource, options: Options) -> Findings:
    """Only of the CNI."""
    del options
    other = ~addon["addonName"].one_of("vpc-cni")
    values = addon["configurationValues"]
    yield require(other | values.document()["enableNetworkPolicy"].on(), values, "network policies are not enforced")


RULES = (
    no_public_endpoint, endpoint_cidrs, private_endpoint, all_logs, secrets_encryption, version, api_authentication,
    creator_not_admin, remote_access, launch_template, untrusted_taint, network_policy,
)  # fmt: skip
