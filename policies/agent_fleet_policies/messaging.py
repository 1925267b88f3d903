"""Rules for queues, caches, keys and logs."""

from agent_fleet_policies.documents import readable, statements, wildcard
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
from agent_fleet_policies.truth import NO, YES, Truth, every, some, undecided

QUEUE = "aws:sqs/queue:Queue"
QUEUE_POLICY = "aws:sqs/queuePolicy:QueuePolicy"
REDRIVE_POLICY = "aws:sqs/redrivePolicy:RedrivePolicy"
REDRIVE_ALLOW = "aws:sqs/redriveAllowPolicy:RedriveAllowPolicy"
REPLICATION_GROUP = "aws:elasticache/replicationGroup:ReplicationGroup"
CACHE_CLUSTER = "aws:elasticache/cluster:Cluster"
SERVERLESS_CACHE = "aws:elasticache/serverlessCache:ServerlessCache"
KEY = "aws:kms/key:Key"
KEY_POLICY = "aws:kms/keyPolicy:KeyPolicy"
REPLICA_KEY = "aws:kms/replicaKey:ReplicaKey"
EXTERNAL_KEY = "aws:kms/externalKey:ExternalKey"
LOG_GROUP = "aws:cloudwatch/logGroup:LogGroup"


@resource_rule(
    37,
    "sqs-encrypted",
    Severity.MEDIUM,
    QUEUE,
    title="Queues are encrypted",
    reason="What was written to disk would be readable there.",
    fix="sqsManagedSseEnabled true, or kmsMasterKeyId.",
    source="CKV_AWS_27",
)
def sqs_encrypted(queue: Resource, options: Options) -> Findings:
    """By SQS's key or by one's own, written down."""
    del options
    managed = queue["sqsManagedSseEnabled"]
    yield require(managed.on() | queue["kmsMasterKeyId"].given(), managed, "the queue has to be encrypted")


@stack_rule(
    38,
    "sqs-dead-letters",
    Severity.MEDIUM,
    QUEUE,
    REDRIVE_POLICY,
    REDRIVE_ALLOW,
    title="Queues have a dead-letter queue",
    reason="A message that no worker survives would be delivered for ever.",
    fix="redrivePolicy with a dead-letter queue, or redriveAllowPolicy for one that is one.",
    source="AWS Well-Architected, REL05-BP04",
)
def dead_letters(stack: Stack, options: Options) -> Findings:
    """Its own policy or one beside it; or it is the target of another's."""
    del options
    queues, policies, allows = stack.of(QUEUE), stack.of(REDRIVE_POLICY), stack.of(REDRIVE_ALLOW)
    sources = [*queues, *policies]
    for queue in queues:
        beside = some(stack.refers(each, "queueUrl", queue, "url", "id") & _named(each) for each in policies)
        target = some(_aims_at(each, queue) for each in sources if each is not queue)
        allowed = some(stack.refers(each, "queueUrl", queue, "url", "id") for each in allows)
        is_one = queue["redriveAllowPolicy"].given() | allowed | target
        found = _named(queue) | beside | is_one
        yield require_of(queue, found, "messages that nobody can handle go nowhere")


def _named(source: Resource) -> Truth:
    """Whether its policy names a dead-letter queue at all."""
    return source["redrivePolicy"].document()["deadLetterTargetArn"].given()


def _aims_at(source: Resource, queue: Resource) -> Truth:
    """Whether another queue's dead letters go here: by what its policy was made from, or by the name in the ARN."""
    policy = source["redrivePolicy"]
    if queue.urn in source.references.get("redrivePolicy", ()):
        return YES
    if policy.unknown:
        return NO if source.references.get("redrivePolicy") else undecided("redrivePolicy")
    target = policy.document()["deadLetterTargetArn"]
    name = queue["name"]
    if target.missing:
        return NO
    return (
        name.fits(lambda own: (target.text or "").endswith(f":{own}")) if not target.unknown else undecided(target.path)
    )


