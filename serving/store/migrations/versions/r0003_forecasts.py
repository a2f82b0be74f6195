"""Forecasts: what every bundle in use said of the same account at the same moment."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

NAME = sa.String(200).with_variant(sa.String(200, collation="C"), "postgresql")
WORD = sa.String(20).with_variant(sa.String(20, collation="C"), "postgresql")
HORIZONS = ("1h", "4h", "24h", "7d")


def upgrade() -> None:
    """Lay the table."""
    chances = [f"{kind}_{h}" for kind in ("unattended", "expected") for h in HORIZONS]
    op.create_table(
        "forecasts",
        sa.Column("account", NAME, sa.ForeignKey("accounts.account"), primary_key=True),
        sa.Column("at", sa.BigInteger, primary_key=True),
        sa.Column("model_version", NAME, primary_key=True),
        sa.Column("role", WORD, nullable=False),
        *(sa.Column(chance, sa.Double) for chance in chances),
        sa.Column("features", sa.Text),
    )
    op.create_index("forecasts_by_time", "forecasts", ["at"])
