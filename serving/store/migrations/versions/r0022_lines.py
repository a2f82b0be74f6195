"""Distances to the line, collateral at market value, the book's course, reports of drift."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"

TABLES = ("assessments", "latest_assessments")
FIGURES = ("collateral_value", "distance", "trigger_price")
CHANCES = [f"{head}_{h}" for head in ("unattended", "expected") for h in ("1h", "4h", "24h", "7d")]
NAMES = {"trigger_asset": 200, "trigger_side": 8}


def _name(length: int) -> sa.types.TypeEngine[str]:
    """Return the type of a name, ordered by its bytes on either database."""
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def upgrade() -> None:
    """Add the columns, empty until an account is judged again, and lay the tables."""
    for table in TABLES:
        for figure in FIGURES:
            op.add_column(table, sa.Column(figure, sa.Double))
        for name, length in NAMES.items():
            op.add_column(table, sa.Column(name, _name(length)))
    op.create_table(
        "book_course",
        sa.Column("hour", sa.BigInteger, primary_key=True),
        sa.Column("venue", _name(200), primary_key=True),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("accounts", sa.Integer, nullable=False),
        *(sa.Column(chance, sa.Double, nullable=False) for chance in CHANCES),
    )
    op.create_table(
        "drift_reports",
        sa.Column("model_version", _name(200), primary_key=True),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_table("drift_reports")
    op.drop_table("book_course")
    for table in TABLES:
        for name in (*FIGURES, *NAMES):
            op.drop_column(table, name)
