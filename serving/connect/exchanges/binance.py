"""Binance USD-M futures: cross accounts by margin asset, and isolated positions.

References
----------
Binance Open Platform, USD-M futures: position information v3, account information v3, symbol
configuration, notional and leverage brackets, account configuration; wallet: API key permission;
user data streams. Read 2026-11.
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
    Keyed,
    Marks,
    Row,
    Snapshot,
    VenueFigure,
    Watch,
    cash_leg,
    figure,
    flag,
    number,
    object_of,
    rows,
    text,
    unmoved,
)

HARMLESS = frozenset({"enableReading", "enableFixReadOnly"})
"""What a key may be allowed; every other right that is granted, known or new, is refused."""

MUST_TELL = ("enableWithdrawals", "enableFutures", "enableSpotAndMarginTrading")
"""Rights that an answer has to speak of: one that does not tells nothing of the key."""

WHOLE = {
    "wallet": ("crossWalletBalance", "totalCrossWalletBalance"),
    "open_orders_margin": ("openOrderInitialMargin", "totalOpenOrderInitialMargin"),
    "available": ("availableBalance", "availableBalance"),
}
"""Figures of a cross account: of one asset, and of all together."""


class Binance:
    """Reads USD-M futures."""

    rulebook = ("binance-usdm", "2026-09")
    seconds = 30.0

    async def verify(self, session: Session) -> None:
        """Compare the clocks, and refuse a key that can do more than read."""
        now = object_of(await session.ask("fapiPublicGetTime"), "time")
        session.must_agree(number(now, "serverTime", "time") / 1000)
        may = object_of(await session.ask("sapiGetAccountApiRestrictions"), "apiRestrictions")
        if not flag(may, "enableReading", "apiRestrictions"):
            raise KeyTooStrong("binance-usdm: the key is not allowed to read")
        for name in MUST_TELL:
            flag(may, name, "apiRestrictions")
        rights = [
            name
            for name, value in may.items()
            if name.startswith(("enable", "permits")) and name not in HARMLESS
            if value not in (None, False, "false")
        ]
        if rights:
            raise KeyTooStrong(f"binance-usdm: the key is allowed {', '.join(rights)}")

    async def read(self, session: Session, at: datetime) -> Snapshot:
        """Return all accounts."""
        mode = object_of(await session.ask("fapiPrivateGetAccountConfig"), "accountConfig")

        async def positions() -> Keyed:
            answer = await session.ask("fapiPrivateV3GetPositionRisk")
            open_positions = [
                r for r in rows(answer, "positionRisk") if number(r, "positionAmt", "positionRisk")
            ]
            names = ("symbol", "positionSide", "positionAmt", "entryPrice", "isolatedWallet")
            return Keyed(
                open_positions, [tuple(row.get(name) for name in names) for row in open_positions]
            )

        async def account() -> Any:
            return object_of(await session.ask("fapiPrivateV3GetAccount"), "account")

        open_positions, wallet = await unmoved(positions, account)
        symbols = {text(row, "symbol", "positionRisk") for row in open_positions.rows}
        brackets = await self._brackets(session, symbols)
        config = {
            text(row, "symbol", "symbolConfig"): row
            for row in rows(await session.ask("fapiPrivateGetSymbolConfig"), "symbolConfig")
        }
        missing = sorted(symbols - config.keys())
        if missing:
            raise AnswerInvalid(f"symbolConfig lacks {', '.join(missing[:5])}")
        is_multi = flag(mode, "multiAssetsMargin", "accountConfig")
        accounts = list(_isolated(open_positions.rows, config))
        accounts += _cross(open_positions.rows, config, wallet, is_multi=is_multi)
        terms = {each.quote: {"quote": each.quote, "symbols": brackets} for each in accounts}
        return Snapshot(at=at, accounts=tuple(accounts), terms=terms)

    async def _brackets(self, session: Session, symbols: set[str]) -> dict[str, Any]:
        """Return the brackets of symbols as the rulebook's terms; of one adjusted none."""

        async def ask() -> dict[str, Any]:
            answer = rows(await session.ask("fapiPrivateGetLeverageBracket"), "leverageBracket")
            return {text(row, "symbol", "leverageBracket"): row for row in answer}

        listed = await session.cached("brackets", TERMS_SECONDS, ask)
        if symbols - listed.keys():
            session.forget()
            listed = await session.cached("brackets", TERMS_SECONDS, ask)
        missing = sorted(symbols - listed.keys())
        if missing:
            raise AnswerInvalid(f"leverageBracket lacks {', '.join(missing[:5])}")
        return {symbol: _tiers(listed[symbol]) for symbol in sorted(symbols)}

    def watches(self, session: Session, instruments: Sequence[str]) -> tuple[Watch, ...]:
        """Return the streams of marks and of the account."""

        async def marks() -> Marks:
            symbols = list((await session.symbols(instruments)).values())
            tickers = await session.translated(session.client.watch_mark_prices(symbols))
            return {t["info"]["s"]: Fraction(str(t["info"]["p"])) for t in tickers.values()}

        async def account() -> None:
            await session.translated(session.client.watch_balance({"type": "future"}))

        return (marks, account) if instruments else (account,)


