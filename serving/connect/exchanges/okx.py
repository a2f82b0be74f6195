"""OKX perpetual swaps settled in USDT or USDC: isolated positions, and the cross account.

References
----------
OKX API v5: get positions, get balance, get account configuration, get position tiers, get
instruments; positions and mark-price channels. Read 2026-11.
"""

from collections.abc import Sequence
from datetime import datetime
from fractions import Fraction
from typing import Any

from models.domain import Leg, LegKind
from serving.connect.errors import AnswerInvalid, KeyTooStrong, UnknownInstrument
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
    figures_of,
    number,
    object_of,
    rows,
    text,
    whole_leverage,
)

PORTFOLIO_LEVEL = "4"
"""Account level of portfolio margin."""


class Okx:
    """Reads linear perpetual swaps."""

    rulebook = ("okx-swap", "isolated-flat")
    seconds = 30.0

    async def verify(self, session: Session) -> None:
        """Compare the clocks, and refuse a key that can do more than read."""
        (now,) = _data(await session.ask("publicGetPublicTime"), "time", is_single=True)
        session.must_agree(number(now, "ts", "time") / 1000)
        (config,) = _data(await session.ask("privateGetAccountConfig"), "config", is_single=True)
        granted = {part.strip() for part in text(config, "perm", "account config").split(",")}
        if granted != {"read_only"}:
            raise KeyTooStrong(f"okx: the key is allowed {', '.join(sorted(granted))[:80]}")

    async def read(self, session: Session, at: datetime) -> Snapshot:
        """Return all accounts."""
        (config,) = _data(await session.ask("privateGetAccountConfig"), "config", is_single=True)
        wish = {"instType": "SWAP"}
        answer = _data(await session.ask("privateGetAccountPositions", wish), "positions")
        open_positions = [row for row in answer if number(row, "pos", "positions")]
        listed = await self._instruments(
            session, {text(r, "instId", "positions") for r in open_positions}
        )
        (balance,) = _data(await session.ask("privateGetAccountBalance"), "balance", is_single=True)
        tiers = {
            (row["instId"], row["mgnMode"]): await self._tiers(session, row, listed[row["instId"]])
            for row in open_positions
        }
        accounts = [
            _isolated(row, listed[row["instId"]])
            for row in open_positions
            if row["mgnMode"] == "isolated"
        ]
        shared = [row for row in open_positions if row["mgnMode"] != "isolated"]
        is_portfolio = str(config.get("acctLv")) == PORTFOLIO_LEVEL
        for quote in sorted({listed[row["instId"]]["settleCcy"] for row in shared}):
            mine = [row for row in shared if listed[row["instId"]]["settleCcy"] == quote]
            accounts.append(_cross(mine, listed, balance, quote, is_portfolio=is_portfolio))
        terms: dict[str, dict[str, Any]] = {}
        for (instrument, _), brackets in tiers.items():
            quote = listed[instrument]["settleCcy"]
            body = terms.setdefault(quote, {"quote": quote, "symbols": {}})
            body["symbols"][instrument] = brackets
        return Snapshot(at=at, accounts=tuple(accounts), terms=terms)

    async def _instruments(self, session: Session, names: set[str]) -> dict[str, dict[str, Any]]:
        """Return instruments by name; a contract of several coins or inverse is refused."""

        async def ask() -> dict[str, dict[str, Any]]:
            wish = {"instType": "SWAP"}
            answer = _data(await session.ask("publicGetPublicInstruments", wish), "instruments")
            return {text(row, "instId", "instruments"): row for row in answer}

        listed = await session.cached("instruments", TERMS_SECONDS, ask)
        if names - listed.keys():
            session.forget()
            listed = await session.cached("instruments", TERMS_SECONDS, ask)
        if names - listed.keys():
            raise UnknownInstrument(f"okx lists no swap {', '.join(sorted(names - listed.keys()))}")
        return {name: listed[name] for name in names}

    async def _tiers(self, session: Session, row: Row, listed: Row) -> list[dict[str, Any]]:
        """Return the position tier of an instrument as a bracket; of several, none."""
        mode, family = text(row, "mgnMode", "positions"), text(listed, "instFamily", "instruments")

        async def ask() -> list[dict[str, Any]]:
            wish = {"instType": "SWAP", "tdMode": mode, "instFamily": family}
            return _data(await session.ask("publicGetPublicPositionTiers", wish), "position-tiers")

        answer = await session.cached(f"tiers {family} {mode}", TERMS_SECONDS, ask)
        if not answer:
            raise AnswerInvalid(f"position-tiers of {family} is empty")
        if len(answer) != 1:
            # Counted in contracts, and not established: no bracket, no judgement.
            return []
        (tier,) = answer
        number(tier, "mmr", family)
        leverage = int(number(tier, "maxLever", family))
        return [{"floor": "0", "rate": str(tier["mmr"]), "max_leverage": leverage}]

    def watches(self, session: Session, instruments: Sequence[str]) -> tuple[Watch, ...]:
        """Return the streams of marks and of the account."""

        async def marks() -> Marks:
            symbols = list((await session.symbols(instruments)).values())
            tickers = await session.translated(session.client.watch_mark_prices(symbols))
            infos = [ticker["info"] for ticker in tickers.values()]
            return {i["instId"]: Fraction(i["markPx"]) for i in infos}

        async def account() -> None:
            await session.translated(session.client.watch_positions())

        return (marks, account) if instruments else (account,)


