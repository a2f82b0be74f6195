"""How many statements of a writer are passed over between two at which it is killed."""

import os

WHOLE = "FOREWARN_EVERY_STATEMENT"
"""Set to anything, it has writers killed at every statement on either database."""


def stride(store_url: str, otherwise: int, *, local: int = 1) -> int:
    """Return the stride of the store's kind; to PostgreSQL every death of a client is the same.

    Parameters
    ----------
    otherwise
        On PostgreSQL, where fewer will do.
    local
        On SQLite, where what a killed process leaves may be looked at in another way.
    """
    if WHOLE in os.environ:
        return 1
    return local if store_url.startswith("sqlite") else otherwise
