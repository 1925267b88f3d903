"""Rules for hosts, their groups, and what may reach them."""

from agent_fleet_policies.resource import Resource
from agent_fleet_policies.rule import Findings, Option, Options, Severity, require, resource_rule
from agent_fleet_policies.truth import Truth, decided, some
from agent_fleet_policies.user_data import secrets_in
from agent_fleet_policies.value import Value

INSTANCE = "aws:ec2/instance:Instance"
SPOT_INSTANCE = "aws:ec2/spotInstanceRequest:SpotInstanceRequest"
LAUNCH_TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"
LAUNCH_CONFIGURATION = "aws:ec2/launchConfiguration:LaunchConfiguration"
GROUP = "aws:autoscaling/group:Group"
NODE_GROUP = "aws:eks/nodeGroup:NodeGroup"
VOLUME = "aws:ebs/volume:Volume"
PLAIN_INSTANCES = (INSTANCE, SPOT_INSTANCE, LAUNCH_CONFIGURATION)
HOSTS = (LAUNCH_TEMPLATE, *PLAIN_INSTANCES)


@resource_rule(
    21,
    "ec2-imds-v2",
    Severity.HIGH,
    *HOSTS,
    title="The metadata service answers sessions only (IMDSv2)",
    reason="Without it one forged request of a server reads the host's credentials.",
    fix="metadataOptions.httpTokens required (or httpEndpoint disabled).",
    source="CKV_AWS_79",
    demands=("metadataOptions.httpTokens", "metadataOptions"),
)
def imds_v2(host: Resource, options: Options) -> Findings:
    """Required, or no metadata service at all."""
    del options
    tokens = host["metadataOptions.httpTokens"]
    yield require(tokens.one_of("required") | _no_imds(host), tokens, "`required` is wanted")


@resource_rule(
    22,
    "ec2-imds-hops",
    Severity.HIGH,
    *HOSTS,
    title="Containers cannot reach the metadata service",
    reason="With two hops a sandbox on a bridge gets the host's credentials.",
    fix="metadataOptions.httpPutResponseHopLimit 1.",
    source="CKV_AWS_341",
    demands=("metadataOptions.httpPutResponseHopLimit", "metadataOptions"),
)
def imds_hops(host: Resource, options: Options) -> Findings:
    """One hop, written down: images may bring another default."""
    del options
    hops = host["metadataOptions.httpPutResponseHopLimit"]
    yield require(hops.fits(lambda _: hops.number == 1) | _no_imds(host), hops, "1 is wanted")


def _no_imds(host: Resource) -> Truth:
    return host["metadataOptions.httpEndpoint"].one_of("disabled")


@resource_rule(
    23,
    "ebs-encrypted",
    Severity.HIGH,
    VOLUME,
    *HOSTS,
    title="Disks are encrypted",
    reason="A snapshot that is shared by mistake would be readable.",
    fix="encrypted true for the volume, the root disk and every mapping.",
    source="CKV_AWS_3, CKV_AWS_8",
)
def ebs_encrypted(resource: Resource, options: Options) -> Findings:
    """Every disk that is declared, and a host or its template declares one: an image's own is as the account has it."""
    del options
    if resource.type == VOLUME:
        yield require(resource["encrypted"].on(), resource["encrypted"], "the volume has to be encrypted")
        return
    if resource.type == LAUNCH_TEMPLATE:
        mappings = resource["blockDeviceMappings"]
        disks = [
            (each["ebs.encrypted"], each["virtualName"].given() | each["noDevice"].given()) for each in mappings.items()
        ]
        yield require(mappings.given(), mappings, "the root disk has to be among them, encrypted")
    else:
        root = resource["rootBlockDevice"]
        # With a launch template it may be there, and is judged there.
        named = root.given() | resource["launchTemplate"].given()
        yield require(named, root, "the root disk has to be declared, encrypted")
        parts = [*root.items(), *resource["ebsBlockDevices"].items()]
        disks = [(each["encrypted"], each["noDevice"].on()) for each in parts]
    for encrypted, not_ebs in disks:
        yield require(encrypted.on() | not_ebs, encrypted, "the disk has to be encrypted")


@resource_rule(
    24,
    "ec2-no-public-address",
    Severity.HIGH,
    *HOSTS,
    title="Hosts have no public address unless they are declared public",
    reason="A host with one is reachable as soon as a security group is wrong.",
    fix="associatePublicIpAddress false, or the tag that declares the host public.",
    source="CKV_AWS_88",
    demands=("*associatePublicIpAddress",),
    options={"public_tags": Option(("agent-fleet:public",), "tags whose value `true` declares a host public")},
)
def no_public_address(host: Resource, options: Options) -> Findings:
    """Off, or declared."""
    declared = _declared_public(host, options)
    addresses = [host["associatePublicIpAddress"]]
    addresses += [each["associatePublicIpAddress"] for each in host["networkInterfaces"].items()]
    for each in addresses:
        yield require(~each.on() | declared, each, "no public address is wanted")


