"""Which series of an exchange the assets need that connected accounts hold."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction

from models.domain import Price
from models.pegs import moving
from models.symbols import Proxy, names_of, proxy_of
from serving.ingest.exchange import ExchangeSeries
from serving.store import Store, accounts, connections, market


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectedSeries:
    """What is to be fetched for connected accounts.

    Parameters
    ----------
    lines
        One series an asset and kind.
    unmapped
        By asset why nothing is fetched for it.
    """

    lines: tuple[ExchangeSeries, ...]
    unmapped: Mapping[str, str]


def connected_series(
    store: Store, *, quote: str, kinds: Sequence[str], at: datetime
) -> ConnectedSeries:
    """Return the series for all that connected accounts hold or owe as of a moment.

    Assets that keep their price by record need none; a share of staked coins is fetched as its
    coin, times what the venue's prices say that it is worth of one.
    """
    with store.read() as transaction:
        followed = [
            account
            for each in connections.every(transaction)
            for account in connections.checked_accounts(transaction, each.name)
        ]
        bodies = accounts.read(transaction, followed)
        quotes = market.quotes(transaction, at=at)
    assets = {leg["asset"] for body in bodies.values() for leg in body["legs"]}
    lines: list[ExchangeSeries] = []
    unmapped: dict[str, str] = {}
    for asset in sorted(moving(assets, None)):
        proxy = proxy_of(asset)
        if proxy is None:
            unmapped[asset] = "no symbol of an exchange is on record for it"
            continue
        rate = rate_of(asset, proxy, quotes.values())
        if rate is None:
            unmapped[asset] = f"no market prices it beside {proxy.coin}, to tell its rate"
            continue
        lines += [
            ExchangeSeries(asset=asset, quote=quote, kind=kind, base=proxy.coin, rate=float(rate))
            for kind in kinds
        ]
    return ConnectedSeries(lines=tuple(lines), unmapped=unmapped)


def rate_of(asset: str, proxy: Proxy, quotes: Iterable[Mapping[str, Price]]) -> Fraction | None:
    """Return how much of its coin an asset is worth: one, or by the newest prices of a market.

    Parameters
    ----------
    quotes
        Prices by asset, one mapping a market.
    """
    if not proxy.is_share:
        return Fraction(1)
    pairs = [
        (prices[asset], prices[coin])
        for prices in quotes
        if asset in prices
        for coin in names_of(proxy.coin)
        if coin in prices and prices[coin].value > 0
    ]
    if not pairs:
        return None
    share, coin = max(pairs, key=lambda pair: min(price.observed_at for price in pair))
    return share.exact / coin.exact
