"""An index for every order in which accounts are listed, in its own direction."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"

TABLE = "latest_assessments"
LARGEST_FIRST = ("expected_24h", "collateral_value", "requirement")


def upgrade() -> None:
    """Lay them; that of forecasts anew, the largest first."""
    op.drop_index("latest_by_expected_24h", TABLE)
    op.create_index("latest_by_distance", TABLE, ["distance", "account"])
    for name in LARGEST_FIRST:
        op.create_index(f"latest_by_{name}", TABLE, [sa.text(f"{name} DESC"), "account"])


def downgrade() -> None:
    """Drop them."""
    for name in (*LARGEST_FIRST, "distance"):
        op.drop_index(f"latest_by_{name}", TABLE)
    op.create_index("latest_by_expected_24h", TABLE, ["expected_24h", "account"])
