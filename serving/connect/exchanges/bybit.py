"""Bybit linear perpetuals of a unified account: isolated positions, and the cross account.

References
----------
Bybit V5: get position info, wallet balance, account info, risk limit, API key information;
private position stream, public tickers. Read 2026-11.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from fractions import Fraction
from typing import Any

from models.domain import Leg, LegKind
from serving.connect.errors import AnswerInvalid, KeyTooStrong
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
    figures_of,
    number,
    object_of,
    rows,
    text,
    whole_leverage,
)

SETTLED_IN = ("USDT", "USDC")
PAGE = 200
MOST_PAGES = 50
ISOLATED, CROSS, PORTFOLIO = "ISOLATED_MARGIN", "REGULAR_MARGIN", "PORTFOLIO_MARGIN"


class Bybit:
    """Reads linear perpetuals."""

    rulebook = ("bybit-linear", "isolated-2024-09")
    seconds = 30.0

    async def verify(self, session: Session) -> None:
        """Compare the clocks, and refuse a key that can do more than read."""
        now = _result(await session.ask("publicGetV5MarketTime"), "time")
        session.must_agree(number(now, "timeNano", "time") / 10**9)
        key = _result(await session.ask("privateGetV5UserQueryApi"), "query-api")
        if str(key.get("readOnly")) != "1":
            raise KeyTooStrong("bybit: the key is not read-only")

    async def read(self, session: Session, at: datetime) -> Snapshot:
        """Return all accounts."""
        mode = text(
            _result(await session.ask("privateGetV5AccountInfo"), "info"), "marginMode", "info"
        )
        if mode not in {ISOLATED, CROSS, PORTFOLIO}:
            raise AnswerInvalid(f"account info: marginMode {mode[:40]!r} is not known")
        open_positions = {quote: await self._positions(session, quote) for quote in SETTLED_IN}
        wallet = await self._wallet(session)
        accounts: list[ExchangeAccount] = []
        for quote, positions in open_positions.items():
            if mode == ISOLATED:
                accounts += [_isolated(row, quote) for row in positions]
            elif positions:
                accounts.append(_shared(positions, quote, wallet, mode=mode))
        tiers = {
            row["symbol"]: await self._tiers(session, row["symbol"])
            for positions in open_positions.values()
            for row in positions
        }
        terms = {
            quote: {"quote": quote, "symbols": {r["symbol"]: tiers[r["symbol"]] for r in positions}}
            for quote, positions in open_positions.items()
            if positions
        }
        return Snapshot(at=at, accounts=tuple(accounts), terms=terms)

    async def _positions(self, session: Session, quote: str) -> list[dict[str, Any]]:
        """Return every open position that settles in an asset, page by page."""
        positions: list[dict[str, Any]] = []
        wish = {"category": "linear", "settleCoin": quote, "limit": PAGE}
        for _ in range(MOST_PAGES):
            page = _result(await session.ask("privateGetV5PositionList", wish), "position list")
            positions += rows(page.get("list"), "position list")
            if not page.get("nextPageCursor"):
                return [row for row in positions if number(row, "size", "position list")]
            wish = {**wish, "cursor": page["nextPageCursor"]}
        raise AnswerInvalid(f"position list does not end after {MOST_PAGES} pages")

    async def _wallet(self, session: Session) -> dict[str, Any]:
        """Return the unified account's wallet."""
        answer = _result(
            await session.ask("privateGetV5AccountWalletBalance", {"accountType": "UNIFIED"}),
            "wallet-balance",
        )
        wallets = rows(answer.get("list"), "wallet-balance")
        if len(wallets) != 1:
            raise AnswerInvalid("wallet-balance holds no unified account")
        return wallets[0]

    async def _tiers(self, session: Session, symbol: str) -> list[dict[str, Any]]:
        """Return the risk limits of a symbol as the rulebook's brackets."""

        async def ask() -> list[dict[str, Any]]:
            wish = {"category": "linear", "symbol": symbol}
            answer = _result(await session.ask("publicGetV5MarketRiskLimit", wish), "risk-limit")
            return rows(answer.get("list"), f"risk-limit {symbol}")

        return _brackets(await session.cached(f"tiers {symbol}", TERMS_SECONDS, ask), symbol)

    def watches(self, session: Session, instruments: Sequence[str]) -> tuple[Watch, ...]:
        """Return the streams of marks and of the account."""

        async def marks() -> Marks:
            symbols = list((await session.symbols(instruments)).values())
            tickers = await session.translated(session.client.watch_tickers(symbols))
            infos = [ticker["info"] for ticker in tickers.values()]
            return {i["symbol"]: Fraction(i["markPrice"]) for i in infos if i.get("markPrice")}

        async def account() -> None:
            await session.translated(session.client.watch_positions())

        return (marks, account) if instruments else (account,)


