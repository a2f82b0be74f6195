"""Deribit: what each currency's account holds, with the venue's own figures.

The rules of its margin models are not established here: its accounts are shown, not judged.

References
----------
docs.deribit.com: public/auth, public/get_time, private/get_positions,
private/get_account_summaries; channels user.portfolio and ticker. Read 2026-11.
"""

from collections.abc import Sequence
from datetime import datetime
from fractions import Fraction

from models.domain import Leg, LegKind
from serving.connect.errors import AnswerInvalid, KeyTooStrong
from serving.connect.exchanges.client import Session
from serving.connect.exchanges.reading import (
    ExchangeAccount,
    Marks,
    Row,
    Snapshot,
    Watch,
    cash_leg,
    figures_of,
    number,
    object_of,
    rows,
    text,
)

NEEDED = ("account:read", "trade:read")
STRONG = ("read_write", ":custom")


class Deribit:
    """Reads futures, perpetuals and options."""

    rulebook = ("deribit", "unestablished")
    seconds = 30.0

    async def verify(self, session: Session) -> None:
        """Compare the clocks, and refuse a key whose scope holds more than reading."""
        now = object_of(await session.ask("publicGetGetTime"), "get_time")
        session.must_agree(number(now, "result", "get_time") / 1000)
        answer = object_of(await session.ask("publicGetAuth", session.login()), "auth")
        scope = text(object_of(answer.get("result"), "auth"), "scope", "auth").split()
        strong = [part for part in scope if any(mark in part for mark in STRONG)]
        if strong:
            raise KeyTooStrong(f"deribit: the key is allowed {', '.join(strong)}")
        missing = [part for part in NEEDED if part not in scope]
        if missing:
            raise KeyTooStrong(f"deribit: the key is not allowed {', '.join(missing)}")

    async def read(self, session: Session, at: datetime) -> Snapshot:
        """Return the account of every currency that holds anything."""
        answer = object_of(await session.ask("privateGetGetAccountSummaries"), "summaries")
        summaries = object_of(answer.get("result"), "summaries")
        accounts = []
        for summary in rows(summaries.get("summaries"), "summaries"):
            currency = text(summary, "currency", "summaries")
            answer = await session.ask("privateGetGetPositions", {"currency": currency})
            open_positions = rows(object_of(answer, "positions").get("result"), "positions")
            open_positions = [row for row in open_positions if number(row, "size", "positions")]
            if open_positions or number(summary, "balance", currency):
                accounts.append(_account(summary, open_positions, currency))
        session.client.options["currencies"] = [each.quote for each in accounts]
        terms = {each.quote: {"quote": each.quote} for each in accounts}
        return Snapshot(at=at, accounts=tuple(accounts), terms=terms)

    def watches(self, session: Session, instruments: Sequence[str]) -> tuple[Watch, ...]:
        """Return the streams of marks and of the account."""

        async def marks() -> Marks:
            symbols = list((await session.symbols(instruments)).values())
            tickers = await session.translated(session.client.watch_tickers(symbols))
            infos = [ticker["info"] for ticker in tickers.values()]
            return {i["instrument_name"]: Fraction(str(i["mark_price"])) for i in infos}

        async def account() -> None:
            await session.translated(session.client.watch_balance())

        return (marks, account) if instruments else (account,)


def _position(row: Row) -> Leg:
    """Return a position's leg: contracts in the venue's units, short below 0."""
    name, side = text(row, "instrument_name", "positions"), row.get("direction")
    if side not in {"buy", "sell"}:
        raise AnswerInvalid(f"positions: direction of {name} is neither buy nor sell")
    size, paid = abs(number(row, "size", name)), number(row, "average_price", name)
    return Leg(
        kind=LegKind.POSITION,
        asset=name,
        quantity=size if side == "buy" else -size,
        entry=paid if paid > 0 else None,
    )


def _account(summary: Row, open_positions: Sequence[Row], currency: str) -> ExchangeAccount:
    """Return the account of one currency."""
    named = {
        "equity": "equity",
        "maintenance_margin": "maintenance_margin",
        "initial_margin": "initial_margin",
        "margin_balance": "margin_balance",
        "available": "available_funds",
        "margin_model": "margin_model",
    }
    figures = list(figures_of(summary, named))
    per_leg = {
        "maintenance_margin": "maintenance_margin",
        "liquidation_price": "estimated_liquidation_price",
        "initial_margin": "initial_margin",
        "open_orders_margin": "open_orders_margin",
    }
    for place, row in enumerate(open_positions, start=1):
        figures += figures_of(row, per_leg, place)
    balance = number(summary, "balance", currency)
    return ExchangeAccount(
        name=currency,
        quote=currency,
        legs=(cash_leg(currency, balance), *(_position(row) for row in open_positions)),
        options={},
        marks={r["instrument_name"]: number(r, "mark_price", "positions") for r in open_positions},
        figures=tuple(figures),
    )
