"""What a tenant may use and what it has used; jobs that are back in the queue; dead letters and what replays them."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_NOW = sa.text("now()")
_ZERO = sa.text("0")


def upgrade() -> None:
    """Add it; no tenant has a limit, and nothing was counted so far."""
    op.create_table(
        "tenant_budgets",
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("max_concurrent", sa.Integer),
        sa.Column("jobs_per_minute", sa.Integer),
        sa.Column("jobs_per_day", sa.Integer),
        sa.Column("cpu_seconds_per_day", sa.Integer),
        sa.Column("listed", sa.Boolean, nullable=False, server_default=sa.text("false")),
        sa.Column("claims", sa.BigInteger, nullable=False, server_default=_ZERO),
        sa.Column("starts", sa.BigInteger, nullable=False, server_default=_ZERO),
        sa.Column("minute_full_at", sa.DateTime(timezone=True), nullable=False, server_default=_NOW),
        sa.PrimaryKeyConstraint("tenant", name="tenant_budgets_pkey"),
        sa.CheckConstraint(
            "max_concurrent > 0 AND jobs_per_minute > 0 AND jobs_per_day > 0 AND cpu_seconds_per_day > 0",
            name=op.f("tenant_budgets_positive"),
        ),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.name"], name="tenant_budgets_tenant_fkey"),
        postgresql_with={"fillfactor": "50"},
    )
    op.create_table(
        "tenant_usage",
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("day", sa.Date, nullable=False),
        sa.Column("part", sa.SmallInteger, nullable=False),
        sa.Column("jobs", sa.BigInteger, nullable=False, server_default=_ZERO),
        sa.Column("cpu_ms", sa.Double, nullable=False, server_default=_ZERO),
        sa.PrimaryKeyConstraint("tenant", "day", "part", name="tenant_usage_pkey"),
        postgresql_with={"fillfactor": "50"},
    )
    op.create_index("tenant_usage_day", "tenant_usage", ["day"])
    op.add_column("jobs", sa.Column("replayed_from", sa.Uuid))
    op.add_column("jobs", sa.Column("replayed_as", sa.Uuid))
    op.create_index(
        "jobs_returned",
        "jobs",
        ["template", "tenant", sa.text("priority DESC"), "seq"],
        postgresql_where=sa.text("status = 'queued' AND attempt > 0"),
    )
    op.create_index(
        "jobs_dead_letters",
        "jobs",
        ["seq"],
        postgresql_where=sa.text("(status = 'lost' OR error_code = 'sandbox_terminated') AND NOT expired"),
    )


def downgrade() -> None:
    """Remove it."""
    op.drop_index("jobs_dead_letters", "jobs")
    op.drop_index("jobs_returned", "jobs")
    op.drop_column("jobs", "replayed_as")
    op.drop_column("jobs", "replayed_from")
    op.drop_table("tenant_usage")
    op.drop_table("tenant_budgets")
