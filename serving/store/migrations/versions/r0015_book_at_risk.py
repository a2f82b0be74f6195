"""Impact quotes of assets, and forecasts of the whole book."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def _name(length: int = 200) -> sa.types.TypeEngine[str]:
    """Return the type of a name, ordered by its bytes on either database."""
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def upgrade() -> None:
    """Lay both tables."""
    op.create_table(
        "impact_quotes",
        sa.Column("asset", _name(), primary_key=True),
        sa.Column("quote", _name(), primary_key=True),
        sa.Column("measured_at", sa.BigInteger, primary_key=True),
        sa.Column("received_at", sa.BigInteger, nullable=False),
        sa.Column("quotes", sa.Text, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "book_forecasts",
        sa.Column("id", _name(), primary_key=True),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("status", _name(20), nullable=False),
        sa.Column("done", sa.Double, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
        sa.Column("request", sa.Text, nullable=False),
        sa.Column("body", sa.Text),
    )
    op.create_index("book_forecasts_by_time", "book_forecasts", ["at"])


def downgrade() -> None:
    """Drop both tables."""
    op.drop_table("book_forecasts")
    op.drop_table("impact_quotes")
