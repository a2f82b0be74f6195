"""Riskiest first: the size of every assessed account, and its place in the order of risk."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0004"

SIZES = ("credit", "requirement")
BREACHED = ("liquidatable", "not_executable")


def upgrade() -> None:
    """Add the columns; an account is placed by what was last said of it."""
    for table in ("assessments", "latest_assessments"):
        for size in SIZES:
            op.add_column(table, sa.Column(size, sa.Double))
    rank = sa.Column("rank", sa.Double, nullable=False, server_default="0")
    op.add_column("latest_assessments", rank)
    names = ("verdict", "next_verdict", "expected_24h", "rank")
    latest = sa.table("latest_assessments", *map(sa.column, names))
    chance = sa.func.coalesce(latest.c.expected_24h, 0.0)
    score = sa.case(
        (latest.c.verdict.in_(BREACHED), -6.0 - chance),
        (latest.c.next_verdict.in_(BREACHED), -4.0 - chance),
        (latest.c.verdict != "safe", -2.0 - chance),
        else_=sa.func.coalesce(-latest.c.expected_24h, 2.0),
    )
    op.execute(sa.update(latest).values(rank=score))
    op.create_index("latest_by_rank", "latest_assessments", ["rank", "account"])
    op.create_index("latest_by_time", "latest_assessments", ["at"])
