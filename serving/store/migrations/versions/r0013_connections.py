"""Connections to venues: what is followed, its last blocks, and whether the rules agree."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def _name(length: int) -> sa.types.TypeEngine[str]:
    """Return the type of a name, ordered by its bytes on either database."""
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def upgrade() -> None:
    """Lay the tables."""
    op.create_table(
        "connections",
        sa.Column("name", _name(100), primary_key=True),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("sealed", sa.LargeBinary),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("status", sa.Text),
        sa.Column("status_at", sa.BigInteger),
    )
    op.create_table(
        "connection_blocks",
        sa.Column("connection", _name(100), primary_key=True),
        sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("hash", sa.String(100), nullable=False),
        sa.Column("parent", sa.String(100), nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "rule_checks",
        sa.Column("account", _name(200), sa.ForeignKey("accounts.account"), primary_key=True),
        sa.Column("connection", _name(100), nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("block", sa.BigInteger, nullable=False),
        sa.Column("differs_since", sa.BigInteger),
        sa.Column("differences", sa.Text, nullable=False),
    )
    op.create_index("rule_checks_by_connection", "rule_checks", ["connection"])
    op.create_index("rule_checks_that_differ", "rule_checks", ["differs_since"])
    op.create_table(
        "rule_mismatches",
        sa.Column("account", _name(200), sa.ForeignKey("accounts.account"), primary_key=True),
        sa.Column("at", sa.BigInteger, primary_key=True),
        sa.Column("connection", _name(100), nullable=False),
        sa.Column("block", sa.BigInteger, nullable=False),
        sa.Column("hash", sa.String(100), nullable=False),
        sa.Column("differences", sa.Text, nullable=False),
    )


def downgrade() -> None:
    """Drop the tables."""
    for table in ("rule_mismatches", "rule_checks", "connection_blocks", "connections"):
        op.drop_table(table)
