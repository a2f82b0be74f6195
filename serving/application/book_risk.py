"""The book at risk over a store: shocks at once, forecasts in the background."""

import threading
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any

import msgspec
import numpy as np

from features.inputs import Candles
from models.book.congestion import BlockSpace
from models.book.exceedance import christoffersen, kupiec, zone
from models.book.forecast import Spread, Stopped
from models.book.impact import USD, ImpactCurve, fitted
from models.book.scenarios import Method
from models.errors import Fault, ForewarnError, InvalidInput
from models.horizons import REFERENCE
from models.pegs import is_one, moving
from serving.application.scoring import ScoringService
from serving.application.stored_market import stored_snapshot
from serving.evaluation import inputs
from serving.evaluation.book_forecast import (
    Forecaster,
    forecast_answer,
    forecaster,
    headrooms,
    single_factor,
    unwinding,
)
from serving.evaluation.book_stress import curve_of, stressed
from serving.evaluation.risk_book import (
    RiskBook,
    concentrations,
    debts_of,
    missing_curves,
    oldest,
    priced_in,
    read_book,
)
from serving.schemas import problems, requests
from serving.schemas.assessment import Notice
from serving.schemas.book_risk import (
    HOURS,
    MOST_CELLS,
    MOST_SIZED,
    BlockSpaceAnswer,
    BlockSpaceBody,
    CrowdedAnswer,
    CurveAnswer,
    ForecastBody,
    ForecastStatus,
    RiskPoint,
    Selection,
    StressAnswer,
    StressBody,
    UnjudgedAnswer,
)
from serving.schemas.problems import Refused
from serving.store import (
    Store,
    Transaction,
    accounts,
    assessments,
    block_space,
    book_forecasts,
    changes,
    market,
)
from serving.store.assessments import AccountFilter
from serving.store.block_space import BlockSpaceRow
from serving.store.book_forecasts import BookForecastRow
from serving.store.impact import ImpactQuotes, newest

PAGE = 1_000
MOST_ACCOUNTS = 200_000
MOST_LISTED = 100
STALE = timedelta(days=7)
"""Age from which quotes of impact are told to be old."""

STALE_BLOCKS = timedelta(hours=1)
"""Age from which blocks are told to be old."""

GWEI = Fraction(1, 10**9)
POWERS = (1, 10, 100, 1_000, 10_000)
"""Liquidations due at which a curve of congestion is told."""

LOST = timedelta(minutes=15)
"""Without a word from a forecast for so long, who ran it is gone."""

PAST = timedelta(days=400)
WARM = 4
LEVELS = ("0.95", "0.99")


@dataclass(frozen=True, slots=True)
class ReadBook:
    """A book as it stood, with the curves of its assets.

    Parameters
    ----------
    prices
        USD per unit of every asset that the store prices, held or not.
    """

    at: datetime
    is_simulated: bool
    book: RiskBook
    prices: Mapping[str, Fraction]
    curves: Mapping[str, ImpactCurve]
    answer: tuple[CurveAnswer, ...]


class BookReader:
    """Reads books and keeps the last ones, until anything in the store changes."""

    def __init__(self) -> None:
        self._warm: OrderedDict[tuple[Any, ...], ReadBook] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, transaction: Transaction, selection: Selection, *, now: datetime) -> ReadBook:
        """Return the selected accounts at the clock of the store."""
        at = market.clock(transaction, now=now)
        quotes = newest(transaction, at=at)
        measured = tuple((item.asset, item.quote, item.measured_at, item.quotes) for item in quotes)
        bind = str(transaction.engine.url)
        chosen = selection.model_dump_json()
        hour = at.replace(minute=0, second=0, microsecond=0)
        key = (bind, changes.last(transaction, changes.JUDGED), chosen, measured, hour)
        with self._lock:
            if key in self._warm:
                self._warm.move_to_end(key)
                return self._warm[key]
        result = _read(transaction, selection, quotes, at=at)
        with self._lock:
            self._warm[key] = result
            while len(self._warm) > WARM:
                self._warm.popitem(last=False)
        return result


READER = BookReader()