def _tiers(row: Row) -> list[dict[str, Any]]:
    """Return brackets as the rulebook takes them.

    What the venue multiplied for one account (`notionalCoef`) is refused: whether the brackets
    that it tells are the ones before or after is not established. No bracket, no judgement.
    """
    symbol = row["symbol"]
    if number(row, "notionalCoef", symbol) != 1 if row.get("notionalCoef") is not None else False:
        return []
    tiers = [
        {
            "floor": str(each["notionalFloor"]),
            "rate": str(each["maintMarginRatio"]),
            "deduction": str(each["cum"]),
            "max_leverage": int(number(each, "initialLeverage", symbol)),
        }
        for each in rows(row.get("brackets"), f"leverageBracket {symbol}")
        if [number(each, name, symbol) for name in ("notionalFloor", "maintMarginRatio", "cum")]
    ]
    return sorted(tiers, key=lambda tier: Fraction(str(tier["floor"])))


def _position(row: Row) -> Leg:
    """Return a position's leg."""
    symbol = text(row, "symbol", "positionRisk")
    return Leg(
        kind=LegKind.POSITION,
        asset=symbol,
        quantity=number(row, "positionAmt", symbol),
        entry=number(row, "entryPrice", symbol),
    )


def _figures(row: Row, leg: int) -> tuple[VenueFigure, ...]:
    """Return what the venue says of one position."""
    shown = {
        "maintenance_margin": figure(row, "maintMargin"),
        "liquidation_price": _above_zero(row, "liquidationPrice"),
        "initial_margin": figure(row, "positionInitialMargin"),
        "open_orders_margin": figure(row, "openOrderInitialMargin"),
    }
    return tuple(VenueFigure(name=name, theirs=said, leg=leg) for name, said in shown.items())


def _above_zero(row: Row, name: str) -> str | None:
    """Return a price as text; None where the venue says 0, which stands for none."""
    said = figure(row, name)
    return None if said is None or Fraction(said) <= 0 else said


def _isolated(open_positions: Sequence[Row], config: Mapping[str, Row]) -> list[ExchangeAccount]:
    """Return an account for every isolated position."""
    accounts = []
    for row in open_positions:
        symbol = text(row, "symbol", "positionRisk")
        if config[symbol].get("marginType") != "ISOLATED":
            continue
        quote, side = text(row, "marginAsset", symbol), text(row, "positionSide", symbol)
        wallet = number(row, "isolatedWallet", symbol)
        accounts.append(
            ExchangeAccount(
                name=f"{quote}:{symbol}:{side}",
                quote=quote,
                legs=(cash_leg(quote, wallet), _position(row)),
                options=_leverages([row], config),
                marks={symbol: number(row, "markPrice", symbol)},
                figures=(
                    VenueFigure(name="wallet", theirs=figure(row, "isolatedWallet")),
                    *_figures(row, 1),
                ),
            )
        )
    return accounts


def _cross(
    open_positions: Sequence[Row], config: Mapping[str, Row], wallet: Row, *, is_multi: bool
) -> list[ExchangeAccount]:
    """Return a cross account for every margin asset with a wallet or a position.

    In multi-assets mode all wallets are margin together: one account, which is refused.
    """
    shared = [
        r
        for r in open_positions
        if config[text(r, "symbol", "positionRisk")]["marginType"] != "ISOLATED"
    ]
    assets = {
        text(row, "asset", "account"): row for row in rows(wallet.get("assets"), "account assets")
    }
    missing = {text(row, "marginAsset", "positionRisk") for row in shared} - assets.keys()
    if missing:
        raise AnswerInvalid(f"account lacks the wallet of {', '.join(sorted(missing))}")
    groups: list[tuple[str, Mapping[str, Row], list[Row]]]
    if is_multi:
        groups = [("USD", assets, shared)]
    else:
        groups = [
            (quote, {quote: row}, [r for r in shared if r["marginAsset"] == quote])
            for quote, row in sorted(assets.items())
        ]
    accounts = []
    for quote, wallets, positions in groups:
        cash = [
            cash_leg(name, number(row, "crossWalletBalance", name))
            for name, row in wallets.items()
            if number(row, "crossWalletBalance", name)
        ]
        if not cash and not positions:
            continue
        whole = wallet if is_multi else wallets[quote]
        figures = [
            VenueFigure(name=name, theirs=figure(whole, field[is_multi]))
            for name, field in WHOLE.items()
        ]
        for place, row in enumerate(positions, start=len(cash)):
            figures += _figures(row, place)
        accounts.append(
            ExchangeAccount(
                name=f"{quote}:cross",
                quote=quote,
                legs=(*cash, *(_position(row) for row in positions)),
                options={"cross": 1, **_leverages(positions, config), **_mode(is_multi)},
                marks={r["symbol"]: number(r, "markPrice", r["symbol"]) for r in positions},
                figures=tuple(figures),
            )
        )
    return accounts


def _mode(is_multi: bool) -> dict[str, int]:  # noqa: FBT001 - an option's value
    """Return the option of multi-assets mode."""
    return {"multi_assets": 1} if is_multi else {}


def _leverages(positions: Sequence[Row], config: Mapping[str, Row]) -> dict[str, int]:
    """Return the leverage chosen by symbol."""
    symbols = [row["symbol"] for row in positions]
    return {f"{s}.leverage": int(number(config[s], "leverage", s)) for s in symbols}
