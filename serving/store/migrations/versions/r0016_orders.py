"""Mandates that owners give, and the orders made by them."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def _name(length: int = 200) -> sa.types.TypeEngine[str]:
    """Return the type of a name, ordered by its bytes on either database."""
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def upgrade() -> None:
    """Lay the tables."""
    op.create_table(
        "mandates",
        sa.Column("id", _name(40), primary_key=True),
        sa.Column("owner", _name(), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("ended_at", sa.BigInteger),
        sa.Column("body", sa.Text, nullable=False),
    )
    op.create_index("mandates_by_owner", "mandates", ["owner", "id"])
    op.create_table(
        "mandate_accounts",
        sa.Column("account", _name(), sa.ForeignKey("accounts.account"), primary_key=True),
        sa.Column("mandate", _name(40), sa.ForeignKey("mandates.id"), primary_key=True),
    )
    op.create_index("mandate_accounts_by_mandate", "mandate_accounts", ["mandate"])
    op.create_table(
        "orders",
        sa.Column("id", _name(40), primary_key=True),
        sa.Column("mandate", _name(40), sa.ForeignKey("mandates.id"), nullable=False),
        sa.Column("account", _name(), nullable=False),
        sa.Column("trigger", _name(260), nullable=False),
        sa.Column("live", _name(260), unique=True),
        sa.Column("state", _name(20), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("made_at", sa.BigInteger, nullable=False),
        sa.Column("moved_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("value", sa.String(300), nullable=False),
        sa.Column("counts", sa.Boolean, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("seal", sa.Text),
        sa.Column("course", sa.Text, nullable=False),
    )
    op.create_index("orders_by_state", "orders", ["state", "id"])
    op.create_index("orders_by_account", "orders", ["account", "id"])
    op.create_index("orders_by_mandate", "orders", ["mandate", "made_at"])
    op.create_index("orders_by_trigger", "orders", ["trigger", "id"])


def downgrade() -> None:
    """Take the tables away."""
    for table in ("orders", "mandate_accounts", "mandates"):
        op.drop_table(table)
