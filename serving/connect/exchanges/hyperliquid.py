"""Hyperliquid perpetuals by address: the cross account, and isolated positions.

Only the venue's own perpetuals are read, not those of third-party deployers.

References
----------
hyperliquid.gitbook.io, API: info endpoint (clearinghouseState, meta, userAbstraction), WebSocket
subscriptions; read 2026-11.
"""

from collections.abc import Sequence
from datetime import datetime
from fractions import Fraction
from typing import Any

from models.domain import Leg, LegKind
from serving.connect.errors import AnswerInvalid, UnknownInstrument
from serving.connect.exchanges.client import Session
from serving.connect.exchanges.reading import (
    TERMS_SECONDS,
    ExchangeAccount,
    Marks,
    Row,
    Snapshot,
    VenueFigure,
    Watch,
    cash_leg,
    figure,
    number,
    object_of,
    quotient,
    rows,
    text,
)

QUOTE = "USDC"
MODE_SECONDS = 60.0
MODES = {
    "default": {},
    "disabled": {},
    "unifiedAccount": {"multi_assets": 1},
    "dexAbstraction": {"multi_assets": 1},
    "portfolioMargin": {"portfolio_margin": 1},
}
"""What `userAbstraction` answers, as the rulebook's options."""


class Hyperliquid:
    """Reads the venue's own perpetuals."""

    rulebook = ("hyperliquid", "2026-09")
    seconds = 30.0

    async def verify(self, session: Session) -> None:
        """Compare the clocks; there is no key that could do anything."""
        wish = {"type": "clearinghouseState", "user": session.target.addresses[0]}
        state = object_of(await session.ask("publicPostInfo", wish), "clearinghouseState")
        session.must_agree(number(state, "time", "clearinghouseState") / 1000)

    async def read(self, session: Session, at: datetime) -> Snapshot:
        """Return all accounts of every address."""
        accounts: list[ExchangeAccount] = []
        for address in session.target.addresses:
            wish = {"type": "clearinghouseState", "user": address}
            state = object_of(await session.ask("publicPostInfo", wish), "clearinghouseState")
            accounts += _accounts(state, address, await self._mode(session, address))
        coins = sorted({coin for each in accounts for coin in each.marks})
        tables = await self._tables(session, coins)
        terms = {QUOTE: {"quote": QUOTE, "coins": tables}} if accounts else {}
        return Snapshot(at=at, accounts=tuple(accounts), terms=terms)

    async def _mode(self, session: Session, address: str) -> dict[str, int]:
        """Return the options that an address's mode is to the rules."""

        async def ask() -> Any:
            wish = {"type": "userAbstraction", "user": address}
            return [await session.translated(session.client.publicPostInfo(wish))]

        (answer,) = await session.cached(f"mode {address}", MODE_SECONDS, ask)
        mode = str(answer).strip().strip('"')
        if mode not in MODES:
            raise AnswerInvalid(f"hyperliquid: mode {mode[:40]!r} of an account is not known")
        return MODES[mode]

    async def _tables(self, session: Session, coins: Sequence[str]) -> dict[str, Any]:
        """Return the margin tables of coins."""

        async def ask() -> dict[str, Any]:
            return object_of(await session.ask("publicPostInfo", {"type": "meta"}), "meta")

        meta = await session.cached("meta", TERMS_SECONDS, ask)
        listed = {row.get("name"): row for row in rows(meta.get("universe"), "meta universe")}
        if set(coins) - listed.keys():
            session.forget()
            meta = await session.cached("meta", TERMS_SECONDS, ask)
            listed = {row.get("name"): row for row in rows(meta.get("universe"), "meta universe")}
        missing = sorted(set(coins) - listed.keys())
        if missing:
            raise UnknownInstrument(f"hyperliquid lists no coin {', '.join(missing[:5])}")
        tables = {str(place): table for place, table in meta.get("marginTables", ())}
        return {coin: _table(listed[coin], tables) for coin in coins}

    def watches(self, session: Session, instruments: Sequence[str]) -> tuple[Watch, ...]:
        """Return the streams of marks, coin by coin, and of the accounts."""

        def mark_of(coin: str) -> Watch:
            async def marks() -> Marks:
                symbol = (await session.symbols([coin]))[coin]
                answer = await session.translated(session.client.watch_ticker(symbol))
                return {coin: Fraction(str(answer["info"]["markPx"]))}

            return marks

        def account_of(address: str) -> Watch:
            async def account() -> None:
                wish = {"user": address}
                await session.translated(session.client.watch_positions(None, None, None, wish))

            return account

        # One subscription tells of one account alone: further ones are asked for instead.
        first = session.target.addresses[:1]
        return (*map(mark_of, instruments), *map(account_of, first))


