"""How the channels of receivers fare: failures in a row, rests, and why they cannot be used."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Add the columns; every channel begins as sound."""
    for column in (
        sa.Column("failures", sa.Integer, nullable=False, server_default="0"),
        sa.Column("failing_since", sa.BigInteger),
        sa.Column("rest_until", sa.BigInteger),
        sa.Column("error", sa.String(500)),
        sa.Column("fault", sa.String(500)),
    ):
        op.add_column("alert_channels", column)