def _read(
    transaction: Transaction, selection: Selection, quotes: Sequence[ImpactQuotes], *, at: datetime
) -> ReadBook:
    chosen = _chosen(transaction, AccountFilter(**selection.model_dump()))
    bodies = accounts.read(transaction, list(chosen), at=at)
    around = stored_snapshot(transaction, at=at, assets=())
    cases, left = [], []
    for key, body in bodies.items():
        try:
            answer = requests.account({**body, "events": None}, "")
            cases.append(inputs.account_input(answer, "", around))
        except InvalidInput as error:
            left.append(UnjudgedAnswer(key, error.faults[0].message[:200], None))
    prices = {asset: price.exact for asset, price in around.prices.items()}
    acting = {key: chance for key, (chance, _) in chosen.items() if chance is not None}
    holders = {key: owner for key, (_, owner) in chosen.items() if owner is not None}
    curves, curve_answers = curves_of(quotes, at=at)
    bases = priced_in(curves).values()
    book = read_book(cases, prices, acting, also=bases, holders=holders)
    return ReadBook(
        at,
        around.simulated,
        replace(book, unjudged=(*book.unjudged, *left)),
        prices,
        curves,
        curve_answers,
    )


def _chosen(
    transaction: Transaction, chosen: AccountFilter
) -> dict[str, tuple[float | None, str | None]]:
    """Return how likely each account is liquidated once exposed, and whose it is.

    None where nobody forecast it, and where no owner is known.
    """
    result: dict[str, tuple[float | None, str | None]] = {}
    after: tuple[float | None, str] | None = None
    while len(result) <= MOST_ACCOUNTS:
        part = assessments.explore(transaction, chosen, after=after, limit=PAGE)
        for item in part:
            judged = item.assessed
            alone = (judged.unattended_24h or 0.0) if judged is not None else 0.0
            acted = judged.expected_24h if judged is not None else None
            is_forecast = acted is not None and alone > 0.0
            chance = min((acted or 0.0) / alone, 1.0) if is_forecast else None
            result[item.account] = chance, item.owner
        if len(part) < PAGE:
            return result
        after = (None, part[-1].account)
    detail = f"more than {MOST_ACCOUNTS} accounts are chosen: ask by venue, market, owner or asset"
    raise Refused(problems.TOO_LARGE, detail)


def curves_of(
    quotes: Sequence[ImpactQuotes], *, at: datetime
) -> tuple[dict[str, ImpactCurve], tuple[CurveAnswer, ...]]:
    """Return the curve of every asset, and as they are told.

    Where an asset is sold for dollars and for another asset, the dollars count.
    """
    curves: dict[str, ImpactCurve] = {}
    answer = []
    ordered = sorted(quotes, key=lambda item: (item.asset, not _is_dollar(item.quote), item.quote))
    for item in ordered:
        if item.asset in curves:
            continue
        curve = fit(item)
        curves[item.asset] = curve
        answer.append(curve_answer(item, curve, at=at))
    return curves, tuple(answer)


def fit(quotes: ImpactQuotes) -> ImpactCurve:
    """Return the curve of quotes; raises `InvalidInput` as `models.book.impact.fitted` does."""
    amounts, impacts = zip(*quotes.quotes, strict=True)
    quote = USD if _is_dollar(quotes.quote) else quotes.quote
    return fitted(amounts, impacts, measured_at=quotes.measured_at, quote=quote)


def _is_dollar(quote: str) -> bool:
    """Return whether what an asset is sold for is the dollar, or pegged to it."""
    return is_one(quote, quote=USD)


def curve_answer(quotes: ImpactQuotes, curve: ImpactCurve, *, at: datetime) -> CurveAnswer:
    """Return a curve as it is answered, its tail marked."""
    amount, lost = float(curve.amounts[-1]), float(curve.impacts[-1])
    return CurveAnswer(
        asset=quotes.asset,
        quote=quotes.quote,
        measured_at=quotes.measured_at,
        age_seconds=(at - quotes.measured_at).total_seconds(),
        amounts=tuple(float(item) for item in curve.amounts),
        impacts=tuple(float(item) for item in curve.impacts),
        tail="constant_product",
        tail_reserve=amount * (1.0 - lost) / lost,
    )


