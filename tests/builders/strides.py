"""How many statements of a writer are passed over between two at which it is killed."""

import os

WHOLE = "FOREWARN_EVERY_STATEMENT"
"""Set to anything, it has writers killed at every statement on PostgreSQL as well."""


def stride(store_url: str, otherwise: int) -> int:
    """Return 1 on SQLite; to PostgreSQL every death of a client is the same, so fewer will do."""
    return 1 if store_url.startswith("sqlite") or WHOLE in os.environ else otherwise
