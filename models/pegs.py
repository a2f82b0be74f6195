"""What the market is: which assets move when it moves, and which keep their price.

Prices are against a venue's quote: the asset that its terms name, or a unit of account. A move of
the whole market leaves alone the quote, what is pegged to it, and every unit of account; whoever
asks may name further assets that are pegged. Nothing is read off a price.
"""

import tomllib
from collections.abc import Collection, Iterable, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

QUOTE_FIELDS = ("base_asset", "loan_asset", "quote")
"""Fields in which terms name the asset that everything else is valued in."""


def moving(
    assets: Iterable[str], terms: Any, *, pegged: Collection[str] = frozenset()
) -> tuple[str, ...]:
    """Return the assets whose prices a move of the whole market moves, in the order given.

    Parameters
    ----------
    terms
        Of the market that the assets are priced in.
    pegged
        Further assets that are known to keep their price.
    """
    quote = quote_of(terms)
    return tuple(
        [name for name in assets if name not in pegged and not _keeps_price(name, quote=quote)]
    )


def quote_of(terms: Any) -> str:
    """Return the asset that terms value everything else in; empty where they name none."""
    named = [getattr(terms, field, "") for field in _quote_fields(terms.__class__)]
    return next((str(name) for name in named if name), "")


@cache
def _quote_fields(kind: type) -> tuple[str, ...]:
    """Return the fields of a kind of terms that may name its quote."""
    stated = getattr(kind, "__dataclass_fields__", QUOTE_FIELDS)
    return tuple(field for field in QUOTE_FIELDS if field in stated)


def is_one(name: str, *, quote: str) -> bool:
    """Return whether one unit of an asset is worth one quote unit: the quote, or pegged to it.

    Parameters
    ----------
    quote
        Of the market; empty where prices are in dollars.
    """
    units = _record()["account"].values()
    return name == quote or any(name in names and (quote or "USD") in names for names in units)


def _keeps_price(name: str, *, quote: str) -> bool:
    """Return whether an asset is the quote, pegged to it, or stands for a unit of account."""
    if name == quote or name in _stable():
        return True
    unit = _coins().get(name)
    return unit is not None and unit == _coins().get(quote)


@cache
def _stable() -> frozenset[str]:
    """Return every name that stands for a unit of account."""
    tables = (_record()[table] for table in ("account", "savings"))
    return frozenset(name for table in tables for names in table.values() for name in names)


@cache
def _coins() -> Mapping[str, str]:
    """Return the coin that each name stands for."""
    return {name: coin for coin, names in _record()["coin"].items() for name in names}


@cache
def _record() -> Mapping[str, Mapping[str, list[str]]]:
    """Return the record that ships."""
    return tomllib.loads((files("models") / "pegs.toml").read_text(encoding="utf-8"))