def blocks_of(row: BlockSpaceRow, prices: Mapping[str, Fraction]) -> BlockSpace | None:
    """Return a chain's blocks in USD; None where what gas is paid in has no price."""
    body = BlockSpaceBody.model_validate(dict(row.body))
    price = prices.get(body.asset)
    if price is None:
        return None
    return BlockSpace(
        gas_price=float(body.gas_price_gwei * GWEI * price),
        free_gas=body.free_gas,
        gas_each=body.gas_each,
        block_seconds=body.block_seconds,
        surge=tuple((float(point.blocks), float(point.times)) for point in body.surge),
    )


def block_answer(
    row: BlockSpaceRow, prices: Mapping[str, Fraction], *, at: datetime
) -> BlockSpaceAnswer:
    """Return a chain's blocks and the congestion that follows, as they are answered."""
    space, price = blocks_of(row, prices), prices.get(str(row.body["asset"]))
    curve = () if space is None else tuple(space.crowded(due) for due in POWERS)
    return BlockSpaceAnswer(
        chain=row.chain,
        state=row.body,
        age_seconds=(at - row.measured_at).total_seconds(),
        asset_price=None if price is None else float(price),
        curve=tuple(
            CrowdedAnswer(due=each.due, gas=each.gas, delay_hours=each.delay) for each in curve
        ),
    )


def priced(transaction: Transaction, *, at: datetime) -> dict[str, Fraction]:
    """Return USD per unit of every asset that the store prices."""
    around = stored_snapshot(transaction, at=at, assets=())
    return {asset: price.exact for asset, price in around.prices.items()}


def stress(
    desk: ScoringService, store: Store, request: StressBody, request_id: str
) -> StressAnswer:
    """Answer `POST /v1/book/stress`.

    Raises
    ------
    InvalidInput
        Unknown assets, moves that leave no price, assets without a curve, amounts beyond the
        last quote where that is refused: all of them.
    """
    with store.read() as transaction:
        result = READER.read(transaction, request.selection, now=desk.clock())
        chains = {shock.block_space for shock in request.shocks}
        rows = [row for row in block_space.newest(transaction, at=result.at) if row.chain in chains]
    doubts = (*doubts_of(result.book, result.answer, impact=request.impact), *_old(rows, result.at))
    curves = {} if request.impact == "none" else result.curves
    blocks = {row.chain: blocks_of(row, result.prices) for row in rows}
    spaces = {chain: space for chain, space in blocks.items() if space is not None}
    faults = [] if request.impact == "none" else missing_curves(result.book, curves)
    names = [shock.name for shock in request.shocks]
    faults += [
        Fault(f"/shocks/{place}/name", f"{name!r} stands twice")
        for place, name in enumerate(names)
        if name in names[:place]
    ]
    shocks = []
    for place, shock in enumerate(request.shocks):
        where = f"/shocks/{place}"
        try:
            answer = stressed(
                result.book,
                shock,
                curves,
                where=where,
                with_owners=request.owners == "expected",
                spaces=spaces,
            )
        except InvalidInput as error:
            faults.extend(error.faults)
            continue
        shocks.append(answer)
        if request.tail == "refuse":
            faults += _beyond(answer.rounds, curves, float(shock.depth), where)
    if faults:
        raise InvalidInput(faults)
    return StressAnswer(
        request_id=request_id,
        as_of=result.at,
        simulated=result.is_simulated,
        accounts=len(result.book.cases),
        unjudged=result.book.unjudged[:MOST_LISTED],
        unjudged_count=len(result.book.unjudged),
        unjudged_debt=sum(item.debt or 0.0 for item in result.book.unjudged),
        oldest_price_age_seconds=oldest(result.book, result.at),
        prices=result.book.usd_prices,
        unpriced=tuple(sorted(result.book.unpriced)),
        moving=moving(result.book.prices, None),
        curves=tuple(item for item in result.answer if item.asset in result.book.usd_prices),
        degraded_reasons=tuple(map(_line, doubts)),
        doubts=doubts,
        shocks=tuple(shocks),
    )


def _line(doubt: Notice) -> str:
    """Return a doubt as one line of text."""
    return f"{doubt.code}: {doubt.text}"


