"""A request for an allocation as a problem, with every fault of it."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from fractions import Fraction

from msgspec import structs

from models.allocation.problem import Demand, Eligibility, LossCurve, Problem, Resource, Way
from models.errors import Fault, InvalidInput
from models.horizons import REFERENCE
from serving.application.scoring import ScoringService
from serving.evaluation import inputs, rules
from serving.evaluation.cover import Cover, leg_units, pledged_legs
from serving.evaluation.inputs import MarketSnapshot
from serving.evaluation.item import Item
from serving.evaluation.placing import market_of
from serving.evaluation.plan_result import states
from serving.evaluation.rule_evaluation import judge_line
from serving.schemas.allocation import (
    AllocateBody,
    AssetBody,
    PlacedBody,
    SettingsBody,
    TakenBody,
    VenueBody,
)
from serving.schemas.strict_json import escape

ZERO = Fraction(0)
LEVELS = tuple(Fraction(n, 100) for n in (0, 2, 5, 10, 20, 40, 80, 160))
"""Shares by which what is posted grows where a probability is forecast."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A request as a problem, with the accounts that rules judge."""

    problem: Problem
    covers: Mapping[str, Cover] = field(default_factory=dict)
    around: MarketSnapshot


def question_of(desk: ScoringService, body: AllocateBody, faults: Sequence[Fault]) -> Question:
    """Return the request as a problem.

    Raises
    ------
    InvalidInput
        Listing every fault.
    """
    items: list[Item] = []
    if body.has_accounts:
        around, outcomes = desk.outcomes(body, list(faults), lambda item: item)
        broken = [outcome for outcome in outcomes if isinstance(outcome, InvalidInput)]
        if broken:
            raise InvalidInput([fault for error in broken for fault in error.faults])
        items = [item for item in outcomes if isinstance(item, Item)]
    else:
        around = inputs.snapshot(body, now=desk.clock(), stored=None, accounts=())
    wrong = [*_name_faults(body, items), *_stock_faults(body), *_way_faults(body)]
    resources = dict(_resources(body, around, _oracle_prices(body, items), wrong))
    demands = {}
    covers = {}
    for place, venue in enumerate(body.venues):
        demands[venue.id] = _stated_demand(body, venue, resources, f"/venues/{place}", wrong)
    for item in items:
        cover = _cover(body, item, resources, wrong)
        if cover is None:
            continue
        covers[cover.case.account.id] = cover
        demands[cover.case.account.id] = _judged_demand(desk, body, item, cover, resources, wrong)
    if wrong:
        raise InvalidInput(wrong)
    problem = Problem(
        demands=demands,
        resources=resources,
        stocks=_stocks(body),
        ways=[
            Way(
                origin=way.origin,
                destination=way.destination,
                asset=way.asset,
                fixed=way.fixed,
                rate=way.rate,
                delay=timedelta(seconds=way.delay),
            )
            for way in body.transfers
        ],
        objective=body.objective,
        deadline=None if body.deadline is None else timedelta(seconds=body.deadline),
    )
    return Question(problem=problem, covers=covers, around=around)


def _stocks(body: AllocateBody) -> dict[tuple[str, str], Fraction]:
    """Return what is free to be moved, by asset and place."""
    return {(stock.asset, stock.place): stock.quantity for stock in body.inventory}


def _name_faults(body: AllocateBody, items: Sequence[Item]) -> Iterator[Fault]:
    """Yield names of accounts and venues that stand twice, or that are of none."""
    names = Counter([v.id for v in body.venues] + [item.case.account.id for item in items])
    for place, venue in enumerate(body.venues):
        if names[venue.id] > 1:
            yield Fault(f"/venues/{place}/id", f"{venue.id!r} stands twice")
    for item in items:
        if names[item.case.account.id] > 1:
            yield Fault(f"{item.case.place}/id", f"{item.case.account.id!r} stands twice")
    judged = {item.case.account.id for item in items}
    for name in body.settings:
        if name not in judged:
            yield Fault(f"/settings/{escape(name)}", "no such account is in the request")