def _data(answer: Any, where: str, *, is_single: bool = False) -> list[dict[str, Any]]:
    """Return the data of an answer."""
    data = rows(object_of(answer, where).get("data"), where)
    if is_single and len(data) != 1:
        raise AnswerInvalid(f"{where} holds {len(data)} objects, not one")
    return data


def _contract(listed: Row) -> Fraction:
    """Return the coins of one contract; raises `UnknownInstrument` for inverse ones."""
    name = text(listed, "instId", "instruments")
    if listed.get("ctType") != "linear":
        raise UnknownInstrument(f"okx: {name} is no linear swap")
    return number(listed, "ctVal", name) * number(listed, "ctMult", name)


def _position(row: Row, listed: Row) -> Leg:
    """Return a position's leg, in coins."""
    name = text(row, "instId", "positions")
    count, side = number(row, "pos", name), text(row, "posSide", name)
    if side not in {"net", "long", "short"}:
        raise AnswerInvalid(f"positions: posSide {side[:20]!r} of {name} is not known")
    signed = count if side == "net" else abs(count) * (1 if side == "long" else -1)
    return Leg(
        kind=LegKind.POSITION,
        asset=name,
        quantity=signed * _contract(listed),
        entry=number(row, "avgPx", name),
    )


def _figures(row: Row, leg: int) -> tuple[VenueFigure, ...]:
    """Return what the venue says of one position."""
    named = {
        "maintenance_margin": "mmr",
        "liquidation_price": "liqPx",
        "initial_margin": "imr",
        "margin_ratio": "mgnRatio",
    }
    return figures_of(row, named, leg)


def _isolated(row: Row, listed: Row) -> ExchangeAccount:
    """Return the account that an isolated position is by itself."""
    name, quote = text(row, "instId", "positions"), text(listed, "settleCcy", "instruments")
    margin = number(row, "margin", name)
    return ExchangeAccount(
        name=f"{quote}:{name}:{text(row, 'posSide', name)}",
        quote=quote,
        legs=(cash_leg(quote, margin), _position(row, listed)),
        options=whole_leverage(row, "lever", name),
        marks={name: number(row, "markPx", name)},
        figures=(*figures_of(row, {"wallet": "margin"}), *_figures(row, 1)),
    )


def _cross(
    open_positions: Sequence[Row],
    listed: dict[str, dict[str, Any]],
    balance: Row,
    quote: str,
    *,
    is_portfolio: bool,
) -> ExchangeAccount:
    """Return the cross account of one settlement asset."""
    details = {row.get("ccy"): row for row in rows(balance.get("details"), "balance")}
    if quote not in details:
        raise AnswerInvalid(f"balance lacks {quote}")
    cash = number(details[quote], "cashBal", quote)
    named = {
        "equity": "eq",
        "maintenance_margin": "mmr",
        "initial_margin": "imr",
        "available": "availEq",
        "open_orders_margin": "frozenBal",
    }
    figures = list(figures_of(details[quote], named))
    leverages: dict[str, int] = {}
    for place, row in enumerate(open_positions, start=1):
        figures += _figures(row, place)
        leverages |= whole_leverage(row, "lever", row["instId"])
    legs = [_position(row, listed[row["instId"]]) for row in open_positions]
    return ExchangeAccount(
        name=f"{quote}:cross",
        quote=quote,
        legs=(cash_leg(quote, cash), *legs),
        options={"cross": 1, **({"portfolio_margin": 1} if is_portfolio else {}), **leverages},
        marks={row["instId"]: number(row, "markPx", row["instId"]) for row in open_positions},
        figures=tuple(figures),
    )