def _old(rows: Iterable[BlockSpaceRow], at: datetime) -> Iterator[Notice]:
    """Yield the chains whose block space was measured too long ago."""
    for row in rows:
        if at - row.measured_at > STALE_BLOCKS:
            measured = f"{row.measured_at:%FT%TZ}"
            yield Notice(
                code="stale_block_space",
                text=f"{row.chain} was measured {measured}",
                subject=row.chain,
                values={"measured_at": measured},
            )


def doubts_of(book: RiskBook, curves: Sequence[CurveAnswer], *, impact: str) -> tuple[Notice, ...]:
    """Return what an answer rests on that is old, left out or not known."""
    doubts = [
        Notice(
            code="stale_liquidity",
            text=f"{item.asset} was measured {item.measured_at:%F}",
            subject=item.asset,
            values={"measured_at": f"{item.measured_at:%F}"},
        )
        for item in curves
        if item.asset in book.usd_prices and item.age_seconds > STALE.total_seconds()
    ]
    if impact == "none":
        doubts = [Notice(code="no_impact", text="selling moves no price")]
    if book.unpriced:
        listed = ", ".join(sorted(book.unpriced))
        text = f"{listed} without a price in USD, moved by shares of now alone"
        doubts.append(Notice(code="unpriced", text=text, subject=listed))
    if book.unknown_owners:
        text = f"{book.unknown_owners} accounts count as if nobody acts"
        count = book.unknown_owners
        doubts.append(Notice(code="owners_unknown", text=text, values={"accounts": count}))
    return tuple(doubts)


def _beyond(
    rounds: Sequence[Any], curves: Mapping[str, ImpactCurve], depth: float, where: str
) -> list[Fault]:
    """Return a fault for every asset of which more is sold than was ever quoted."""
    sold: dict[str, float] = {}
    for item in rounds:
        for asset, units in item.sold.items():
            sold[asset] = sold.get(asset, 0.0) + units
    return [
        Fault(
            where,
            f"{units:,.6g} {asset} are sold, beyond the last quote of "
            f"{float(curves[asset].amounts[-1]) * depth:,.6g}",
        )
        for asset, units in sorted(sold.items())
        if asset in curves and units > float(curves[asset].amounts[-1]) * depth
    ]


def begin(
    desk: ScoringService, transaction: Transaction, request: ForecastBody
) -> tuple[str, ReadBook, Forecaster]:
    """Write that a forecast begins, and return what it will run on.

    Raises
    ------
    InvalidInput, Refused
        As of `forecaster_of`.
    """
    result = READER.read(transaction, request.selection, now=desk.clock())
    stored = market.candles(transaction, list(result.book.prices), at=result.at, lookback=PAST)
    ready = forecaster_of(result.book, result.curves, stored, request)
    name = uuid.uuid4().hex
    book_forecasts.begin(
        transaction, name, request.model_dump(mode="json"), at=result.at, now=desk.clock()
    )
    return name, result, ready


def forecast(
    desk: ScoringService, store: Store, request: ForecastBody, *, spread: Spread = map
) -> Mapping[str, Any]:
    """Forecast a store's book at once and keep it; return what came of it.

    Returns
    -------
    Mapping
        As `outcome` tells it; `error` alone where it failed, and nothing where it was stopped.

    Raises
    ------
    InvalidInput, Refused
        As of `begin`; nothing is kept then.
    """
    with store.begin() as transaction:
        name, result, ready = begin(desk, transaction, request)
    run(desk, store, name, request, result, ready, spread=spread)
    with store.read() as transaction:
        row = book_forecasts.read(transaction, name)
    return {} if row is None or row.body is None else row.body


def forecaster_of(
    book: RiskBook,
    curves: Mapping[str, ImpactCurve],
    candles: Mapping[str, Candles],
    request: ForecastBody,
) -> Forecaster:
    """Return a book ready for what is asked of it.

    Raises
    ------
    InvalidInput
        Assets without a curve, volumes of assets that nobody holds, nobody who owes.
    Refused
        413 where accounts times scenarios are too many.
    """
    if request.impact == "stored" and (faults := missing_curves(book, curves)):
        raise InvalidInput(faults)
    count = max(len(book.borrowers), 1)
    if count * request.scenarios > MOST_CELLS:
        detail = f"{count} accounts: at most {MOST_CELLS // count} scenarios"
        raise Refused(problems.TOO_LARGE, detail)
    used = {} if request.impact == "none" else curves
    ready = forecaster(book, used, on_one_grid(candles))
    if not ready.book.borrowers:
        raise InvalidInput([Fault("/selection", "no account of it owes anything that can fall")])
    unwinding(ready, request, used)  # what is asked of no asset is refused before anything runs
    return ready


