"""How a store says no.

ForewarnError
├── StoreRefused     it cannot be opened, or another version wrote it
├── StoreFailed      a statement failed: locked, full, stopped; nothing was written
└── InvalidInput
    └── StoreConflict   a key came back with another body; lists every one
"""

from models.errors import ForewarnError, InvalidInput


class StoreRefused(ForewarnError):  # noqa: N818 - named for what happened
    """The store cannot be opened, or was written by another version."""


class StoreFailed(ForewarnError):  # noqa: N818 - named for what happened
    """The database failed at a statement; the transaction left nothing behind."""


class StoreConflict(InvalidInput):
    """A key that the store holds was given again with another body."""
