"""Allocations that take long, asked for and answered later."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"


def _name(length: int = 200) -> sa.types.TypeEngine[str]:
    """Return the type of a name, ordered by its bytes on either database."""
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def upgrade() -> None:
    """Lay the table."""
    op.create_table(
        "allocations",
        sa.Column("id", _name(), primary_key=True),
        sa.Column("status", _name(20), nullable=False),
        sa.Column("begun_at", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
        sa.Column("request", sa.Text, nullable=False),
        sa.Column("body", sa.Text),
    )
    op.create_index("allocations_by_time", "allocations", ["begun_at"])


def downgrade() -> None:
    """Take the table away."""
    op.drop_table("allocations")
