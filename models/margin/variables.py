"""Names of what a rulebook reads of a market's state and of an account's options."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from typing import NamedTuple

SIDES = ("long", "short")
ASSET, MARKET = "{asset}.", "{market}."


@dataclass(frozen=True, slots=True)
class Variable:
    """One number that a rulebook reads.

    Parameters
    ----------
    name
        As it is stated; `{asset}` and `{market}` stand for names, `{side}` for long or short.
    unit
        Unit, or what the number says where it has none.
    """

    name: str
    unit: str


class Subject(NamedTuple):
    """What a stated name speaks of beside its market as a whole."""

    asset: str | None
    market: str | None


@dataclass(frozen=True, slots=True)
class Names:
    """The names that rulebooks read, ready to look one up.

    Parameters
    ----------
    whole
        Names without an asset or a market in them.
    of_assets, of_markets
        What follows the name of the asset or the market, and a dot.
    """

    whole: frozenset[str]
    of_assets: frozenset[str]
    of_markets: frozenset[str]

    def subject(self, name: str) -> Subject | None:
        """Return what a stated name speaks of; None where no rulebook reads it."""
        if name in self.whole:
            return Subject(None, None)
        for prefix, tail in _splits(name):
            if tail in self.of_assets:
                return Subject(prefix, None)
            if tail in self.of_markets:
                return Subject(None, prefix)
        return None

    def nearest(self, name: str) -> str | None:
        """Return the name that is read and that a misspelt one is most like."""
        candidates = {*self.whole}
        parts = name.split(".")
        for prefix in (".".join(parts[:place]) for place in range(1, len(parts))):
            candidates.update(f"{prefix}.{tail}" for tail in (*self.of_assets, *self.of_markets))
        return next(iter(get_close_matches(name, sorted(candidates), n=1)), None)


def _splits(name: str) -> Iterator[tuple[str, str]]:
    """Yield a name parted at its last dot, and at the one before: `ETH.pool_pnl`, `long`."""
    prefix, dot, tail = name.rpartition(".")
    while dot and prefix:
        yield prefix, tail
        if tail not in SIDES:
            return
        prefix, dot, before = prefix.rpartition(".")
        tail = f"{before}.{tail}"


def names_of(variables: Iterable[Variable]) -> Names:
    """Return the names of variables."""
    whole, of_assets, of_markets = set(), set(), set()
    for name in {side for variable in variables for side in _by_side(variable.name)}:
        if name.startswith(ASSET):
            of_assets.add(name.removeprefix(ASSET))
        elif name.startswith(MARKET):
            of_markets.add(name.removeprefix(MARKET))
        else:
            whole.add(name)
    return Names(frozenset(whole), frozenset(of_assets), frozenset(of_markets))


def _by_side(name: str) -> list[str]:
    """Return a name for each side, or itself."""
    return [name.replace("{side}", side) for side in SIDES] if "{side}" in name else [name]


def units(variables: Iterable[Variable]) -> dict[str, str]:
    """Return the unit of each variable by its name."""
    return {variable.name: variable.unit for variable in variables}
