"""The state of chains' blocks, from which congestion follows."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    """Lay the table."""
    chain = sa.String(40).with_variant(sa.String(40, collation="C"), "postgresql")
    op.create_table(
        "block_space",
        sa.Column("chain", chain, primary_key=True),
        sa.Column("measured_at", sa.BigInteger, primary_key=True),
        sa.Column("received_at", sa.BigInteger, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("block_space")
