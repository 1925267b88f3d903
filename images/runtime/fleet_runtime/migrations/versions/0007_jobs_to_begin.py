"""What waits and could begin, by template: what the autoscaler of a pool counts beside the jobs that run."""

from alembic import op

from fleet_runtime.store.demand import JOBS_TO_BEGIN

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the view."""
    op.execute(JOBS_TO_BEGIN)


def downgrade() -> None:
    """Remove it."""
    op.execute("DROP VIEW jobs_to_begin")
