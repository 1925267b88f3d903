"""Agent jobs: whose agent a job is for, and the workspace that it alone may write to while it runs."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add both columns, what keeps a second writer out, and what finds the first of those that wait."""
    op.add_column("jobs", sa.Column("agent", sa.Text))
    op.add_column("jobs", sa.Column("workspace", sa.Text))
    op.create_index(
        "jobs_workspace_writer",
        "jobs",
        ["tenant", "workspace"],
        unique=True,
        postgresql_where=sa.text("status = 'running' AND workspace IS NOT NULL"),
    )
    op.create_index(
        "jobs_workspace_queued",
        "jobs",
        ["tenant", "workspace", "template", sa.text("priority DESC"), "seq"],
        postgresql_where=sa.text("status = 'queued' AND workspace IS NOT NULL"),
    )


def downgrade() -> None:
    """Remove them."""
    op.drop_index("jobs_workspace_queued", "jobs")
    op.drop_index("jobs_workspace_writer", "jobs")
    op.drop_column("jobs", "workspace")
    op.drop_column("jobs", "agent")
