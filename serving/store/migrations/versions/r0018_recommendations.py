"""Recommendations of risk parameters."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"


def _name(length: int = 200) -> sa.types.TypeEngine[str]:
    """Return the type of a name, ordered by its bytes on either database."""
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def upgrade() -> None:
    """Lay the table."""
    op.create_table(
        "recommendations",
        sa.Column("id", _name(), primary_key=True),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("status", _name(20), nullable=False),
        sa.Column("tried", sa.Integer, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
        sa.Column("request", sa.Text, nullable=False),
        sa.Column("body", sa.Text),
    )
    op.create_index("recommendations_by_time", "recommendations", ["at"])


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("recommendations")