def _stock_faults(body: AllocateBody) -> Iterator[Fault]:
    """Yield stocks that stand twice or are of an asset of which nothing is stated."""
    stocks = Counter((stock.asset, stock.place) for stock in body.inventory)
    for place, stock in enumerate(body.inventory):
        if stock.asset not in body.assets:
            yield Fault(f"/inventory/{place}/asset", f"nothing is stated of {stock.asset!r}")
        if stocks[stock.asset, stock.place] > 1:
            detail = f"{stock.asset!r} at {stock.place!r} stands twice"
            yield Fault(f"/inventory/{place}", detail)


def _way_faults(body: AllocateBody) -> Iterator[Fault]:
    """Yield transfers that stand twice, lead nowhere or are of an unknown asset."""
    ways = Counter((way.asset, way.origin, way.destination) for way in body.transfers)
    for place, way in enumerate(body.transfers):
        if way.origin == way.destination:
            yield Fault(f"/transfers/{place}", f"leads from {way.origin!r} to itself")
        if ways[way.asset, way.origin, way.destination] > 1:
            yield Fault(f"/transfers/{place}", "stands twice")
        if way.asset is not None and way.asset not in body.assets:
            yield Fault(f"/transfers/{place}/asset", f"nothing is stated of {way.asset!r}")


def _rate(body: AllocateBody, quote: str | None, where: str, faults: list[Fault]) -> Fraction:
    """Return units of the answer's currency per unit of another; notes one without a rate."""
    if quote is None or quote == body.quote:
        return Fraction(1)
    if quote not in body.rates:
        faults.append(Fault(f"{where}/quote", f"no rate of {quote!r} in {body.quote!r} is given"))
        return Fraction(1)
    return body.rates[quote]


def _oracle_prices(body: AllocateBody, items: Sequence[Item]) -> dict[str, set[Fraction]]:
    """Return what the accounts' own markets say of each asset, in the answer's currency.

    An account of a venue on a chain is judged by its market's oracle, beside which no spot price
    need be known. A currency without a rate is noted where the account is read.
    """
    prices: dict[str, set[Fraction]] = {}
    for item in items:
        quote = _settings(body, item).quote
        rate = Fraction(1) if quote in {None, body.quote} else body.rates.get(quote, Fraction(1))
        facts = item.around.markets.get(market_of(item.body))
        for name, price in ({} if facts is None else facts.prices).items():
            prices.setdefault(name, set()).add(price.exact * rate)
    return prices


def _resources(
    body: AllocateBody,
    around: MarketSnapshot,
    oracles: Mapping[str, set[Fraction]],
    faults: list[Fault],
) -> Iterator[tuple[str, Resource]]:
    """Yield the assets; notes those without a price, or with several."""
    for name, asset in body.assets.items():
        where = f"/assets/{escape(name)}"
        rate = _rate(body, asset.quote, where, faults)
        price = asset.price
        said = oracles.get(name, set())
        if price is None and len(said) == 1:
            price, rate = next(iter(said)), Fraction(1)
        if price is None and name in around.prices:
            price = around.prices[name].exact
        if price is None or price <= 0:
            detail = f"no price of {name!r} is stated or known"
            if len(said) > 1:
                detail = f"the accounts' markets price {name!r} differently: state a price"
            faults.append(Fault(f"{where}/price", detail))
            price = Fraction(1)
        step = Fraction(1, 10**asset.decimals) if asset.lot is None else asset.lot
        yield (
            name,
            Resource(
                step=step,
                is_lot=asset.lot is not None,
                price=price * rate,
                sellable=asset.sellable,
            ),
        )


def _eligibility(
    body: AllocateBody, name: str, entry: TakenBody, settings: PlacedBody, price: Fraction
) -> Eligibility:
    """Return how an account takes an asset, its credit left open."""
    asset: AssetBody = body.assets[name]
    rate = Fraction(1) if asset.quote in {None, body.quote} else body.rates.get(asset.quote, 1)
    cost = (asset.cost if entry.cost is None else entry.cost) * rate + settings.funding * price
    return Eligibility(credit=ZERO, cost=cost, cap=entry.cap, most=entry.most)


