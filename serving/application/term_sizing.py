"""Values of limits that follow from rules: the market's conditions, and what each rule says."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np

from models.book.impact import ImpactCurve
from models.book.scenarios import Bars, volatility
from models.parameters import sizing
from models.parameters.bounds import StepBound, bound_of
from models.parameters.catalogue import CATALOGUE, Role, find
from models.parameters.changes import Change, value_at
from models.parameters.remarks import Remark
from models.parameters.sizing import Conditions
from models.parameters.usage import used
from serving.application import term_preview
from serving.application.book_figures import book_figures
from serving.application.book_risk import PAST, curves_of, on_one_grid
from serving.application.term_book import TermBook
from serving.store import Transaction, market
from serving.store.impact import newest

LAR = ("lar", "24h", "expected", "0.99")
SIZED = frozenset(
    {
        Role.LTV,
        Role.BONUS,
        Role.SUPPLY_CAP,
        Role.BORROW_CAP,
        Role.DEBT_CEILING,
        Role.TIERS,
    }
)
"""What changes no verdict, or is no number: it follows from a rule instead of a search."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sized:
    """What a rule says of a parameter.

    Parameters
    ----------
    value
        In the rulebook's numbers; None where the rule says nothing.
    rule
        Its name.
    why
        What it rests on, or lacks.
    """

    value: Any
    rule: str
    why: tuple[Remark, ...]