def on_one_grid(stored: Mapping[str, Candles]) -> dict[str, dict[str, Any]]:
    """Return close, high and low of every asset over the same hours."""
    if not stored:
        return {}
    first = min(item.first_hour for item in stored.values())
    last = max(item.first_hour + len(item.close) for item in stored.values())
    result = {}
    for asset, item in stored.items():
        place = item.first_hour - first
        columns = {}
        for side in ("close", "high", "low"):
            grid = np.full(last - first, np.nan)
            grid[place : place + len(item.close)] = getattr(item, side)
            columns[side] = grid
        result[asset] = columns
    return result


def run(
    desk: ScoringService,
    store: Store,
    name: str,
    request: ForecastBody,
    result: ReadBook,
    ready: Any,
    *,
    spread: Spread = map,
) -> None:
    """Run a forecast to its end, or until it is stopped, and keep what came of it.

    Parameters
    ----------
    spread
        Where scenarios are run.
    """
    status = book_forecasts.FAILED
    body: dict[str, Any] | None = {"error": "ended by a defect: see the log"}
    try:
        body = _run(desk, store, name, request, result, ready, spread)
        status = book_forecasts.DONE
    except Stopped:
        body, status = None, book_forecasts.STOPPED
    except (ForewarnError, ArithmeticError, ValueError) as error:
        body = {"error": str(error)[:1000]}
    finally:
        with store.begin() as transaction:
            done = 1.0 if status == book_forecasts.DONE else 0.0
            book_forecasts.update(
                transaction, name, done=done, now=desk.clock(), status=status, body=body
            )


def _run(
    desk: ScoringService,
    store: Store,
    name: str,
    request: ForecastBody,
    result: ReadBook,
    ready: Forecaster,
    spread: Spread,
) -> dict[str, Any]:
    def report(share: float) -> bool:
        with store.begin() as transaction:
            stored = book_forecasts.read(transaction, name)
            if stored is None or stored.status != book_forecasts.RUNNING:
                return False
            book_forecasts.update(transaction, name, done=min(share, 0.999), now=desk.clock())
        return True

    doubts = doubts_of(ready.book, result.answer, impact=request.impact)
    answer = outcome(ready, request, result.curves, doubts=doubts, report=report, spread=spread)
    return {"simulated": result.is_simulated, **answer}


def outcome(
    ready: Forecaster,
    request: ForecastBody,
    curves: Mapping[str, ImpactCurve],
    *,
    doubts: Sequence[Notice],
    report: Callable[[float], bool],
    spread: Spread,
) -> dict[str, Any]:
    """Run a forecast and return all that is told of it.

    Parameters
    ----------
    report
        Takes the share of the scenarios that are done and says whether to go on.

    Raises
    ------
    Stopped
        When `report` said no.
    """
    curves = {} if request.impact == "none" else curves
    parts = len(request.horizons) * len(METHODS) * 2
    finished = 0

    def counted(count: int) -> bool:
        return report((finished + count / request.scenarios) / parts)

    def alive() -> None:
        if not counted(0):
            raise Stopped

    horizons: dict[str, Any] = {}
    alone: dict[str, Any] = {}
    for horizon in request.horizons:
        methods: dict[str, Any] = {}
        for method in METHODS:
            drawn = ready.draw(HOURS[horizon], request, method)
            if method is METHODS[0]:
                alone[horizon] = single_factor(ready, drawn)
            owners: dict[str, Any] = {}
            for side in ("unattended", "expected"):
                acts = side == "expected"
                done = ready.run(
                    drawn, with_owners=acts, seed=request.seed, report=counted, spread=spread
                )
                owners[side] = msgspec.to_builtins(forecast_answer(done, ready))
                finished += 1
            methods[method.value] = owners
        horizons[horizon] = methods
    room, unsaid = _headroom(ready, request, alive)
    return {
        "accounts": len(ready.book.borrowers),
        "unjudged": msgspec.to_builtins(ready.book.unjudged[:MOST_LISTED]),
        "unjudged_count": len(ready.book.unjudged),
        "unjudged_debt": sum(item.debt or 0.0 for item in ready.book.unjudged),
        "degraded_reasons": [*map(_line, doubts), *unsaid],
        "horizons": horizons,
        "curve": curve_of(ready.book, curves),
        "one_factor": alone,
        "unwinding": msgspec.to_builtins(unwinding(ready, request, curves)),
        "concentration": msgspec.to_builtins(concentrations(ready.book)),
        "headroom": room,
        "debts": debts_of(ready.book),
    }


