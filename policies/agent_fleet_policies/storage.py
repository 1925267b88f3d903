"""Rules for shared file systems (EFS) and the classes that give them out."""

from agent_fleet_policies.documents import denies_plain_transport
from agent_fleet_policies.resource import Resource, Stack
from agent_fleet_policies.rule import Findings, Options, Severity, require, require_of, resource_rule, stack_rule
from agent_fleet_policies.truth import some

FILE_SYSTEM = "aws:efs/fileSystem:FileSystem"
FILE_SYSTEM_POLICY = "aws:efs/fileSystemPolicy:FileSystemPolicy"
ACCESS_POINT = "aws:efs/accessPoint:AccessPoint"
STORAGE_CLASS = "kubernetes:storage.k8s.io/v1:StorageClass"
DRIVER = "efs.csi.aws.com"


@resource_rule(
    31,
    "efs-encrypted",
    Severity.HIGH,
    FILE_SYSTEM,
    title="File systems are encrypted",
    reason="It cannot be switched on later.",
    fix="encrypted true.",
    source="CKV_AWS_42",
    demands=("encrypted",),
)
def efs_encrypted(system: Resource, options: Options) -> Findings:
    """On; AWS's default by its API is off."""
    del options
    yield require(system["encrypted"].on(), system["encrypted"], "the file system has to be encrypted")


@resource_rule(
    32,
    "efs-own-key",
    Severity.LOW,
    FILE_SYSTEM,
    title="File systems are encrypted with a key of one's own",
    reason="Access to AWS's own key can be neither audited nor withdrawn.",
    fix="kmsKeyId.",
    source="CKV_AWS_184",
)
def efs_own_key(system: Resource, options: Options) -> Findings:
    """A key is named."""
    del options
    yield require(system["kmsKeyId"].given(), system["kmsKeyId"], "a key has to be named")


@resource_rule(
    33,
    "efs-access-point-user",
    Severity.HIGH,
    ACCESS_POINT,
    title="Access points make every client a user that is not root",
    reason="A client that says that it is root would be.",
    fix="posixUser with a uid and a gid above 0.",
    source="CKV_AWS_330",
)
def access_point_user(point: Resource, options: Options) -> Findings:
    """Both ids, above 0."""
    del options
    for name in ("uid", "gid"):
        given = point["posixUser"][name]
        yield require(given.fits(lambda _, given=given: (given.number or 0) > 0), given, "an id above 0 is wanted")


@resource_rule(
    34,
    "efs-access-point-directory",
    Severity.HIGH,
    ACCESS_POINT,
    title="Access points show a directory of their own",
    reason="With / a tenant sees every other tenant's files.",
    fix="rootDirectory.path.",
    source="CKV_AWS_329",
)
def access_point_directory(point: Resource, options: Options) -> Findings:
    """Another one than the root, which is the default."""
    del options
    path = point["rootDirectory.path"]
    yield require(path.fits(lambda text: str(text).strip("/") != ""), path, "a directory other than / is wanted")


@stack_rule(
    35,
    "efs-transport",
    Severity.HIGH,
    FILE_SYSTEM,
    FILE_SYSTEM_POLICY,
    title="File systems refuse clients without TLS",
    reason="NFS shows files and file handles to whoever sees the packets.",
    fix="A FileSystemPolicy that denies requests with aws:SecureTransport false.",
    source="AWS EFS user guide, encrypting data in transit",
)
def transport(stack: Stack, options: Options) -> Findings:
    """A policy that names the file system and denies."""
    del options
    policies = stack.of(FILE_SYSTEM_POLICY)
    for system in stack.of(FILE_SYSTEM):
        enforced = some(
            stack.refers(each, "fileSystemId", system, "id") & denies_plain_transport(each["policy"])
            for each in policies
        )
        yield require_of(system, enforced, "no FileSystemPolicy denies clients without TLS")


@resource_rule(
    36,
    "efs-storage-class",
    Severity.MEDIUM,
    STORAGE_CLASS,
    title="Classes of EFS use the driver, access points, and keep what is released",
    reason="Without access points all claims share one directory; without Retain a deleted claim is deleted work.",
    fix="provisioner efs.csi.aws.com, parameters.provisioningMode efs-ap, reclaimPolicy Retain.",
    source="aws-efs-csi-driver, dynamic provisioning",
    demands=("provisioner", "reclaimPolicy"),
)
def storage_class(storage: Resource, options: Options) -> Findings:
    """Only of classes that are for EFS."""
    del options
    provisioner = storage["provisioner"]
    other = ~provisioner.fits(lambda name: "efs" in str(name))
    yield require(other | provisioner.one_of(DRIVER), provisioner, f"{DRIVER} is wanted")
    mode = storage["parameters.provisioningMode"]
    yield require(other | mode.one_of("efs-ap"), mode, "efs-ap is wanted")
    reclaim = storage["reclaimPolicy"]
    yield require(other | reclaim.one_of("Retain"), reclaim, "Retain is wanted (Kubernetes' default is Delete)")


RULES = (efs_encrypted, efs_own_key, access_point_user, access_point_directory, transport, storage_class)