def _stated_demand(
    body: AllocateBody,
    venue: VenueBody,
    resources: Mapping[str, Resource],
    where: str,
    faults: list[Fault],
) -> Demand:
    """Return a venue stated by its need; notes what is wrong with it."""
    rate = _rate(body, venue.quote, where, faults)
    eligible = {}
    for name, entry in venue.eligible.items():
        if name not in resources:
            detail = f"nothing is stated of {name!r} under /assets"
            faults.append(Fault(f"{where}/eligible/{escape(name)}", detail))
            continue
        price = resources[name].price
        taken = _eligibility(body, name, entry, venue, price)
        eligible[name] = replace(taken, credit=entry.weight * price)
    if venue.need and not any(entry.credit for entry in eligible.values()):
        detail = f"no eligible asset counts for {venue.id!r}, which needs {venue.need}"
        faults.append(Fault(f"{where}/eligible", detail))
    for name in venue.posted:
        if name not in eligible:
            detail = "is posted and not among the eligible assets"
            faults.append(Fault(f"{where}/posted/{escape(name)}", detail))
    curve = _stated_curve(body, venue, f"{where}/at_risk", rate, faults)
    return Demand(
        need=venue.need * rate,
        buffer=venue.buffer,
        eligible=eligible,
        posted={name: quantity for name, quantity in venue.posted.items() if name in eligible},
        is_movable=venue.movable,
        place=venue.place,
        fixed=venue.fixed * rate,
        curve=curve,
    )


def _stated_curve(
    body: AllocateBody, venue: PlacedBody, where: str, rate: Fraction, faults: list[Fault]
) -> LossCurve | None:
    """Return a stated curve; notes one that is missing or rises."""
    if body.objective != "probability":
        return None
    stated = venue.at_risk
    if stated is None or stated.points is None:
        detail = "the objective is the probability: state the loss and the points"
        faults.append(Fault(where, detail))
        return None
    for place, ((left, high), (right, low)) in enumerate(
        zip(stated.points, stated.points[1:], strict=False)
    ):
        at = f"{where}/points/{place + 1}"
        if right <= left:
            faults.append(Fault(at, f"surplus {right} is not above {left}"))
        if low > high:
            faults.append(Fault(at, f"probability rises from {high} to {low}"))
    points = tuple((surplus * rate, chance) for surplus, chance in stated.points)
    return LossCurve(loss=stated.loss * rate, points=points)


def _settings(body: AllocateBody, item: Item) -> SettingsBody:
    """Return what was said of an account."""
    return body.settings.get(item.case.account.id, SettingsBody())


def _judged_price(item: Item, asset: str) -> Fraction | None:
    """Return the price that an account is judged at, in its venue's currency; None without one.

    What a unit of a leg is follows from it alone: a price that the caller states elsewhere, a
    percent beside the oracle's, would make the unit a percent larger.
    """
    facts = item.around.markets.get(market_of(item.body))
    price = None if facts is None else facts.prices.get(asset)
    price = price or item.around.prices.get(asset)
    return None if price is None or price.exact <= 0 else price.exact


def _cover(
    body: AllocateBody, item: Item, resources: Mapping[str, Resource], faults: list[Fault]
) -> Cover | None:
    """Return an account as a cover; None, and faults noted, where it cannot be one."""
    case, settings = item.metered, _settings(body, item)
    name = case.account.id
    rate = _rate(body, settings.quote, f"/settings/{escape(name)}", faults)
    chosen = settings.eligible if settings.eligible is not None else body.assets
    legs = pledged_legs(case, chosen)
    where = f"/settings/{escape(name)}/eligible"
    lacking = [asset for asset in settings.eligible or () if asset not in legs]
    for asset in lacking:
        detail = f"the account has no pledged collateral leg of {asset!r}"
        faults.append(Fault(f"{where}/{escape(asset)}", detail))
    if not legs:
        detail = f"no eligible asset: the account has no pledged leg of {', '.join(chosen)[:80]}"
        faults.append(Fault(case.place, detail))
        return None
    units = {}
    for asset, place in legs.items():
        stated = None if settings.eligible is None else settings.eligible[asset].units
        price = _judged_price(item, asset)
        if price is None and asset in resources:
            price = resources[asset].price / rate
        derived = stated or (None if price is None else leg_units(case, place, price))
        if derived is None:
            detail = f"the rules do not show what a unit of {asset!r} is: state `units`"
            faults.append(Fault(f"{where}/{escape(asset)}/units", detail))
        else:
            units[asset] = derived
    if len(units) != len(legs):
        return None
    posted = {a: Fraction(case.account.legs[p].quantity) / units[a] for a, p in legs.items()}
    cover = Cover(
        case=case,
        legs=legs,
        units=units,
        health=settings.health,
        buffer=settings.buffer,
        rate=rate,
        posted=posted,
    )
    margin = rules.evaluated(
        case, lambda judged: judged.rulebook.margin(judged.account, judged.market, judged.terms)
    )
    if margin.maintenance is None:
        faults.append(Fault(case.place, f"the rules cannot judge the account: {margin.reason}"))
        return None
    return cover


