"""One moment of one book: the schema that was counted in a note."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

SECONDS = sa.BigInteger


def upgrade() -> None:
    """Lay the tables of an empty store."""
    op.create_table(
        "notes",
        sa.Column("name", sa.String(100), primary_key=True),
        sa.Column("value", sa.String(200), nullable=False),
    )
    _accounts()
    _market()
    op.execute("INSERT INTO notes (name, value) VALUES ('schema_version', '1')")


def _accounts() -> None:
    """Lay accounts and events."""
    op.create_table(
        "accounts",
        sa.Column("account", sa.String(200), primary_key=True),
        sa.Column("venue", sa.String(200), nullable=False),
        sa.Column("version", sa.String(200), nullable=False),
        sa.Column("market", sa.String(200), nullable=False),
        sa.Column("opened_at", SECONDS),
        sa.Column("legs", sa.Text, nullable=False),
        sa.Column("options", sa.Text, nullable=False),
    )
    op.create_table(
        "events",
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("account", sa.String(200), nullable=False),
        sa.Column("at", SECONDS, nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("collateral", sa.String(80), nullable=False),
        sa.Column("debt", sa.String(80), nullable=False),
    )
    op.create_index("ix_events_account", "events", ["account"])


def _market() -> None:
    """Lay candles, prices, accumulators and terms."""
    op.create_table(
        "candles",
        sa.Column("asset", sa.String(200), primary_key=True),
        sa.Column("hour", sa.BigInteger, primary_key=True, autoincrement=False),
        *(
            sa.Column(name, sa.Double, nullable=False)
            for name in ("open", "high", "low", "close", "volume")
        ),
    )
    op.create_table(
        "prices",
        sa.Column("asset", sa.String(200), primary_key=True),
        sa.Column("value", sa.String(100), nullable=False),
        sa.Column("decimals", sa.Integer, nullable=False),
        sa.Column("observed_at", SECONDS, nullable=False),
        sa.Column("source", sa.String(200), nullable=False),
        sa.Column("next_value", sa.String(100)),
        sa.Column("next_at", SECONDS),
        sa.Column("stale_after", SECONDS),
        sa.Column("disputed", sa.String(200)),
    )
    op.create_table(
        "state",
        sa.Column("name", sa.String(200), primary_key=True),
        sa.Column("value", sa.String(100), nullable=False),
    )
    op.create_table(
        "terms",
        sa.Column("market", sa.String(200), primary_key=True),
        sa.Column("valid_from", SECONDS, primary_key=True, autoincrement=False),
        sa.Column("body", sa.Text, nullable=False),
    )
