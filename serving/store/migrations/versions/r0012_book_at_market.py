"""The book in sum tells collateral at market value and debt: sums kept without them are dropped.

The watch writes the sum anew at its next pass; until then the book is added up when asked for.
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Drop what lacks the new amounts."""
    op.execute(sa.text("DELETE FROM book_sums"))


def downgrade() -> None:
    """Drop what holds more amounts than are read."""
    op.execute(sa.text("DELETE FROM book_sums"))
