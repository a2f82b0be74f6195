"""What exchanges say of their accounts."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"


def _name(length: int = 200) -> sa.types.TypeEngine[str]:
    """Return the type of a name, ordered by its bytes on either database."""
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def upgrade() -> None:
    """Lay the table."""
    op.create_table(
        "venue_accounts",
        sa.Column("account", _name(), sa.ForeignKey("accounts.account"), primary_key=True),
        sa.Column("connection", _name(100), nullable=False),
        sa.Column("read_at", sa.BigInteger, nullable=False),
        sa.Column("refused", sa.String(200)),
        sa.Column("figures", sa.Text, nullable=False),
    )
    op.create_index("venue_accounts_by_connection", "venue_accounts", ["connection"])
    op.create_index("venue_accounts_by_time", "venue_accounts", ["read_at"])


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("venue_accounts")
