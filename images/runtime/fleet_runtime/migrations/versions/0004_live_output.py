"""The output of jobs that still run, a job's trace, and an operator's wish that a worker drains."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add what is watched, what was written so far, and the two columns."""
    op.create_table(
        "job_watches",
        sa.Column("job_id", sa.Uuid, nullable=False),
        sa.Column("watched_until", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("job_id", name="job_watches_pkey"),
        prefixes=["UNLOGGED"],
    )
    op.create_table(
        "job_output",
        sa.Column("job_id", sa.Uuid, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("stream", sa.SmallInteger, nullable=False),
        sa.Column("chunk", sa.Integer, nullable=False),
        sa.Column("data", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("job_id", "attempt", "stream", "chunk", name="job_output_pkey"),
        prefixes=["UNLOGGED"],
    )
    op.add_column("jobs", sa.Column("traceparent", sa.Text))
    op.add_column("workers", sa.Column("drain_requested", sa.Boolean, nullable=False, server_default=sa.text("false")))


def downgrade() -> None:
    """Remove them."""
    op.drop_column("workers", "drain_requested")
    op.drop_column("jobs", "traceparent")
    op.drop_table("job_output")
    op.drop_table("job_watches")