def _headroom(
    ready: Forecaster, request: ForecastBody, alive: Callable[[], object]
) -> tuple[list[Any] | None, tuple[str, ...]]:
    """Return how far the book may grow, None where no loss is stated, or why it is not told."""
    count = len(ready.book.borrowers)
    if request.bearable is None:
        return None, ()
    if count * request.scenarios > MOST_SIZED:
        detail = f"of {count} accounts it is searched for with at most {MOST_SIZED // count}"
        return None, (f"no_headroom: {detail} scenarios",)
    drawn = ready.draw(HOURS[REFERENCE], request, Method.STRESSED)
    rows = headrooms(ready, drawn, bearable=float(request.bearable), report=alive)
    return msgspec.to_builtins(rows), ()


METHODS = (Method.STRESSED, Method.FILTERED, Method.PLAIN)
"""The first is the one that counts; the others stand beside it."""


def status_of(row: BookForecastRow, request_id: str, *, now: datetime) -> ForecastStatus:
    """Return a forecast as it is answered; one without a word for long is lost."""
    is_lost = row.status == book_forecasts.RUNNING and now - row.updated_at > LOST
    body = None if row.body is None else {k: v for k, v in row.body.items() if k != "debts"}
    return ForecastStatus(
        request_id=request_id,
        id=row.id,
        as_of=row.at,
        status=book_forecasts.FAILED if is_lost else row.status,
        done=row.done,
        request=row.request,
        result=body,
    )


def points(transaction: Transaction, *, limit: int, now: datetime) -> list[RiskPoint]:
    """Return past forecasts of the whole book beside what came true within 24 hours."""
    result = []
    for row in book_forecasts.newest(transaction, limit=limit):
        answer = (row.body or {}).get("horizons", {}).get(REFERENCE)
        if answer is None:
            continue
        ends = row.at + timedelta(hours=HOURS[REFERENCE])
        realised = None
        if ends <= now:
            fell = book_forecasts.liquidated(transaction, after=row.at, until=ends)
            realised = sum((row.body or {}).get("debts", {}).get(item, 0.0) for item in fell)
        lar = {
            side: {
                f"{item['level']:g}": item["value"]
                for item in answer[METHODS[0].value][side]["liquidated"]
            }
            for side in ("unattended", "expected")
        }
        result.append(RiskPoint(id=row.id, as_of=row.at, lar=lar, realised=realised))
    return result


def tests_of(result: Sequence[RiskPoint]) -> dict[str, dict[str, dict[str, object]]]:
    """Return how often quantiles were exceeded, over one forecast a day."""
    daily: dict[Any, RiskPoint] = {}
    for item in sorted(result, key=lambda point: point.as_of):
        if item.realised is not None:
            daily.setdefault(item.as_of.date(), item)
    days = list(daily.values())
    if len(days) < 2:  # noqa: PLR2004 - a test of transitions needs two
        return {}
    answer: dict[str, dict[str, dict[str, object]]] = {}
    for side in ("unattended", "expected"):
        for level in LEVELS:
            over = np.array([(item.realised or 0.0) > item.lar[side][level] for item in days])
            rate = float(1 - Fraction(level))
            answer.setdefault(side, {})[level] = {
                "days": len(days),
                "exceedances": int(over.sum()),
                "kupiec_p": kupiec(int(over.sum()), len(days), rate).p_value,
                "christoffersen_p": christoffersen(over).p_value,
                "zone": zone(int(over.sum()), len(days), rate).value,
            }
    return answer
