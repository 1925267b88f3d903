"""What databases, caches, files, queues, keys and logs cost."""

from engine.cost.charges import LATER, Verdict, charged, not_estimated, steady
from engine.cost.planned import Plan, Planned
from engine.cost.price_table import RegionalPrices


def database(planned: Planned, plan: Plan, prices: RegionalPrices) -> Verdict:
    """`aws:rds/instance:Instance`, PostgreSQL. A standby in another zone costs as much again, its disk too."""
    del plan
    kind, size = planned.text("instanceClass"), planned.number("allocatedStorage")
    if kind is None or size is None:
        return not_estimated(f"its class or its size {LATER}")
    if planned.text("engine") != "postgres":
        return not_estimated("the price table has PostgreSQL only")
    price = prices.database(kind)
    if price is None:
        return not_estimated(f"the price table has no {kind}")
    if planned.unknown("multiAz"):
        return not_estimated(f"whether it has a standby {LATER}")
    copies = 2 if planned.truth("multiAz") else 1
    standby = " with a standby" if copies == 2 else ""
    return Verdict(
        (
            steady(f"{kind} database{standby}", price * copies),
            steady(f"database disk of {size:g} GiB{standby}", size * prices.unit("database_gibibyte_month") * copies),
        ),
        notes=frozenset({"backups of a database as large as its disk are free of charge, and so not counted"}),
    )


def cache(planned: Planned, plan: Plan, prices: RegionalPrices) -> Verdict:
    """`aws:elasticache/replicationGroup:ReplicationGroup`."""
    del plan
    kind = planned.text("nodeType")
    if kind is None:
        return not_estimated(f"its node type {LATER}" if planned.unknown("nodeType") else "it has no node type")
    price = prices.cache_node(kind)
    if price is None:
        return not_estimated(f"the price table has no {kind}")
    if any(planned.unknown(each) for each in ("numCacheClusters", "numNodeGroups", "replicasPerNodeGroup")):
        return not_estimated(f"how many nodes it has {LATER}")
    nodes = planned.number("numCacheClusters") or planned.number("numCacheNodes")
    if nodes is None:
        nodes = (planned.number("numNodeGroups") or 1) * (1 + (planned.number("replicasPerNodeGroup") or 0))
    return charged(steady(f"{kind} node", price * nodes, int(nodes)))


def file_system(planned: Planned, plan: Plan, prices: RegionalPrices) -> Verdict:
    """`aws:efs/fileSystem:FileSystem`, which is paid by what is in it."""
    del planned, plan
    stored = prices.assumed("file_system_gibibytes")
    return Verdict(
        (steady("file system (EFS), by use", stored * prices.unit("file_system_gibibyte_month")),),
        notes=frozenset({"what is read from and written to file systems is not counted"}),
    )


def file_system_backup(planned: Planned, plan: Plan, prices: RegionalPrices) -> Verdict:
    """`aws:efs/backupPolicy:BackupPolicy`."""
    del plan
    if planned.text("backupPolicy", "status") == "DISABLED":
        return Verdict()
    stored = prices.assumed("file_system_gibibytes") * prices.assumed("snapshot_share")
    return charged(steady("backups of a file system", stored * prices.unit("file_system_backup_gibibyte_month")))


def queue(planned: Planned, plan: Plan, prices: RegionalPrices) -> Verdict:
    """`aws:sqs/queue:Queue`: by its requests, which come with the jobs and are counted there."""
    del planned, plan
    del prices
    return Verdict(notes=frozenset({"the empty answers of queues that workers wait at are not counted (SQS)"}))


def log_group(planned: Planned, plan: Plan, prices: RegionalPrices) -> Verdict:
    """`aws:cloudwatch/logGroup:LogGroup`, by what is written."""
    del planned, plan
    written = prices.assumed("log_group_gibibytes")
    return charged(steady("log group, by use", written * prices.unit("log_gibibyte")))


def repository(planned: Planned, plan: Plan, prices: RegionalPrices) -> Verdict:
    """`aws:ecr/repository:Repository`, by what is in it."""
    del planned, plan
    stored = prices.assumed("repository_gibibytes")
    return charged(steady("image repository, by use", stored * prices.unit("repository_gibibyte_month")))


def bucket(planned: Planned, plan: Plan, prices: RegionalPrices) -> Verdict:
    """A bucket of S3, by what is in it."""
    del planned, plan
    stored = prices.assumed("bucket_gibibytes")
    return charged(steady("bucket, by use", stored * prices.unit("bucket_gibibyte_month")))


def key(planned: Planned, plan: Plan, prices: RegionalPrices) -> Verdict:
    """`aws:kms/key:Key`."""
    del planned, plan
    return charged(steady("encryption key (KMS)", prices.unit("key_month")))


def secret(planned: Planned, plan: Plan, prices: RegionalPrices) -> Verdict:
    """`aws:secretsmanager/secret:Secret`."""
    del planned, plan
    return charged(steady("secret (Secrets Manager)", prices.unit("secret_month")))


def alarm(planned: Planned, plan: Plan, prices: RegionalPrices) -> Verdict:
    """`aws:cloudwatch/metricAlarm:MetricAlarm`: by the metrics that it looks at."""
    del plan
    metrics = [each for each in planned.parts("metricQueries") if each.parts("metric")]
    count = max(1, len(metrics))
    return charged(steady("metric of an alarm", prices.unit("alarm_month") * count, count))


def dashboard(planned: Planned, plan: Plan, prices: RegionalPrices) -> Verdict:
    """`aws:cloudwatch/dashboard:Dashboard`."""
    del planned, plan
    return charged(steady("dashboard", prices.unit("dashboard_month")))


def cluster_volume(planned: Planned, plan: Plan, prices: RegionalPrices) -> Verdict:
    """A claim in a cluster of the stack's own: a disk of EBS, unless it is of the shared file system."""
    del plan
    if planned.unknown("spec", "accessModes"):
        return not_estimated(f"whether it is of the shared file system {LATER}")
    modes = planned.sequence("spec", "accessModes") or ()
    if "ReadWriteMany" in modes:
        return Verdict()
    return _claimed(planned, prices)


def cluster_store(planned: Planned, plan: Plan, prices: RegionalPrices) -> Verdict:
    """A StatefulSet's claims, a disk of EBS for each pod."""
    del plan
    pods = int(planned.number("spec", "replicas") or 1)
    verdicts = [_claimed(each, prices) for each in planned.parts("spec", "volumeClaimTemplates")]
    return Verdict(
        tuple(charge for verdict in verdicts for charge in verdict.charges for _ in range(pods)),
        not_estimated=next((each.not_estimated for each in verdicts if each.not_estimated), ""),
    )


def _claimed(planned: Planned, prices: RegionalPrices) -> Verdict:
    asked = planned.text("spec", "resources", "requests", "storage") or ""
    size = asked.removesuffix("Gi")
    if not asked.endswith("Gi") or not size.isdigit():
        return not_estimated("its size is unknown, or is not in Gi")
    return charged(steady(f"disk of {size} GiB, gp3", int(size) * prices.unit("volume_gibibyte_month_gp3")))
