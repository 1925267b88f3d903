"""Rules for container registries (ECR)."""

import fnmatch

from agent_fleet_policies.documents import readable, statements
from agent_fleet_policies.resource import Resource, Stack
from agent_fleet_policies.rule import (
    Findings,
    Option,
    Options,
    Severity,
    require,
    require_of,
    resource_rule,
    stack_rule,
)
from agent_fleet_policies.truth import Truth, decided, every, some
from agent_fleet_policies.value import Value

REPOSITORY = "aws:ecr/repository:Repository"
LIFECYCLE_POLICY = "aws:ecr/lifecyclePolicy:LifecyclePolicy"
REPOSITORY_POLICY = "aws:ecr/repositoryPolicy:RepositoryPolicy"
REGISTRY_POLICY = "aws:ecr/registryPolicy:RegistryPolicy"
SCANNING = "aws:ecr/registryScanningConfiguration:RegistryScanningConfiguration"


@resource_rule(
    1,
    "ecr-immutable-tags",
    Severity.HIGH,
    REPOSITORY,
    title="Release tags of a repository cannot be moved",
    reason="Whoever can push could put another image behind a tag that was reviewed.",
    fix="imageTagMutability IMMUTABLE, or IMMUTABLE_WITH_EXCLUSION with the moving tags that are allowed.",
    source="CKV_AWS_51",
    demands=("imageTagMutability",),
    options={
        "exclusions": Option(("latest*", "cache*", "buildcache*", "edge*"), "tags that may move, with * for any part")
    },
)
def immutable_tags(repository: Resource, options: Options) -> Findings:
    """No tag moves, but those that are listed."""
    mutability = repository["imageTagMutability"]
    yield require(
        mutability.one_of("IMMUTABLE", "IMMUTABLE_WITH_EXCLUSION"), mutability, "tags must not be moved once pushed"
    )
    allowed: list[str] = list(options["exclusions"])
    for filter_ in repository["imageTagMutabilityExclusionFilters"].items():
        tag = filter_["filter"]
        listed = tag.fits(lambda text: any(fnmatch.fnmatchcase(str(text), each) for each in allowed))
        yield require(listed, tag, f"only {', '.join(allowed)} may move")


@stack_rule(
    2,
    "ecr-registry-scanning",
    Severity.MEDIUM,
    REPOSITORY,
    SCANNING,
    title="The registry scans what is pushed",
    reason="Per-repository scanning gives way to the registry's configuration; without one nothing is scanned.",
    fix="A RegistryScanningConfiguration with SCAN_ON_PUSH or CONTINUOUS_SCAN for every repository.",
    source="CKV_AWS_163",
)
def registry_scanning(stack: Stack, options: Options) -> Findings:
    """Some rule of the registry covers each repository."""
    del options
    rules = [rule for each in stack.of(SCANNING) for rule in each["rules"].items()]
    for repository in stack.of(REPOSITORY):
        name = repository["name"]
        covered = some(
            rule["scanFrequency"].one_of("SCAN_ON_PUSH", "CONTINUOUS_SCAN")
            & some(_covers(each["filter"], name) for each in rule["repositoryFilters"].items())
            for rule in rules
        )
        yield require_of(repository, covered, "no rule of a RegistryScanningConfiguration scans this repository")


def _covers(pattern: Value, name: Value) -> Truth:
    everything = pattern.fits(lambda text: text == "*")
    return everything | (pattern.fits(lambda _: True) & name.fits(lambda own: _fits(str(own), str(pattern.text))))


def _fits(name: str, pattern: str) -> bool:
    # AWS: a filter without a wildcard covers every name that has it.
    return fnmatch.fnmatchcase(name, pattern if "*" in pattern else f"*{pattern}*")


@resource_rule(
    3,
    "ecr-kms",
    Severity.LOW,
    REPOSITORY,
    title="Images at rest are encrypted with a KMS key",
    reason="With AES256 nobody can revoke or audit who reads the layers.",
    fix="encryptionConfigurations with encryptionType KMS (and the key).",
    source="CKV_AWS_136",
)
def kms_encryption(repository: Resource, options: Options) -> Findings:
    """KMS or KMS in two layers."""
    del options
    kind = repository["encryptionConfigurations.encryptionType"]
    yield require(kind.one_of("KMS", "KMS_DSSE"), kind, "images are to be encrypted with KMS")


@resource_rule(
    4,
    "ecr-no-force-delete",
    Severity.MEDIUM,
    REPOSITORY,
    title="A repository with images in it is not deleted",
    reason="A rename in the program would take every released image with it.",
    fix="Leave forceDelete out, but in throw-away stacks.",
    source="terraform-aws-ecr, repository_force_delete",
    demands=("forceDelete",),
    options={"throw_away_stacks": Option(("dev", "local*", "test*"), "stacks whose images nobody misses")},
)
def no_force_delete(repository: Resource, options: Options) -> Findings:
    """Off, but where nothing is kept anyway."""
    stack = repository.urn.removeprefix("urn:pulumi:").partition("::")[0]
    thrown_away = decided(any(fnmatch.fnmatchcase(stack, each) for each in options["throw_away_stacks"]))
    forced = repository["forceDelete"]
    yield require(thrown_away | ~forced.on(), forced, "a repository that has images must not be deleted")


@stack_rule(
    5,
    "ecr-lifecycle",
    Severity.LOW,
    REPOSITORY,
    LIFECYCLE_POLICY,
    title="Every repository has a lifecycle policy",
    reason="Untagged images pile up for ever, and are paid for.",
    fix="A LifecyclePolicy for the repository.",
    source="AWS ECR user guide, lifecycle policies",
)
def lifecycle(stack: Stack, options: Options) -> Findings:
    """One that names it."""
    del options
    policies = stack.of(LIFECYCLE_POLICY)
    for repository in stack.of(REPOSITORY):
        has = some(stack.refers(each, "repository", repository, "name") for each in policies)
        yield require_of(repository, has, "no LifecyclePolicy names this repository")


@resource_rule(
    6,
    "ecr-no-public-policy",
    Severity.CRITICAL,
    REPOSITORY_POLICY,
    REGISTRY_POLICY,
    title="No repository policy is for everybody",
    reason="Anybody with an AWS account could pull the images, or push them.",
    fix="Name accounts or roles as principals, or add a condition on aws:PrincipalOrgID.",
    source="CKV_AWS_32",
)
def no_public_policy(policy: Resource, options: Options) -> Findings:
    """No `*` among those who are allowed something."""
    del options
    document = policy["policy"]
    yield require(readable(document), document, "a policy has to be a JSON document of IAM's elements")
    yield require(
        every(~(each.allows & each.anybody()) for each in statements(document)), document, "it allows anybody"
    )


RULES = (immutable_tags, registry_scanning, kms_encryption, no_force_delete, lifecycle, no_public_policy)
