"""What is answered about where a book stands, and what was expected of it."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class MapCells:
    """Accounts of like distance and value in columns, one entry per cell.

    Parameters
    ----------
    venue
        Place in `venues` of the answer.
    level
        Of the alert that they are on; null where nothing watches them, and in the past.
    distance
        Share by which the price must move to the line, 0 where it is crossed: their mean, to
        five digits after the point.
    value
        Collateral at market value, quote units of the venue: their mean, to six digits.
    accounts
        How many they are.
    account
        The account, where it is alone in its cell.
    """

    venue: tuple[int, ...]
    level: tuple[str | None, ...]
    distance: tuple[float, ...]
    value: tuple[float, ...]
    accounts: tuple[int, ...]
    account: tuple[str | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """Accounts of one venue that share an owner, hold one asset, or are all there are.

    Parameters
    ----------
    name
        The owner, the asset or the venue; null for accounts without an owner.
    collateral_value
        Of these accounts, quote units of the venue; an account with several assets counts whole
        with each of them.
    share
        Of the venue's whole collateral value; null where that is nothing.
    near
        Accounts whose line is within a tenth.
    """

    name: str | None
    venue: str
    accounts: int
    near: int
    collateral_value: float
    share: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BookMap:
    """Where accounts stand by value and distance to the line.

    Parameters
    ----------
    accounts, unplaced
        How many stand in a cell, and how many have no distance or no value that is known.
    owners, assets, by_venue
        In whose hands, in what and where the collateral is; the largest of each venue first.
    """

    request_id: str
    as_of: datetime
    simulated: bool
    accounts: int
    unplaced: int
    venues: tuple[str, ...]
    cells: MapCells
    owners: tuple[Holding, ...]
    assets: tuple[Holding, ...]
    by_venue: tuple[Holding, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BookCourse:
    """What was expected of the book over time, in columns, oldest first, and what came true.

    Parameters
    ----------
    horizon
        Within which.
    accounts
        That had a forecast.
    unattended, expected
        Accounts expected to be liquidated within the horizon of `at`: if nobody acts, and as
        owners were observed to act.
    liquidated
        Accounts that were; null where the horizon has not passed.
    """

    request_id: str
    simulated: bool
    horizon: str
    at: tuple[datetime, ...]
    accounts: tuple[int, ...]
    unattended: tuple[float, ...]
    expected: tuple[float, ...]
    liquidated: tuple[int | None, ...]