def _table(row: Row, tables: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the margin table of a coin; one that is not listed has its highest leverage only."""
    name = text(row, "name", "meta")
    table = tables.get(str(row.get("marginTableId")))
    if table is None:
        return [{"floor": "0", "max_leverage": int(number(row, "maxLeverage", name))}]
    tiers = rows(object_of(table, name).get("marginTiers"), f"margin table of {name}")
    floors = [number(tier, "lowerBound", name) for tier in tiers]
    if not tiers or floors[0] != 0 or floors != sorted(floors):
        raise AnswerInvalid(f"margin table of {name} does not ascend from 0")
    return [
        {
            "floor": str(tier["lowerBound"]),
            "max_leverage": int(number(tier, "maxLeverage", name)),
        }
        for tier in tiers
    ]


def _accounts(state: Row, address: str, mode: dict[str, int]) -> list[ExchangeAccount]:
    """Return the cross account and the isolated positions of an address."""
    open_positions = [
        object_of(row.get("position"), "assetPositions")
        for row in rows(state.get("assetPositions"), "assetPositions")
    ]
    open_positions = [row for row in open_positions if number(row, "szi", "assetPositions")]
    kinds = {row["coin"]: object_of(row.get("leverage"), row["coin"]) for row in open_positions}
    shared = [row for row in open_positions if kinds[row["coin"]].get("type") == "cross"]
    alone = [row for row in open_positions if kinds[row["coin"]].get("type") == "isolated"]
    if len(shared) + len(alone) != len(open_positions):
        raise AnswerInvalid("assetPositions: a leverage is neither cross nor isolated")
    accounts = [
        _account(
            f"{address}:{row['coin']}",
            address,
            [row],
            mode,
            raw=number(kinds[row["coin"]], "rawUsd", row["coin"]),
            figures=(VenueFigure(name="equity", theirs=figure(row, "marginUsed")),),
        )
        for row in alone
    ]
    summary = object_of(state.get("crossMarginSummary"), "crossMarginSummary")
    raw = number(summary, "totalRawUsd", "crossMarginSummary")
    if shared or raw:
        figures = (
            VenueFigure(name="equity", theirs=figure(summary, "accountValue")),
            VenueFigure(
                name="maintenance_margin", theirs=figure(state, "crossMaintenanceMarginUsed")
            ),
            VenueFigure(name="initial_margin", theirs=figure(summary, "totalMarginUsed")),
            VenueFigure(name="available", theirs=figure(state, "withdrawable")),
        )
        accounts.append(
            _account(
                f"{address}:cross", address, shared, {"cross": 1, **mode}, raw=raw, figures=figures
            )
        )
    return accounts


def _account(
    name: str,
    address: str,
    open_positions: Sequence[Row],
    options: dict[str, int],
    *,
    raw: Fraction,
    figures: tuple[VenueFigure, ...],
) -> ExchangeAccount:
    """Return what shares one solvency test.

    Parameters
    ----------
    raw
        USDC that would be left if positions were worth nothing: what they cost is in it already.
    """
    positions = [
        Leg(
            kind=LegKind.POSITION,
            asset=text(row, "coin", "assetPositions"),
            quantity=number(row, "szi", row["coin"]),
            entry=number(row, "entryPx", row["coin"]),
        )
        for row in open_positions
    ]
    cost = sum((leg.quantity * (leg.entry or 0) for leg in positions), Fraction(0))
    cash = raw + cost
    marks = {
        leg.asset: quotient(number(row, "positionValue", leg.asset), abs(Fraction(leg.quantity)))
        for leg, row in zip(positions, open_positions, strict=True)
    }
    shown = [
        VenueFigure(name="liquidation_price", theirs=figure(row, "liquidationPx"), leg=place)
        for place, row in enumerate(open_positions, start=1)
    ]
    leverages = {
        f"{row['coin']}.leverage": int(number(row["leverage"], "value", row["coin"]))
        for row in open_positions
    }
    return ExchangeAccount(
        name=name,
        quote=QUOTE,
        legs=(cash_leg(QUOTE, cash), *positions),
        options={**options, **leverages},
        marks=marks,
        figures=(*figures, *shown),
        owner=address,
    )
