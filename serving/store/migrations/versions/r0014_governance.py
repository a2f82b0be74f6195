"""A log that nobody can change unseen, proposals with approvals and votes, and breakers."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def _name(length: int) -> sa.types.TypeEngine[str]:
    """Return the type of a name, ordered by its bytes on either database."""
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def upgrade() -> None:
    """Lay the tables."""
    op.create_table(
        "log",
        sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("action", _name(200), nullable=False),
        sa.Column("subject", sa.String(500), nullable=False),
        sa.Column("entry", sa.LargeBinary, nullable=False),
        sa.Column("chain", sa.String(64), nullable=False),
        sa.Column("edge", sa.Text, nullable=False),
    )
    op.create_index("log_by_subject", "log", ["subject", "number"])
    op.create_table(
        "proposals",
        sa.Column("id", _name(40), primary_key=True),
        sa.Column("state", _name(20), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
    )
    op.create_index("proposals_by_state", "proposals", ["state", "id"])
    op.create_table(
        "votes",
        sa.Column("proposal", _name(40), sa.ForeignKey("proposals.id"), primary_key=True),
        sa.Column("voter", _name(200), primary_key=True),
        sa.Column("choice", _name(20), nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "governed",
        sa.Column("name", _name(200), primary_key=True),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("actor", _name(200), nullable=False),
        sa.Column("body", sa.Text, nullable=False),
    )


def downgrade() -> None:
    """Take the tables away."""
    for table in ("governed", "votes", "proposals", "log"):
        op.drop_table(table)
