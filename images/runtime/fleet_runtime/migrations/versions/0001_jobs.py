"""The jobs table, its inputs, tenants and their keys, and the workers' heartbeats."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_NOW = sa.text("now()")
_FALSE = sa.text("false")


def _time() -> sa.DateTime:
    return sa.DateTime(timezone=True)


def upgrade() -> None:
    """Build the schema."""
    _tenants()
    _jobs()
    op.create_table(
        "job_inputs",
        sa.Column("job_id", sa.Uuid, nullable=False),
        sa.Column("payload", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("job_id", name="job_inputs_pkey"),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="job_inputs_job_id_fkey", ondelete="CASCADE"),
    )
    # Compressing sixteen megabytes on every accept would cost more than the disk that it saves for a day.
    op.execute("ALTER TABLE job_inputs ALTER COLUMN payload SET STORAGE EXTERNAL")
    op.create_table(
        "workers",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("template", sa.Text, nullable=False),
        sa.Column("concurrency", sa.Integer, nullable=False),
        sa.Column("running", sa.Integer, nullable=False),
        sa.Column("healthy", sa.Boolean, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("draining", sa.Boolean, nullable=False, server_default=_FALSE),
        sa.Column("started_at", _time(), nullable=False, server_default=_NOW),
        sa.Column("heartbeat_at", _time(), nullable=False, server_default=_NOW),
        sa.PrimaryKeyConstraint("id", name="workers_pkey"),
    )
    _terminal_states_never_change()


def downgrade() -> None:
    """Remove everything that `upgrade` built, with all jobs."""
    for table in ("workers", "job_inputs", "jobs", "api_keys", "tenants"):
        op.drop_table(table)
    op.execute("DROP FUNCTION refuse_change_of_ended_job()")


def _tenants() -> None:
    op.create_table(
        "tenants",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("created_at", _time(), nullable=False, server_default=_NOW),
        sa.PrimaryKeyConstraint("name", name="tenants_pkey"),
    )
    op.create_table(
        "api_keys",
        sa.Column("key_id", sa.Text, nullable=False),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("sha256", sa.Text, nullable=False),
        sa.Column("bootstrap", sa.Boolean, nullable=False, server_default=_FALSE),
        sa.Column("listed", sa.Boolean, nullable=False, server_default=_FALSE),
        sa.Column("created_at", _time(), nullable=False, server_default=_NOW),
        sa.Column("revoked_at", _time()),
        sa.PrimaryKeyConstraint("key_id", name="api_keys_pkey"),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.name"], name="api_keys_tenant_fkey"),
    )


def _jobs() -> None:
    op.create_table(
        "jobs",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("seq", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("template", sa.Text, nullable=False),
        sa.Column("language", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False, server_default=sa.text("'queued'")),
        sa.Column("priority", sa.SmallInteger, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("failures", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("max_attempts", sa.Integer, nullable=False),
        sa.Column("retry_terminated", sa.Boolean, nullable=False),
        sa.Column("timeout_seconds", sa.Double, nullable=False),
        sa.Column("cancel_requested", sa.Boolean, nullable=False, server_default=_FALSE),
        sa.Column("idempotency_key", sa.Text),
        sa.Column("body_sha256", sa.LargeBinary, nullable=False),
        sa.Column("request_id", sa.Text, nullable=False),
        sa.Column("result_ttl_seconds", sa.Integer, nullable=False),
        sa.Column("tombstone_ttl_seconds", sa.Integer, nullable=False),
        sa.Column("created_at", _time(), nullable=False, server_default=_NOW),
        sa.Column("available_at", _time(), nullable=False, server_default=_NOW),
        sa.Column("claimed_at", _time()),
        sa.Column("worker_id", sa.Text),
        sa.Column("lease_expires_at", _time()),
        sa.Column("ended_at", _time()),
        sa.Column("exit_code", sa.Integer),
        sa.Column("signal", sa.Text),
        sa.Column("stdout", sa.LargeBinary),
        sa.Column("stderr", sa.LargeBinary),
        sa.Column("stdout_truncated", sa.Boolean, nullable=False, server_default=_FALSE),
        sa.Column("stderr_truncated", sa.Boolean, nullable=False, server_default=_FALSE),
        sa.Column("start_ms", sa.Double),
        sa.Column("run_ms", sa.Double),
        sa.Column("warm", sa.Boolean),
        sa.Column("max_memory_bytes", sa.BigInteger),
        sa.Column("cpu_ms", sa.Double),
        sa.Column("error_code", sa.Text),
        sa.Column("error_message", sa.Text),
        sa.Column("next_removal_at", _time()),
        sa.Column("expired", sa.Boolean, nullable=False, server_default=_FALSE),
        sa.PrimaryKeyConstraint("id", name="jobs_pkey"),
        sa.CheckConstraint(
            "status IN ('queued', 'running', 'succeeded', 'failed', 'timed_out', 'cancelled', 'lost')",
            name=op.f("jobs_status_known"),
        ),
        sa.CheckConstraint(
            "(status IN ('queued', 'running')) = (ended_at IS NULL)", name=op.f("jobs_ended_when_terminal")
        ),
        sa.CheckConstraint("(ended_at IS NULL) = (next_removal_at IS NULL)", name=op.f("jobs_removed_when_ended")),
        sa.CheckConstraint(
            "status <> 'running' OR (worker_id IS NOT NULL AND lease_expires_at IS NOT NULL)",
            name=op.f("jobs_running_is_leased"),
        ),
        postgresql_with={
            "fillfactor": "70",
            "autovacuum_vacuum_scale_factor": "0.02",
            "autovacuum_analyze_scale_factor": "0.02",
        },
    )
    op.create_index("jobs_tenant_seq", "jobs", ["tenant", "seq"])
    op.create_index(
        "jobs_idempotency_key",
        "jobs",
        ["tenant", "idempotency_key"],
        unique=True,
        postgresql_where=sa.text("idempotency_key IS NOT NULL"),
    )
    op.create_index(
        "jobs_queued",
        "jobs",
        ["template", "tenant", sa.text("priority DESC"), "seq"],
        postgresql_where=sa.text("status = 'queued'"),
    )
    op.create_index("jobs_running", "jobs", ["tenant"], postgresql_where=sa.text("status = 'running'"))
    op.create_index(
        "jobs_next_removal", "jobs", ["next_removal_at"], postgresql_where=sa.text("next_removal_at IS NOT NULL")
    )


def _terminal_states_never_change() -> None:
    # Every statement is fenced already; this holds for an operator's hand-written update too.
    op.execute(
        """
        CREATE FUNCTION refuse_change_of_ended_job() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION 'job % has ended as %, which never changes', OLD.id, OLD.status
                USING ERRCODE = 'integrity_constraint_violation';
        END $$
        """
    )
    op.execute(
        """
        CREATE TRIGGER jobs_terminal_states_never_change BEFORE UPDATE OF status ON jobs FOR EACH ROW
        WHEN (OLD.ended_at IS NOT NULL AND NEW.status IS DISTINCT FROM OLD.status)
        EXECUTE FUNCTION refuse_change_of_ended_job()
        """
    )
