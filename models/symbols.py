"""By which coin's market data an asset of a venue is followed: by record, never by name alone."""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from models.pegs import moving


@dataclass(frozen=True, slots=True)
class Proxy:
    """The coin that stands for an asset on exchanges.

    Parameters
    ----------
    coin
        Base symbol at an exchange.
    is_share
        Whether the asset is worth a rate of the coin that its venue's prices tell, not one.
    """

    coin: str
    is_share: bool


def proxy_of(asset: str) -> Proxy | None:
    """Return the coin that stands for an asset; None where none is on record."""
    return _record().get(asset)


def names_of(coin: str) -> tuple[str, ...]:
    """Return the assets that are worth one of a coin."""
    return tuple(name for name, each in _record().items() if each == Proxy(coin, is_share=False))


def unmapped(assets: Iterable[str]) -> tuple[str, ...]:
    """Return, in order, the assets whose price moves and for which no coin is on record."""
    return tuple(sorted(name for name in moving(set(assets), None) if proxy_of(name) is None))


@cache
def _record() -> Mapping[str, Proxy]:
    """Return the record that ships."""
    tree = tomllib.loads((files("models") / "symbols.toml").read_text(encoding="utf-8"))
    contracts = {
        f"{coin}{suffix}": Proxy(coin, is_share=False)
        for coin in tree["coin"]
        for suffix in tree["contract"]["suffixes"]
    }
    return contracts | {
        name: Proxy(coin, is_share=table == "share")
        for table in ("coin", "share")
        for coin, names in tree[table].items()
        for name in names
    }
