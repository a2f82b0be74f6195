"""Venues that people ask for by name and whose rules are not established here, and why."""

import re
from collections.abc import Mapping

IN_A_COIN = (
    "its margin is held in a coin whose price moves with the position's: no rulebook is held to "
    "recorded answers about such contracts"
)
REASONS: Mapping[str, str] = {
    "binance-coin-m": IN_A_COIN,
    "bybit-inverse": IN_A_COIN,
    "okx-coin-swap": IN_A_COIN,
    "llamalend": (
        "its loans are converted within bands, step by step, and no package ships the contracts "
        "that a rulebook could be held to"
    ),
    "liquity-v2": (
        "its interest rates are chosen by borrowers and charged in batches, and no package ships "
        "the contracts that a rulebook could be held to"
    ),
    "moonwell": (
        "a fork of Compound v2 with rules of its own, and no package ships the contracts that a "
        "rulebook could be held to"
    ),
}
"""By the name under which a venue is refused: what its rules lack."""

OTHER_NAMES: Mapping[str, str] = {
    "binancecm": "binance-coin-m",
    "binancedelivery": "binance-coin-m",
    "binanceinverse": "binance-coin-m",
    "bold": "liquity-v2",
    "bybitcoinm": "bybit-inverse",
    "crvusd": "llamalend",
    "curvelend": "llamalend",
    "okxcoinm": "okx-coin-swap",
    "okxinverse": "okx-coin-swap",
}
"""What else they are called, in letters and digits alone."""


def refused(venue: str) -> str | None:
    """Return why a venue is refused, by name; None where nothing is known of such a name.

    >>> refused("Moonwell")[:17]
    'moonwell: a fork '
    >>> refused("binance_coinm").split(":")[0]
    'binance-coin-m'
    """
    said = squeezed(venue)
    named = {**{squeezed(name): name for name in REASONS}, **OTHER_NAMES}
    return f"{named[said]}: {REASONS[named[said]]}" if said in named else None


def squeezed(name: str) -> str:
    """Return the letters and digits of a name, in lower case."""
    return re.sub(r"[^a-z0-9]", "", name.lower())
