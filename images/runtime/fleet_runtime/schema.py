"""The database schema, as SQLAlchemy Core tables. Migrations build it; a test holds the two together.

A job row is written three times in the common case (accepted, claimed, finished), so every index here has to earn its
place, and the columns that change on a renewal (`lease_expires_at`) are in no index: such an update stays on its page.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    Uuid,
    text,
)

metadata = MetaData(
    naming_convention={
        "ix": "%(table_name)s_%(column_0_N_name)s",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ck": "%(table_name)s_%(constraint_name)s",
        "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
        "pk": "%(table_name)s_pkey",
    }
)

_now = text("now()")
_false = text("false")
_time = DateTime(timezone=True)

tenants = Table(
    "tenants",
    metadata,
    Column("name", Text, primary_key=True),
    Column("created_at", _time, nullable=False, server_default=_now),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("key_id", Text, primary_key=True),
    Column("tenant", Text, ForeignKey("tenants.name"), nullable=False),
    Column("sha256", Text, nullable=False),
    # A key that the deployment made lives as long as the deployment lists it; an operator may revoke any key for good.
    Column("bootstrap", Boolean, nullable=False, server_default=_false),
    Column("listed", Boolean, nullable=False, server_default=_false),
    Column("created_at", _time, nullable=False, server_default=_now),
    Column("revoked_at", _time),
    Column("listed_at", _time, nullable=False, server_default=_now),
)

# What a tenant may use; a limit that is null is none. `claims` and `starts` only ever grow: what others have claimed
# since a statement's snapshot is the difference between a row as that snapshot has it and as it is once locked.
tenant_budgets = Table(
    "tenant_budgets",
    metadata,
    Column("tenant", Text, ForeignKey("tenants.name"), primary_key=True),
    Column("max_concurrent", Integer),
    Column("jobs_per_minute", Integer),
    Column("jobs_per_day", Integer),
    Column("cpu_seconds_per_day", Integer),
    # Whether the deployment's settings name the tenant: then its limits are theirs.
    Column("listed", Boolean, nullable=False, server_default=_false),
    Column("claims", BigInteger, nullable=False, server_default=text("0")),
    Column("starts", BigInteger, nullable=False, server_default=text("0")),
    # When the bucket of `jobs_per_minute` is full again; each start moves it on by its share of a minute.
    Column("minute_full_at", _time, nullable=False, server_default=_now),
    CheckConstraint(
        "max_concurrent > 0 AND jobs_per_minute > 0 AND jobs_per_day > 0 AND cpu_seconds_per_day > 0", name="positive"
    ),
    postgresql_with={"fillfactor": "50"},
)

# What a tenant has used on a day (UTC), in parts, so that workers which end jobs together do not wait for each other.
tenant_usage = Table(
    "tenant_usage",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("day", Date, primary_key=True),
    Column("part", SmallInteger, primary_key=True),
    # Jobs count once, when they first start; processor time counts when a result is stored.
    Column("jobs", BigInteger, nullable=False, server_default=text("0")),
    Column("cpu_ms", Double, nullable=False, server_default=text("0")),
    Index("tenant_usage_day", "day"),
    postgresql_with={"fillfactor": "50"},
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("seq", BigInteger, Identity(always=True), nullable=False),
    # No foreign key: its row lock on one busy tenant would be taken by every job that is accepted.
    Column("tenant", Text, nullable=False),
    Column("template", Text, nullable=False),
    Column("language", Text, nullable=False),
    Column("status", Text, nullable=False, server_default=text("'queued'")),
    Column("priority", SmallInteger, nullable=False),
    # `attempt` counts claims and is the fencing token; `failures` counts those that the infrastructure failed.
    Column("attempt", Integer, nullable=False, server_default=text("0")),
    Column("failures", Integer, nullable=False, server_default=text("0")),
    Column("max_attempts", Integer, nullable=False),
    Column("retry_terminated", Boolean, nullable=False),
    Column("timeout_seconds", Double, nullable=False),
    Column("cancel_requested", Boolean, nullable=False, server_default=_false),
    Column("idempotency_key", Text),
    Column("body_sha256", LargeBinary, nullable=False),
    Column("request_id", Text, nullable=False),
    Column("result_ttl_seconds", Integer, nullable=False),
    Column("tombstone_ttl_seconds", Integer, nullable=False),
    Column("created_at", _time, nullable=False, server_default=_now),
    Column("available_at", _time, nullable=False, server_default=_now),
    Column("claimed_at", _time),
    Column("worker_id", Text),
    Column("lease_expires_at", _time),
    Column("ended_at", _time),
    Column("exit_code", Integer),
    Column("signal", Text),
    Column("stdout", LargeBinary),
    Column("stderr", LargeBinary),
    Column("stdout_truncated", Boolean, nullable=False, server_default=_false),
    Column("stderr_truncated", Boolean, nullable=False, server_default=_false),
    Column("start_ms", Double),
    Column("run_ms", Double),
    Column("warm", Boolean),
    Column("max_memory_bytes", BigInteger),
    Column("cpu_ms", Double),
    Column("error_code", Text),
    Column("error_message", Text),
    # The next time something of an ended job is to go: first its content (then it is `expired`), then its row.
    Column("next_removal_at", _time),
    Column("expired", Boolean, nullable=False, server_default=_false),
    # Of a dead letter, the job that it was last run again as; of that job, the one that it repeats.
    Column("replayed_as", Uuid),
    Column("replayed_from", Uuid),
    # The agent type that an `{agent, …}` job is for; null where it is code in a language.
    Column("agent", Text),
    # The tenant's workspace that it has mounted; null where it has none.
    Column("workspace", Text),
    # The trace that the request belongs to, in the form of the W3C's header; null where there is none.
    Column("traceparent", Text),
    CheckConstraint(
        "status IN ('queued', 'running', 'succeeded', 'failed', 'timed_out', 'cancelled', 'lost')", name="status_known"
    ),
    CheckConstraint("(status IN ('queued', 'running')) = (ended_at IS NULL)", name="ended_when_terminal"),
    CheckConstraint("(ended_at IS NULL) = (next_removal_at IS NULL)", name="removed_when_ended"),
    CheckConstraint(
        "status <> 'running' OR (worker_id IS NOT NULL AND lease_expires_at IS NOT NULL)", name="running_is_leased"
    ),
    Index("jobs_tenant_seq", "tenant", "seq"),
    Index(
        "jobs_idempotency_key",
        "tenant",
        "idempotency_key",
        unique=True,
        postgresql_where=text("idempotency_key IS NOT NULL"),
    ),
    Index(
        "jobs_queued",
        "template",
        "tenant",
        text("priority DESC"),
        "seq",
        postgresql_where=text("status = 'queued'"),
    ),
    # Jobs that had begun and wait again: they are found without looking at all those that have not begun.
    Index(
        "jobs_returned",
        "template",
        "tenant",
        text("priority DESC"),
        "seq",
        postgresql_where=text("status = 'queued' AND attempt > 0"),
    ),
    # One writer at a time, whatever claims: the last guard under a claim that passes over workspaces in use.
    Index(
        "jobs_workspace_writer",
        "tenant",
        "workspace",
        unique=True,
        postgresql_where=text("status = 'running' AND workspace IS NOT NULL"),
    ),
    # The first of those that wait for a workspace.
    Index(
        "jobs_workspace_queued",
        "tenant",
        "workspace",
        "template",
        text("priority DESC"),
        "seq",
        postgresql_where=text("status = 'queued' AND workspace IS NOT NULL"),
    ),
    Index("jobs_running", "tenant", postgresql_where=text("status = 'running'")),
    Index(
        "jobs_dead_letters",
        "seq",
        postgresql_where=text("(status = 'lost' OR error_code = 'sandbox_terminated') AND NOT expired"),
    ),
    Index("jobs_next_removal", "next_removal_at", postgresql_where=text("next_removal_at IS NOT NULL")),
    postgresql_with={
        "fillfactor": "70",
        "autovacuum_vacuum_scale_factor": "0.02",
        "autovacuum_analyze_scale_factor": "0.02",
    },
)

job_inputs = Table(
    "job_inputs",
    metadata,
    Column("job_id", Uuid, ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("payload", LargeBinary, nullable=False),
)

workers = Table(
    "workers",
    metadata,
    Column("id", Text, primary_key=True),
    Column("template", Text, nullable=False),
    Column("concurrency", Integer, nullable=False),
    Column("running", Integer, nullable=False),
    Column("healthy", Boolean, nullable=False),
    Column("reason", Text),
    Column("draining", Boolean, nullable=False, server_default=_false),
    Column("started_at", _time, nullable=False, server_default=_now),
    Column("heartbeat_at", _time, nullable=False, server_default=_now),
    # An operator's wish: take no more jobs until it is taken back.
    Column("drain_requested", Boolean, nullable=False, server_default=_false),
)

# What is known of workspaces, which are volumes or folders. Written by the worker after each job that had one.
workspaces = Table(
    "workspaces",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("size_bytes", BigInteger),
    Column("used_at", _time),
)

# Templates of queued jobs that no API lists and no worker claims, from when this was first seen.
stranded_templates = Table(
    "stranded_templates",
    metadata,
    Column("template", Text, primary_key=True),
    Column("since", _time, nullable=False, server_default=_now),
)

# Live output. Both are unlogged, as nothing in them matters: a result is stored with its job, and who watches says so
# again every few seconds. Neither has a foreign key, whose row lock would keep a queued job from being claimed.
job_watches = Table(
    "job_watches",
    metadata,
    Column("job_id", Uuid, primary_key=True),
    Column("watched_until", _time, nullable=False),
    prefixes=["UNLOGGED"],
)

# Chunk n of a stream (1 standard output, 2 standard error) holds its bytes from n x 16 KiB on.
job_output = Table(
    "job_output",
    metadata,
    Column("job_id", Uuid, primary_key=True),
    Column("attempt", Integer, primary_key=True),
    Column("stream", SmallInteger, primary_key=True),
    Column("chunk", Integer, primary_key=True),
    Column("data", LargeBinary, nullable=False),
    prefixes=["UNLOGGED"],
)