def _result(answer: Any, where: str) -> dict[str, Any]:
    """Return the result of an answer."""
    return object_of(object_of(answer, where).get("result"), where)


def _brackets(limits: Sequence[Row], symbol: str) -> list[dict[str, Any]]:
    """Return risk limits, each up to its value, as brackets from their floors."""
    ordered = sorted(limits, key=lambda row: number(row, "riskLimitValue", symbol))
    if not ordered:
        raise AnswerInvalid(f"risk-limit of {symbol} is empty")
    floor, brackets = "0", []
    for row in ordered:
        number(row, "maintenanceMargin", symbol)
        brackets.append(
            {
                "floor": floor,
                "rate": str(row["maintenanceMargin"]),
                "deduction": figure(row, "mmDeduction") or "0",
                "max_leverage": int(number(row, "maxLeverage", symbol)),
            }
        )
        floor = str(row["riskLimitValue"])
    return brackets


def _position(row: Row) -> Leg:
    """Return a position's leg: what was bought is held, what was sold is owed."""
    symbol, side = text(row, "symbol", "position list"), row.get("side")
    if side not in {"Buy", "Sell"}:
        raise AnswerInvalid(f"position list: side of {symbol} is neither Buy nor Sell")
    size = number(row, "size", symbol)
    return Leg(
        kind=LegKind.POSITION,
        asset=symbol,
        quantity=size if side == "Buy" else -size,
        entry=number(row, "avgPrice", symbol),
    )


def _figures(row: Row, leg: int) -> tuple[VenueFigure, ...]:
    """Return what the venue says of one position."""
    named = {
        "maintenance_margin": "positionMM",
        "liquidation_price": "liqPrice",
        "initial_margin": "positionIM",
        "bankruptcy_price": "bustPrice",
    }
    return figures_of(row, named, leg)


def _isolated(row: Row, quote: str) -> ExchangeAccount:
    """Return the account that an isolated position is by itself."""
    symbol = text(row, "symbol", "position list")
    margin = number(row, "positionBalance", symbol)
    return ExchangeAccount(
        name=f"{quote}:{symbol}:{row.get('positionIdx', '0')}",
        quote=quote,
        legs=(cash_leg(quote, margin), _position(row)),
        options=whole_leverage(row, "leverage", symbol),
        marks={symbol: number(row, "markPrice", symbol)},
        figures=(*figures_of(row, {"wallet": "positionBalance"}), *_figures(row, 1)),
    )


def _shared(positions: Sequence[Row], quote: str, wallet: Row, *, mode: str) -> ExchangeAccount:
    """Return the unified account, as far as positions that settle in one asset see it."""
    coins = {row.get("coin"): row for row in rows(wallet.get("coin"), "wallet-balance")}
    coin: Mapping[str, Any] = coins.get(quote, {})
    cash = number(coin, "walletBalance", quote) if coin else Fraction(0)
    legs = [_position(row) for row in positions]
    named = {
        "equity": "totalMarginBalance",
        "maintenance_margin": "totalMaintenanceMargin",
        "initial_margin": "totalInitialMargin",
        "available": "totalAvailableBalance",
        "maintenance_rate": "accountMMRate",
    }
    figures = [
        *figures_of(wallet, named),
        *figures_of(coin, {"open_orders_margin": "totalOrderIM"}),
    ]
    leverages: dict[str, int] = {}
    for place, row in enumerate(positions, start=1):
        figures += _figures(row, place)
        leverages |= whole_leverage(row, "leverage", row["symbol"])
    modes = {"cross": 1, **({"portfolio_margin": 1} if mode == PORTFOLIO else {})}
    return ExchangeAccount(
        name=f"{quote}:cross",
        quote=quote,
        legs=(cash_leg(quote, cash), *legs),
        options={**modes, **leverages},
        marks={r["symbol"]: number(r, "markPrice", r["symbol"]) for r in positions},
        figures=tuple(figures),
    )