def _declared_public(resource: Resource, options: Options) -> Truth:
    return some(resource["tags"].key(tag).on() for tag in options["public_tags"])


def _user_data(data: Value) -> Findings:
    held = secrets_in(data.text or "")
    message = f"user data seems to hold {' and '.join(held)}" if held else "user data was made from a secret"
    # Text, or nobody knows what it holds: an asset is read by the provider alone.
    truth = data.fits(lambda _: data.text is not None and not held and not data.secret, missing=True)
    yield require(truth, data, f"{message}; everybody who may describe instances reads it")


@resource_rule(
    25,
    "ec2-template-no-secrets",
    Severity.CRITICAL,
    LAUNCH_TEMPLATE,
    title="No secret in the user data of launch templates",
    reason="User data is readable for everybody who may describe the template, and for every process of the host.",
    fix="Fetch it at boot, by the host's role, from Secrets Manager or the Parameter Store.",
    source="CKV_AWS_46",
)
def template_no_secrets(template: Resource, options: Options) -> Findings:
    """Decoded, and unpacked where it is compressed."""
    del options
    yield from _user_data(template["userData"])


@resource_rule(
    26,
    "ec2-instance-no-secrets",
    Severity.CRITICAL,
    *PLAIN_INSTANCES,
    title="No secret in the user data of instances",
    reason="User data is readable for everybody who may describe the instance, and for every process of the host.",
    fix="Fetch it at boot, by the host's role, from Secrets Manager or the Parameter Store.",
    source="CKV_AWS_46",
)
def instance_no_secrets(instance: Resource, options: Options) -> Findings:
    """In both of its properties."""
    del options
    yield from _user_data(instance["userData"])
    yield from _user_data(instance["userDataBase64"])


@resource_rule(
    27,
    "autoscaling-launch-template",
    Severity.MEDIUM,
    GROUP,
    title="Autoscaling groups use launch templates",
    reason="Launch configurations know neither mixed instances nor versions, and AWS has stopped extending them.",
    fix="launchTemplate, or mixedInstancesPolicy with one.",
    source="CKV_AWS_315",
)
def group_launch_template(group: Resource, options: Options) -> Findings:
    """Directly, or in a policy of mixed instances."""
    del options
    template = group["launchTemplate"]
    mixed = group["mixedInstancesPolicy.launchTemplate.launchTemplateSpecification"]
    yield require(_named(template, "id") | _named(mixed, "launchTemplateId"), template, "a launch template is needed")
    old = group["launchConfiguration"]
    yield require(~old.given(), old, "launch configurations are not wanted")


def _named(template: Value, key: str) -> Truth:
    name = template["name" if key == "id" else "launchTemplateName"]
    return template[key].given() | name.given()


@resource_rule(
    28,
    "autoscaling-bounded",
    Severity.MEDIUM,
    GROUP,
    NODE_GROUP,
    title="The size of a group is bounded",
    reason="A scaling fault, or a flood of jobs, would be paid for without limit.",
    fix="A maximum under the limit, and not under the minimum.",
    source="AWS Well-Architected, COST02-BP03",
    options={"maximum": Option(100, "hosts that one group may have")},
)
def bounded(group: Resource, options: Options) -> Findings:
    """A maximum that is there, under the limit, and above the minimum."""
    node_group = group.type == NODE_GROUP
    most = group["scalingConfig.maxSize" if node_group else "maxSize"]
    least = group["scalingConfig.minSize" if node_group else "minSize"]
    limit = float(options["maximum"])
    yield require(most.fits(lambda _: _under(most.number, limit)), most, f"at most {limit:.0f} hosts are allowed")
    known = most.fits(lambda _: True, missing=True) & least.fits(lambda _: True, missing=True)
    fits = decided(least.missing or _under(least.number, most.number)) if known.yes else known
    yield require(fits, least, "the minimum is above the maximum")


def _under(number: float | None, limit: float | None) -> bool:
    return number is not None and limit is not None and number <= limit


RULES = (
    imds_v2, imds_hops, ebs_encrypted, no_public_address, template_no_secrets, instance_no_secrets,
    group_launch_template, bounded,
)  # fmt: skip
