"""Impact quotes of assets, and forecasts of the whole book."""

import sqlalchemy as sa
from alembic import op

from serving.store.columns import Document, Time, name

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Lay both tables."""
    op.create_table(
        "impact_quotes",
        sa.Column("asset", name(), primary_key=True),
        sa.Column("quote", name(), primary_key=True),
        sa.Column("measured_at", Time, primary_key=True),
        sa.Column("received_at", Time, nullable=False),
        sa.Column("quotes", Document, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "book_forecasts",
        sa.Column("id", name(), primary_key=True),
        sa.Column("at", Time, nullable=False),
        sa.Column("status", name(20), nullable=False),
        sa.Column("done", sa.Double, nullable=False),
        sa.Column("updated_at", Time, nullable=False),
        sa.Column("request", Document, nullable=False),
        sa.Column("body", Document),
    )
    op.create_index("book_forecasts_by_time", "book_forecasts", ["at"])


def downgrade() -> None:
    """Drop both tables."""
    op.drop_table("book_forecasts")
    op.drop_table("impact_quotes")
