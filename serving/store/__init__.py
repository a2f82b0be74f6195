"""The store: accounts, markets, assessments and keys behind a database URL.

The only package that speaks SQL. `open_store` gives a `Store`; its `begin()` and `read()` yield
a transaction, which the functions of the modules here take as their first argument, so that
whatever must happen together is one transaction:

    with store.begin() as transaction:
        market.push_prices(transaction, prices, now=now)
        journal.note(transaction, entry)
"""

from serving.store.engine import Store, Transaction, open_store
from serving.store.errors import StoreConflict, StoreFailed, StoreRefused

__all__ = ["Store", "StoreConflict", "StoreFailed", "StoreRefused", "Transaction", "open_store"]
