"""What is answered about stored accounts."""

from dataclasses import dataclass
from typing import Any

from serving.schemas.stored import AccountSummary, Assessed


@dataclass(frozen=True, slots=True, kw_only=True)
class Upserted:
    """How many accounts were written."""

    request_id: str
    written: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountsPage:
    """A page of accounts, each with its newest assessment in short.

    Parameters
    ----------
    next
        Cursor of the next page; null on the last one.
    """

    request_id: str
    accounts: tuple[AccountSummary, ...]
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Past assessments of an account, newest first."""

    request_id: str
    assessments: tuple[Assessed, ...]
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountAnswer:
    """An account as the store holds it, with its newest assessment in short."""

    request_id: str
    account: dict[str, Any]
    assessed: Assessed | None