def _judged_demand(
    desk: ScoringService,
    body: AllocateBody,
    item: Item,
    cover: Cover,
    resources: Mapping[str, Resource],
    faults: list[Fault],
) -> Demand:
    """Return an account's need and credits as its rules show them; notes what they do not."""
    settings = _settings(body, item)
    name = cover.case.account.id
    eligible = {}
    for asset in cover.legs:
        entry = TakenBody() if settings.eligible is None else settings.eligible[asset]
        taken = _eligibility(body, asset, entry, settings, resources[asset].price)
        available = sum((stock.quantity for stock in body.inventory if stock.asset == asset), ZERO)
        credit = cover.credit(asset, available, resources[asset].price) or ZERO
        cap = None
        if entry.cap is not None and credit:
            cap = entry.cap * cover.requirement() * cover.health / credit
        limits = [limit for limit in (entry.most, cap) if limit is not None]
        eligible[asset] = replace(
            taken, credit=credit, cap=None, most=min(limits) if limits else None
        )
    surplus = cover.now(cover.target) or ZERO
    reached = sum((eligible[a].credit * q for a, q in cover.posted.items()), ZERO)
    if surplus < 0 and not any(entry.credit for entry in eligible.values()):
        detail = f"no eligible asset counts for {name!r}"
        faults.append(Fault(f"/settings/{escape(name)}/eligible", detail))
    return Demand(
        need=reached - surplus,
        eligible=eligible,
        posted=cover.posted,
        is_movable=settings.movable,
        place=settings.place,
        fixed=settings.fixed * cover.rate,
        curve=_forecast_curve(desk, body, item, cover, faults),
    )


def _forecast_curve(
    desk: ScoringService,
    body: AllocateBody,
    item: Item,
    cover: Cover,
    faults: list[Fault],
) -> LossCurve | None:
    """Return the probability by surplus: stated, or forecast with more of every pledged asset."""
    if body.objective != "probability":
        return None
    settings = _settings(body, item)
    where = f"/settings/{escape(cover.case.account.id)}/at_risk"
    if settings.at_risk is None:
        detail = "the objective is the probability: state what a liquidation would lose"
        faults.append(Fault(where, detail))
        return None
    if settings.at_risk.points is not None:
        return _stated_curve(body, settings, where, cover.rate, faults)
    points = _forecast_points(desk, item, cover)
    if not points:
        faults.append(Fault(where, "no forecast can be given: state the points"))
        return None
    return LossCurve(loss=settings.at_risk.loss * cover.rate, points=points)


def _forecast_points(
    desk: ScoringService, item: Item, cover: Cover
) -> tuple[tuple[Fraction, Fraction], ...]:
    """Return (surplus, probability) at several levels of what is posted, never rising."""
    total = sum(cover.posted.values(), ZERO)
    if not total:
        return ()
    base = judge_line(cover.case)
    posted = [{a: q * (1 + share) for a, q in cover.posted.items()} for share in LEVELS]
    judged = [judge_line(structs.replace(cover.case, account=cover.account(p))) for p in posted]
    outlook = states(desk.model, item.around, judged, history=[base] * len(judged))
    points: list[tuple[Fraction, Fraction]] = []
    least = Fraction(1)
    for amounts, state in zip(posted, outlook, strict=True):
        surplus = cover.surplus(amounts, target=cover.target)
        chances = [f.unattended for f in state.forecast if f.horizon == REFERENCE]
        if surplus is None or not chances:
            return ()
        least = min(least, Fraction(chances[0]).limit_denominator(10**9))
        if not points or surplus > points[-1][0]:
            points.append((surplus, least))
    return tuple(points)
