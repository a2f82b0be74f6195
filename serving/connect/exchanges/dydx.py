"""dYdX v4 subaccounts by address, from the indexer.

ccxt has no stream of subaccounts or oracle prices: both are asked for again and again.

References
----------
docs.dydx.xyz, indexer API: subaccount, perpetual markets, time; read 2026-11. The balance of USDC
that the indexer tells has unsettled funding in it.
"""

from collections.abc import Sequence
from datetime import datetime
from fractions import Fraction
from typing import Any

from models.domain import Leg, LegKind
from serving.connect.errors import AnswerInvalid, ChangedMeanwhile, UnknownInstrument
from serving.connect.exchanges.client import Session
from serving.connect.exchanges.reading import (
    MOST_TRIES,
    ExchangeAccount,
    Row,
    Snapshot,
    Watch,
    cash_leg,
    figures_of,
    number,
    object_of,
    text,
)

QUOTE = "USDC"
QUOTE_DECIMALS = 6
PPM = 10**6


class Dydx:
    """Reads subaccounts."""

    rulebook = ("dydx-v4", "84d4664b")
    seconds = 3.0

    async def verify(self, session: Session) -> None:
        """Compare the clocks; there is no key that could do anything."""
        now = object_of(await session.ask("indexerGetTime"), "time")
        session.must_agree(number(now, "epoch", "time"))

    async def read(self, session: Session, at: datetime) -> Snapshot:
        """Return every subaccount, at oracle prices that stood while it was read."""
        for _ in range(MOST_TRIES):
            before = await self._markets(session)
            places = session.target.addresses
            subaccounts = [(place, await self._subaccount(session, place)) for place in places]
            after = await self._markets(session)
            open_markets = {name for _, row in subaccounts for name in _positions(row)}
            missing = sorted(open_markets - before.keys())
            if missing:
                raise UnknownInstrument(f"dydx lists no market {', '.join(missing[:5])}")
            if all(
                before[m].get("oraclePrice") == after[m].get("oraclePrice") for m in open_markets
            ):
                accounts = tuple(_account(place, row, after) for place, row in subaccounts)
                perpetuals = {name: _terms(after[name], name) for name in sorted(open_markets)}
                terms = {QUOTE: {"quote": QUOTE, "perpetuals": perpetuals}}
                state = {
                    f"{name}.open_interest": _open_interest(after[name], name)
                    for name in sorted(open_markets)
                }
                return Snapshot(at=at, accounts=accounts, terms=terms, state={QUOTE: state})
        raise ChangedMeanwhile("oracle prices moved each time the subaccounts were read")

    async def _markets(self, session: Session) -> dict[str, dict[str, Any]]:
        """Return every perpetual market."""
        answer = object_of(await session.ask("indexerGetPerpetualMarkets"), "perpetualMarkets")
        return object_of(answer.get("markets"), "perpetualMarkets")

    async def _subaccount(self, session: Session, place: str) -> dict[str, Any]:
        """Return one subaccount."""
        address, _, sub = place.partition("/")
        wish = {"address": address, "subaccountNumber": sub or "0"}
        method = "indexerGetAddressesAddressSubaccountNumberSubaccountNumber"
        answer = object_of(await session.ask(method, wish), "subaccount")
        return object_of(answer.get("subaccount"), "subaccount")

    def watches(self, session: Session, instruments: Sequence[str]) -> tuple[Watch, ...]:  # noqa: ARG002 - as every exchange
        """Return nothing: it is asked instead."""
        return ()


def _positions(row: Row) -> dict[str, Any]:
    """Return what is open by market."""
    return {
        name: each
        for name, each in object_of(row.get("openPerpetualPositions"), "subaccount").items()
        if number(object_of(each, name), "size", name)
    }


def _resolution(market: Row, name: str) -> int:
    """Return the exponent of a base quantum in coins."""
    return int(number(market, "atomicResolution", name))


def _terms(market: Row, name: str) -> dict[str, Any]:
    """Return the risk parameters of a market in parts per million.

    Raises
    ------
    AnswerInvalid
        When they are not whole, as the chain has them.
    """
    initial = number(market, "initialMarginFraction", name) * PPM
    share = number(market, "maintenanceMarginFraction", name) * PPM * PPM / initial
    if initial.denominator != 1 or share.denominator != 1:
        raise AnswerInvalid(f"margin fractions of {name} are not whole parts per million")
    return {
        "atomic_resolution": _resolution(market, name),
        "initial_margin_ppm": int(initial),
        "maintenance_fraction_ppm": int(share),
        **{
            name: _quantums(number(market, key, name), QUOTE_DECIMALS)
            for name, key in (
                ("open_interest_lower_cap", "openInterestLowerCap"),
                ("open_interest_upper_cap", "openInterestUpperCap"),
            )
        },
    }


def _quantums(amount: Fraction, digits: int) -> int:
    """Return an amount in quantums, rounded down."""
    return (amount * Fraction(10) ** digits).__floor__()


def _open_interest(market: Row, name: str) -> int:
    """Return the open interest of a market in base quantums.

    The indexer tells two, and not which of them the chain goes by; the larger asks for no less
    initial margin than the chain does. Maintenance margin does not depend on it.
    """
    larger = max(number(market, key, name) for key in ("openInterest", "baseOpenInterest"))
    return _quantums(larger, -_resolution(market, name))


def _sign(row: Row, where: str) -> int:
    """Return +1 of a long, -1 of a short."""
    side = row.get("side")
    if side not in {"LONG", "SHORT"}:
        raise AnswerInvalid(f"{where}: side is neither LONG nor SHORT")
    return 1 if side == "LONG" else -1


def _account(place: str, row: Row, markets: dict[str, dict[str, Any]]) -> ExchangeAccount:
    """Return a subaccount in quantums."""
    usdc = Fraction(0)
    for name, asset in object_of(row.get("assetPositions"), "assetPositions").items():
        if name != QUOTE:
            raise AnswerInvalid(f"subaccount holds {name[:20]!r} beside {QUOTE}")
        usdc = _sign(asset, name) * abs(number(asset, "size", name))
    quantums = (usdc * 10**QUOTE_DECIMALS).__floor__()
    legs = [cash_leg(QUOTE, quantums)]
    marks = {}
    for name, each in _positions(row).items():
        size = _sign(each, name) * abs(number(each, "size", name))
        base = size / Fraction(10) ** _resolution(markets[name], name)
        if base.denominator != 1:
            raise AnswerInvalid(f"size of {name} is no whole number of quantums")
        legs.append(
            Leg(
                kind=LegKind.POSITION,
                asset=name,
                quantity=int(base),
                entry=number(each, "entryPrice", name),
            )
        )
        marks[name] = number(markets[name], "oraclePrice", name)
    address, _, sub = place.partition("/")
    return ExchangeAccount(
        name=f"{text(row, 'address', 'subaccount') and address}:{sub or '0'}",
        quote=QUOTE,
        legs=tuple(legs),
        options={},
        marks=marks,
        figures=figures_of(row, {"equity": "equity", "available": "freeCollateral"}),
        decimals=QUOTE_DECIMALS,
        owner=address,
    )