class Sizer:
    """The rules over a store's market at the moment of a book.

    Parameters
    ----------
    fees
        Share of a sale that liquidators pay.
    lar_limit
        USD of LaR 99 within a day, as owners act, from which limits are only tightened.
    """

    def __init__(
        self, transaction: Transaction, book: TermBook, *, fees: float, lar_limit: float | None
    ) -> None:
        self._transaction, self._book, self._fees = transaction, book, fees
        self._lar_limit = lar_limit
        self.bounds: tuple[StepBound, ...] = term_preview.in_force(transaction)[0]
        self._conditions: dict[str, Conditions | None] = {}
        self._candles: dict[str, dict[str, Any]] = {}

    @cached_property
    def lar(self) -> float | None:
        """LaR 99 of the newest forecast of the whole book; None where none is fresh."""
        figures = book_figures(self._transaction, at=self._book.at)
        return None if figures is None else figures.losses.get(LAR)

    @cached_property
    def _curves(self) -> Mapping[str, ImpactCurve]:
        at = self._book.at
        return curves_of(newest(self._transaction, at=at), at=at)[0]

    def asset(self, change: Change) -> str:
        """Return the asset that a parameter is about: its own, or what most accounts hold."""
        parts = change.path.split(".")
        holders = self._book.judged.holders
        if len(parts) > 1 and (change.market, parts[1]) in holders:
            return parts[1]
        lone = {
            asset: len(rows)
            for (whose, asset), rows in self._book.judged.lone.items()
            if whose == change.market
        }
        return max(lone, key=lambda name: (lone[name], name)) if lone else ""

    def conditions(self, asset: str) -> Conditions | None:
        """Return how the market of an asset stands; None where candles do not tell."""
        if asset not in self._conditions:
            self._conditions[asset] = self._read(asset)
        return self._conditions[asset]

    def _read(self, asset: str) -> Conditions | None:
        price = self._book.around.prices.get(asset)
        stored = market.candles(self._transaction, [asset], at=self._book.at, lookback=PAST)
        if price is None or asset not in stored:
            return None
        self._candles[asset] = on_one_grid(stored)[asset]
        columns = [self._candles[asset][side][:, np.newaxis] for side in ("close", "high", "low")]
        hourly = volatility(Bars((asset,), *columns))[:, 0]
        try:
            return sizing.conditions(
                hourly, depth=self._curves.get(asset), price=float(price.exact)
            )
        except ValueError:
            return None

    def only_tighter(self, change: Change) -> Remark | None:
        """Return why a parameter may only be tightened; None where it may be loosened too."""
        asset = self.asset(change)
        now = self.conditions(asset)
        if now is None:
            text = f"the volatility of {asset or 'what it is about'} is not known"
            return Remark(code="volatility_unknown", text=text, subject=asset)
        if now.is_stirred:
            return Remark(
                code="market_stirred",
                text=f"{asset} moved by {now.volatility:.1%} a day within the last week, "
                f"usually by {now.usual:.1%}",
                subject=asset,
                values={"volatility": 100 * now.volatility, "usual": 100 * now.usual},
            )
        limit = self._lar_limit
        if limit is not None and self.lar is None:
            text = f"LaR 99 is not known, the limit {limit:,.0f}"
            return Remark(code="lar_unknown", text=text, values={"limit": float(limit)})
        if limit is not None and self.lar is not None and self.lar > limit:
            return Remark(
                code="lar_above_limit",
                text=f"LaR 99 is {self.lar:,.0f} USD, the limit {limit:,.0f}",
                values={"lar": float(round(self.lar)), "limit": float(limit)},
            )
        return None

    def sized(self, change: Change) -> Sized:
        """Return what the rule of a parameter's role says."""
        role, now = change.parameter.role, self.conditions(self.asset(change))
        rule = {
            Role.LTV: "smart_ltv",
            Role.BONUS: "sale",
            Role.SUPPLY_CAP: "sellable",
            Role.TIERS: "moves",
        }.get(role, "auto_line")
        if rule == "auto_line":
            return self._ceiling(change)
        if now is None:
            asset = self.asset(change)
            lacking = Remark(code="no_volatility", text=f"no volatility of {asset}", subject=asset)
            return Sized(value=None, rule=rule, why=(lacking,))
        if role is Role.TIERS:
            return self._tiers(change, now)
        share, why = self._share(change, now)
        if share is None:
            return Sized(value=None, rule=rule, why=(why,))
        return Sized(value=int(share * change.parameter.unit), rule=rule, why=(why,))

    def _share(self, change: Change, now: Conditions) -> tuple[Fraction | None, Remark]:
        """Return a loan to value, a bonus or a cap, and on what it rests."""
        bonus, asset = self._beside(change, Role.BONUS), self.asset(change)
        if now.depth is None:
            text = f"no quotes of what selling {asset} costs"
            return None, Remark(code="no_quotes", text=text, subject=asset)
        if change.parameter.role is Role.BONUS:
            units = self._largest(change)
            needed = sizing.bonus_needed(now, units=units, fees=self._fees) or 0.0
            over = 1 if change.share_before > 1 else 0
            return Fraction(needed).limit_denominator(10**9) + over, Remark(
                code="largest_sale",
                text=f"the largest account sells {units:,.6g} {asset}",
                subject=asset,
                values={"units": float(units)},
            )
        if bonus is None:
            return None, Remark(code="no_bonus", text="no bonus stands beside it")
        if change.parameter.role is Role.SUPPLY_CAP:
            units = sizing.supply_cap(now, bonus=bonus, fees=self._fees) or 0.0
            scale = self._scale(change)
            return Fraction(int(units) * scale), Remark(
                code="sellable_within_bonus",
                text=f"{units:,.6g} {asset} can be sold within the bonus of {bonus:.2%}",
                subject=asset,
                values={"units": float(units), "bonus": 100 * bonus},
            )
        cap = self._beside(change, Role.SUPPLY_CAP) or self._whole(change)
        ltv = sizing.loan_to_value(now, bonus=bonus, cap=float(cap))
        if ltv is None:
            text = "neither a cap nor a holding stands beside it"
            return None, Remark(code="no_cap_or_holding", text=text)
        return Fraction(max(ltv, 0.0)).limit_denominator(10**9), Remark(
            code="ltv_rests_on",
            text=f"volatility {now.volatility:.2%} a day, cap {float(cap):,.6g}, bonus {bonus:.2%}",
            values={
                "volatility": 100 * now.volatility,
                "cap": float(cap),
                "bonus": 100 * bonus,
            },
        )

    def _ceiling(self, change: Change) -> Sized:
        """Return a ceiling that follows what is owed."""
        standing = used(self._book.judged, change)
        if standing is None:
            lacking = Remark(code="owed_unknown", text="what is owed under it is not known")
            return Sized(value=None, rule="auto_line", why=(lacking,))
        bound = bound_of(change, self.bounds)
        up = Fraction(1) if bound is None or bound.up is None else bound.up
        wait = 0 if bound is None else int(bound.every.total_seconds())
        last = term_preview.last_changes(self._transaction, [change])
        risen = last.get(term_preview.subject_of(change))
        since = None if risen is None else int((self._book.at - risen).total_seconds())
        most = int(change.before * (1 + up))
        value = sizing.ceiling(int(change.before), standing, most=most, wait=wait, since_rise=since)
        owed = float(standing)
        why = Remark(
            code="owed_under_it", text=f"{owed:,.6g} is owed under it", values={"owed": owed}
        )
        return Sized(value=value, rule="auto_line", why=(why,))

    def _tiers(self, change: Change, now: Conditions) -> Sized:
        """Return a table that covers the moves of an hour, scaled to the volatility of now."""
        columns = self._candles[self.asset(change)]
        before = columns["close"][:-1]
        falls = 1.0 - columns["low"][1:] / before
        rises = columns["high"][1:] / before - 1.0
        moves = np.maximum(falls, rises)
        moves = moves[np.isfinite(moves)] * (now.volatility / now.usual)
        value = sizing.tier_table(change.before, now, np.maximum(moves, 0.0))
        why = Remark(
            code="volatility_of_now",
            text=f"volatility {now.volatility:.2%}, usually {now.usual:.2%}",
            values={"volatility": 100 * now.volatility, "usual": 100 * now.usual},
        )
        return Sized(value=value, rule="moves", why=(why,))

    def _beside(self, change: Change, role: Role) -> float | None:
        """Return another parameter of the same group, as a share or in whole units."""
        group, terms = change.path.rpartition(".")[0], self._book.judged.terms[change.market]
        for parameter in CATALOGUE.get(change.market.venue, ()):
            name = parameter.path.rpartition(".")[2]
            path = f"{group}.{name}" if group and parameter.group else name
            if parameter.role is not role or find(change.market.venue, path) is not parameter:
                continue
            try:
                share = Fraction(value_at(terms, path) or 0) / parameter.unit
            except KeyError:
                continue
            if role is not Role.BONUS:
                return float(share) / self._scale(change) or None
            return float(share - 1 if share > 1 else share)
        return None

    def _scale(self, change: Change) -> int:
        """Return units of a cap per whole unit: a cap may be stated in smallest units."""
        group = change.path.rpartition(".")[0]
        decimals = getattr(
            value_at(self._book.judged.terms[change.market], group), "decimals", None
        )
        in_smallest = change.market.venue == "compound-v3"
        return 10**decimals if in_smallest and decimals is not None else 1

    def _whole(self, change: Change) -> float:
        """Return whole units of the asset that the book holds in a market."""
        return float(sum(self._units(change)))

    def _largest(self, change: Change) -> float:
        """Return whole units of the asset of the account that holds most."""
        return float(max(self._units(change), default=0.0))

    def _units(self, change: Change) -> Sequence[float]:
        """Return whole units of the asset by account, from its credit at the price of now."""
        judged, asset = self._book.judged, self.asset(change)
        column = judged.credit_of.get(asset)
        rows = judged.holders.get((change.market, asset))
        now = self.conditions(asset)
        if column is None or rows is None or now is None:
            return ()
        counts = [
            float(amounts.collateral or 0)
            for amounts in (judged.amounts(int(place)) for place in rows)
        ]
        shares = np.nan_to_num(column[rows]) / np.maximum(judged.credit[rows], 1e-300)
        return [worth * float(part) / now.price for worth, part in zip(counts, shares, strict=True)]