@resource_rule(
    39,
    "sqs-no-public-policy",
    Severity.CRITICAL,
    QUEUE,
    QUEUE_POLICY,
    title="No queue policy is for everybody, or for every action",
    reason="Anybody could read jobs, or fill the queue.",
    fix="Name principals and actions, or add a condition on aws:SourceArn.",
    source="CKV_AWS_72, CKV_AWS_168",
)
def queue_policy(queue: Resource, options: Options) -> Findings:
    """No `*` among principals or actions of what is allowed."""
    del options
    document = queue["policy"]
    yield require(readable(document), document, "a policy has to be a JSON document of IAM's elements")
    for each in statements(document):
        yield require(~(each.allows & each.anybody()), document, "it allows anybody")
        broad = some(action.fits(_every_action) for action in each.actions) | each.value["NotAction"].given()
        yield require(~(each.allows & broad), document, "it allows every action")


def _every_action(action: object) -> bool:
    service, _, name = str(action).lower().partition(":")
    return (service == "sqs" or wildcard(service)) and (not name or wildcard(name))


@resource_rule(
    40,
    "elasticache-encrypted",
    Severity.HIGH,
    REPLICATION_GROUP,
    CACHE_CLUSTER,
    SERVERLESS_CACHE,
    title="Caches are encrypted at rest and in transit, and ask who is there",
    reason="Whoever reaches the port could read and write every queue in it.",
    fix="atRestEncryptionEnabled, transitEncryptionEnabled, and authToken or userGroupIds.",
    source="CKV_AWS_29, 30, 31",
)
def elasticache(cache: Resource, options: Options) -> Findings:
    """A serverless cache is always encrypted; a single node is only so in transit, and knows no user."""
    del options
    if cache.type == SERVERLESS_CACHE:
        yield require(cache["userGroupId"].given(), cache["userGroupId"], "a user group has to be named")
        return
    transit = cache["transitEncryptionEnabled"]
    if cache.type == CACHE_CLUSTER:
        member = cache["replicationGroupId"].given()
        yield require(member | transit.on(), transit, "encryption in transit is wanted")
        engine = cache["engine"]
        yield require(
            member | engine.one_of("memcached"), engine, "a replication group is wanted: a single node has no users"
        )
        return
    rest = cache["atRestEncryptionEnabled"]
    yield require(rest.on(), rest, "encryption at rest is wanted")
    yield require(transit.on(), transit, "encryption in transit is wanted")
    users = cache["userGroupIds"]
    known = cache["authToken"].given() | users.given() | cache["authTokenWo"].given()
    yield require(known, users, "authToken or user groups are wanted")


@resource_rule(
    41,
    "kms-rotation",
    Severity.HIGH,
    KEY,
    KEY_POLICY,
    REPLICA_KEY,
    EXTERNAL_KEY,
    title="Keys rotate, and are not for everybody",
    reason="A key for everybody encrypts nothing; one that never rotates ages with every use.",
    fix="enableKeyRotation true; principals by name in the policy.",
    source="CKV_AWS_7, CKV_AWS_33",
)
def kms(key: Resource, options: Options) -> Findings:
    """Rotation of symmetric keys; no `*` among principals."""
    del options
    if key.type == KEY:
        symmetric = key["customerMasterKeySpec"].one_of("SYMMETRIC_DEFAULT", missing=True)
        imported = key["customKeyStoreId"].given()
        rotation = key["enableKeyRotation"]
        yield require(~symmetric | imported | rotation.on(), rotation, "the key has to rotate")
    document = key["policy"]
    yield require(readable(document), document, "a policy has to be a JSON document of IAM's elements")
    yield require(
        every(~(each.allows & each.anybody()) for each in statements(document)), document, "it allows anybody"
    )


@resource_rule(
    42,
    "logs-retention",
    Severity.LOW,
    LOG_GROUP,
    title="Log groups forget after a time",
    reason="Logs that are kept for ever are paid for, and hold what should have been deleted.",
    fix="retentionInDays.",
    source="CKV_AWS_66",
    options={"minimum_days": Option(1, "days that logs are kept at least")},
)
def retention(group: Resource, options: Options) -> Findings:
    """A number of days above 0, which means for ever."""
    days = group["retentionInDays"]
    least = float(options["minimum_days"])
    yield require(
        days.fits(lambda _: (days.number or 0) >= max(least, 1)), days, f"at least {least:.0f} days, not for ever"
    )


RULES = (sqs_encrypted, dead_letters, queue_policy, elasticache, kms, retention)
