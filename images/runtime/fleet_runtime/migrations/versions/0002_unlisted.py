"""Since when nobody stands for a template or lists a key: what an older replica may not decide at once."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_NOW = sa.text("now()")


def upgrade() -> None:
    """Add what is noted; every key counts as listed just now."""
    op.create_table(
        "stranded_templates",
        sa.Column("template", sa.Text, nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False, server_default=_NOW),
        sa.PrimaryKeyConstraint("template", name="stranded_templates_pkey"),
    )
    op.add_column("api_keys", sa.Column("listed_at", sa.DateTime(timezone=True), nullable=False, server_default=_NOW))


def downgrade() -> None:
    """Remove it."""
    op.drop_column("api_keys", "listed_at")
    op.drop_table("stranded_templates")
