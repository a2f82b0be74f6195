"""dYdX v4 subaccounts: net collateral against margin requirements, liquidation.

Units: perpetual quantities in base quantums (10^atomic_resolution of a coin), quote amounts
in quote quantums (10^-6 USDC), rates in parts per million. `Price.decimals` is minus the
exponent of the market's price. A position leg has signed base quantums; USDC is a
collateral leg when positive and a debt leg when negative.

`Market.state` may hold `{perpetual}.funding_index` (quote quantums per base quantum, ppm)
and `{perpetual}.open_interest` (base quantums). `Account.options` may hold
`{perpetual}.funding_index` (the index the position was last settled at) and
`{perpetual}.custom_imf_ppm` (initial margin the owner asked for).

Not modelled: block limits on the notional liquidated, the step and tick of the order book,
and the rule that an isolated market has a subaccount of its own.

References
----------
dydxprotocol/v4-chain at 84d4664b (lib/margin, x/perpetuals, x/subaccounts, x/clob).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction

from models.domain import Account, Exact, Leg, LegKind, Market
from models.margin.fixed_point import mul_div_down, mul_div_toward_zero, mul_div_up
from models.margin.result import Liquidation, Margin, Ratio, Refusal, Side, TokenAmount, Verdict
from models.margin.rulebook import Liquidate, Rulebook
from models.margin.toxicity import is_toxic
from models.margin.variables import Variable

PPM = 10**6
QUOTE_DECIMALS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Perpetual:
    """Risk parameters of one market and its liquidity tier.

    Parameters
    ----------
    atomic_resolution
        Exponent of one base quantum in coins, such as -10.
    initial_margin_ppm
        Initial margin before open interest is looked at.
    maintenance_fraction_ppm
        Maintenance margin as a share of that initial margin.
    open_interest_lower_cap, open_interest_upper_cap
        Notional open interest (quote quantums) from which the initial margin rises, and at
        which it is whole; an upper cap of 0 turns the rise off.
    """

    atomic_resolution: int
    initial_margin_ppm: int
    maintenance_fraction_ppm: int
    open_interest_lower_cap: int = 0
    open_interest_upper_cap: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Risk parameters of every market a subaccount may hold.

    Parameters
    ----------
    perpetuals
        Parameters by market.
    quote
        The asset that margin is held in.
    max_liquidation_fee_ppm
        Most that a liquidation pays to the insurance fund, share of the fill.
    bankruptcy_adjustment_ppm
        How fast the fillable price leaves the oracle price as the account worsens.
    spread_to_maintenance_ppm
        Largest distance from the oracle price, share of the maintenance margin.
    """

    perpetuals: Mapping[str, Perpetual] = field(default_factory=dict)
    quote: str = "USDC"
    max_liquidation_fee_ppm: int = 5_000
    bankruptcy_adjustment_ppm: int = PPM
    spread_to_maintenance_ppm: int = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Risk:
    """Net collateral and requirements of a position or of a whole account.

    Parameters
    ----------
    nc
        Net collateral, signed quote quantums.
    mmr, imr
        Maintenance and initial margin requirement, quote quantums.
    """

    nc: int = 0
    mmr: int = 0
    imr: int = 0

    def __add__(self, other: "Risk") -> "Risk":
        """Add the risk of two parts of one account."""
        return Risk(nc=self.nc + other.nc, mmr=self.mmr + other.mmr, imr=self.imr + other.imr)


def quote_from_base(base: int, *, price: int, exponent: int, atomic_resolution: int) -> int:
    """Return the signed value of base quantums, truncated, quote quantums."""
    power = exponent + atomic_resolution + QUOTE_DECIMALS
    if power >= 0:
        return base * price * int(10**power)
    return mul_div_toward_zero(base, price, 10**-power)


def base_from_quote(quote: int, *, price: int, exponent: int, atomic_resolution: int) -> int:
    """Return the base quantums that a quote amount buys, truncated; price > 0."""
    power = exponent + atomic_resolution + QUOTE_DECIMALS
    if power >= 0:
        return mul_div_toward_zero(quote, 1, price * int(10**power))
    return mul_div_toward_zero(quote, 10**-power, price)


def initial_margin_ppm(perpetual: Perpetual, *, open_interest: int, custom_ppm: int = 0) -> int:
    """Return the initial margin after open interest and the owner's own wish.

    Parameters
    ----------
    open_interest
        Notional open interest, quote quantums.
    custom_ppm
        Initial margin the owner asked for; 0 for none.
    """
    base = perpetual.initial_margin_ppm
    low, high = perpetual.open_interest_lower_cap, perpetual.open_interest_upper_cap
    scaled = base
    if high and open_interest >= high:
        scaled = PPM
    elif high and open_interest > low:
        scaled = base + mul_div_down(PPM - base, open_interest - low, high - low)
    return max(scaled, custom_ppm)


def maintenance_margin_ppm(perpetual: Perpetual) -> int:
    """Return the maintenance margin as a share of the notional, floored."""
    return mul_div_down(perpetual.initial_margin_ppm, perpetual.maintenance_fraction_ppm, PPM)


def initial_margin(
    notional: int, perpetual: Perpetual, *, open_interest: int = 0, custom_ppm: int = 0
) -> int:
    """Return the initial requirement on a notional (≥ 0), quote quantums."""
    ppm = initial_margin_ppm(perpetual, open_interest=open_interest, custom_ppm=custom_ppm)
    return mul_div_up(notional, ppm, PPM)


def maintenance_margin(notional: int, perpetual: Perpetual) -> int:
    """Return the maintenance requirement on a notional (≥ 0); open interest is ignored."""
    base = mul_div_up(notional, perpetual.initial_margin_ppm, PPM)
    return mul_div_up(base, perpetual.maintenance_fraction_ppm, PPM)


def position_risk(
    quantums: int,
    perpetual: Perpetual,
    *,
    price: int,
    exponent: int,
    open_interest: int = 0,
    custom_ppm: int = 0,
) -> Risk:
    """Return the risk of one position.

    Parameters
    ----------
    quantums
        Signed base quantums.
    price, exponent
        Oracle price: price · 10^exponent quote units per coin.
    open_interest
        Of the market, base quantums.
    custom_ppm
        Initial margin the owner asked for; 0 for none.
    """
    resolution = perpetual.atomic_resolution
    value, interest = (
        quote_from_base(base, price=price, exponent=exponent, atomic_resolution=resolution)
        for base in (quantums, open_interest)
    )
    return Risk(
        nc=value,
        mmr=maintenance_margin(abs(value), perpetual),
        imr=initial_margin(abs(value), perpetual, open_interest=interest, custom_ppm=custom_ppm),
    )


def settled_quote(quote: int, fundings: Sequence[tuple[int, int]]) -> int:
    """Return the quote balance after funding, the sum floored once.

    Parameters
    ----------
    quote
        Balance before, quote quantums.
    fundings
        (signed base quantums, rise of the funding index since the last settlement).
    """
    owed = sum(quantums * rise for quantums, rise in fundings)
    return quote + mul_div_down(-owed, 1, PPM)


def is_liquidatable(risk: Risk) -> bool:
    """Return whether an account may be liquidated; equality is safe, no requirement too."""
    return risk.mmr > 0 and risk.mmr > risk.nc


def is_maintenance_collateralized(risk: Risk) -> bool:
    """Return whether net collateral covers the maintenance requirement."""
    return risk.nc >= risk.mmr


def is_initial_collateralized(risk: Risk) -> bool:
    """Return whether net collateral covers the initial requirement."""
    return risk.nc >= risk.imr


def compare_risk(first: Risk, second: Risk) -> int:
    """Return -1, 0 or 1 as `first` is less, equally or more risky than `second`.

    Ratios of net collateral to maintenance are compared crosswise; ties go by the smaller
    requirement, then by the larger net collateral, as less risky.
    """
    left, right = first.nc * second.mmr, second.nc * first.mmr
    if left != right:
        return -1 if left > right else 1
    if first.mmr != second.mmr:
        return -1 if first.mmr < second.mmr else 1
    return (first.nc < second.nc) - (first.nc > second.nc)


def bankruptcy_price(total: Risk, *, before: Risk, after: Risk) -> int:
    """Return the signed quote quantums at which closing leaves the account's share at zero.

    Parameters
    ----------
    total
        Risk of the whole account; its maintenance requirement is > 0.
    before, after
        Risk of the position as it is and as the fill leaves it.

    Returns
    -------
    int
        Positive: a long is sold for no less; negative: a short is bought for no more.
    """
    freed = abs(after.mmr - before.mmr)
    return -(after.nc - before.nc) - mul_div_down(total.nc, freed, total.mmr)


def fillable_price(total: Risk, position: Risk, quantums: int, terms: Terms) -> Fraction:
    """Return the worst price of a liquidation order, quote per base quantum.

    Parameters
    ----------
    total
        Risk of the whole account; its maintenance requirement is > 0.
    position
        Risk of the position.
    quantums
        Its signed size, not 0.
    """
    shortfall = 1 - Fraction(total.nc, total.mmr)
    rating = min(max(shortfall * terms.bankruptcy_adjustment_ppm / PPM, Fraction(0)), Fraction(1))
    spread = Fraction(position.mmr * terms.spread_to_maintenance_ppm, PPM)
    return (position.nc - rating * spread) / quantums


def insurance_fund_delta(received: int, bankruptcy: int, terms: Terms) -> int:
    """Return what a fill pays to (or, negative, takes from) the insurance fund.

    Parameters
    ----------
    received
        Quote quantums of the fill: positive for a sale, negative for a purchase.
    bankruptcy
        Bankruptcy price of the same size, signed the same way.
    """
    left = received - bankruptcy
    if left <= 0:
        return left
    return min(left, mul_div_down(abs(received), terms.max_liquidation_fee_ppm, PPM))


def holdings(account: Account, terms: Terms) -> tuple[int, dict[str, int]]:
    """Return the signed quote balance and the open positions in base quantums."""
    quote, sizes = 0, dict[str, int]()
    for leg in account.legs:
        if leg.kind is LegKind.POSITION:
            sizes[leg.asset] = sizes.get(leg.asset, 0) + int(leg.quantity)
        elif leg.asset == terms.quote:
            quote += int(leg.quantity) * (1 if leg.kind is LegKind.COLLATERAL else -1)
    return quote, {name: size for name, size in sizes.items() if size}


def fault_of(account: Account, market: Market, terms: Terms) -> str | None:
    """Return why a subaccount cannot be judged, or None."""
    for leg in account.legs:
        if leg.kind is not LegKind.POSITION and leg.asset != terms.quote:
            return "collateral_not_established"
    for name in holdings(account, terms)[1]:
        if name not in terms.perpetuals:
            return "terms_missing"
        price = market.prices.get(name)
        if price is None:
            return "price_missing"
        if price.value <= 0:
            return "price_not_positive"
    return None


def risk_of(account: Account, market: Market, terms: Terms, *, name: str, quantums: int) -> Risk:
    """Return the risk of `quantums` of one market as the venue sees it now."""
    price = market.prices[name]
    return position_risk(
        quantums,
        terms.perpetuals[name],
        price=price.value,
        exponent=-price.decimals,
        open_interest=market.state.get(f"{name}.open_interest", 0),
        custom_ppm=account.options.get(f"{name}.custom_imf_ppm", 0),
    )


def settled(account: Account, market: Market, terms: Terms) -> Account:
    """Return the account with funding paid up to the market's indices."""
    quote, sizes = holdings(account, terms)
    options = dict(account.options)
    fundings = []
    for name, size in sizes.items():
        key = f"{name}.funding_index"
        index = market.state.get(key, options.get(key, 0))
        fundings.append((size, index - options.get(key, index)))
        options[key] = index
    cash = quote_leg(settled_quote(quote, fundings), terms)
    return replace(account, legs=(cash, *position_legs(sizes)), options=options)


def quote_leg(quote: int, terms: Terms) -> Leg:
    """Return a signed quote balance as collateral or debt."""
    kind = LegKind.COLLATERAL if quote >= 0 else LegKind.DEBT
    return Leg(kind=kind, asset=terms.quote, quantity=abs(quote))


def position_legs(sizes: Mapping[str, int]) -> tuple[Leg, ...]:
    """Return open positions as legs."""
    return tuple(
        Leg(kind=LegKind.POSITION, asset=name, quantity=size)
        for name, size in sizes.items()
        if size
    )


def total_risk(account: Account, market: Market, terms: Terms) -> Risk:
    """Return the risk of the whole subaccount, funding settled."""
    quote, sizes = holdings(settled(account, market, terms), terms)
    parts = (
        risk_of(account, market, terms, name=name, quantums=size) for name, size in sizes.items()
    )
    return sum(parts, Risk(nc=quote))


def margin(account: Account, market: Market, terms: Terms) -> Margin:
    """Judge one subaccount at the oracle prices."""
    names = tuple(holdings(account, terms)[1])
    reason = fault_of(account, market, terms)
    if reason is not None:
        return Margin(verdict=Verdict.UNEVALUABLE, reason=reason, prices=names)
    risk = total_risk(account, market, terms)
    verdict, reason = judge(risk)
    return Margin(
        verdict=verdict,
        reason=reason,
        maintenance=Side(risk.nc, risk.mmr),
        initial=Side(risk.nc, risk.imr),
        value_decimals=QUOTE_DECIMALS,
        ratio=Ratio("NC/MMR", Fraction(risk.nc, risk.mmr) if risk.mmr else None, 0),
        prices=names,
    )


def judge(risk: Risk) -> tuple[Verdict, str]:
    """Return the verdict with its reason."""
    if is_liquidatable(risk):
        return Verdict.LIQUIDATABLE, "below_maintenance_margin"
    if risk.mmr == 0:
        return Verdict.SAFE, "no_maintenance_requirement"
    if not is_initial_collateralized(risk):
        return Verdict.SAFE, "below_initial_margin"
    return Verdict.SAFE, "above_initial_margin"


def size_to_close(size: int, requested: Exact | None) -> int | Refusal:
    """Return the signed quantums that a liquidation removes, or why it may not.

    Parameters
    ----------
    size
        Signed size of the position.
    requested
        Quantums to close, > 0; None for all.
    """
    amount = abs(size) if requested is None else int(requested)
    if not 0 < amount <= abs(size):
        return Refusal(
            "InvalidPerpetualPositionSizeDelta", f"{amount} quantums of a position of {size}"
        )
    return -amount if size > 0 else amount


def chosen(sizes: Mapping[str, int], requested: str | None) -> str | Refusal:
    """Return the market to liquidate first, or why it is not known.

    The venue starts from a pseudo-random position, so with several the caller names one.
    """
    if requested is None and len(sizes) != 1:
        return Refusal("perpetual_not_chosen", "the venue picks at random among several")
    name = requested or next(iter(sizes))
    if name not in sizes:
        return Refusal("NoPerpetualPositionsToLiquidate", f"no position in {name}")
    return name


def closing_bankruptcy_price(
    account: Account, market: Market, terms: Terms, *, name: str
) -> int | Refusal:
    """Return the bankruptcy price of closing one whole position, signed quote quantums."""
    reason = fault_of(account, market, terms)
    if reason is not None:
        return Refusal(reason)
    size = holdings(account, terms)[1].get(name)
    total = total_risk(account, market, terms)
    if size is None or total.mmr == 0:
        return Refusal("no_maintenance_requirement")
    before = risk_of(account, market, terms, name=name, quantums=size)
    return bankruptcy_price(total, before=before, after=Risk())


def liquidate(
    account: Account, market: Market, terms: Terms, request: Liquidate
) -> Liquidation | Refusal:
    """Return the outcome of a fill at the fillable price, the worst that may happen.

    `request.collateral_asset` names the market and `request.repay` the base quantums to
    close. What is received is rounded against the account.
    """
    before = margin(account, market, terms)
    if before.verdict is Verdict.UNEVALUABLE:
        return Refusal(before.reason)
    if before.verdict is not Verdict.LIQUIDATABLE:
        return Refusal("SubaccountNotLiquidatable", before.reason)
    quote, sizes = holdings(settled(account, market, terms), terms)
    name = chosen(sizes, request.collateral_asset)
    if isinstance(name, Refusal):
        return name
    delta = size_to_close(sizes[name], request.repay)
    if isinstance(delta, Refusal):
        return delta
    total = total_risk(account, market, terms)
    risk, left = (
        risk_of(account, market, terms, name=name, quantums=size)
        for size in (sizes[name], sizes[name] + delta)
    )
    received = _floor(-delta * fillable_price(total, risk, sizes[name], terms))
    fee = insurance_fund_delta(received, bankruptcy_price(total, before=risk, after=left), terms)
    legs = position_legs({**sizes, name: sizes[name] + delta})
    rest = replace(
        settled(account, market, terms), legs=(quote_leg(quote + received - fee, terms), *legs)
    )
    after = margin(rest, market, terms)
    return Liquidation(
        repaid={terms.quote: received},
        seized={name: -delta},
        protocol_fee={terms.quote: max(fee, 0)},
        bad_debt={terms.quote: max(-fee, 0)},
        after=after,
        is_toxic=is_toxic(before.maintenance, after.maintenance),
    )


def tokens(account: Account, market: Market, terms: Terms) -> tuple[TokenAmount, ...] | Refusal:  # noqa: ARG001 - as every rulebook
    """Return the quote balance and each position in whole coins, shorts below zero."""
    amounts = []
    for leg in account.legs:
        if leg.kind is LegKind.POSITION:
            perpetual = terms.perpetuals.get(leg.asset)
            if perpetual is None:
                return Refusal("terms_missing", leg.asset)
            digits = -perpetual.atomic_resolution
        elif leg.asset == terms.quote:
            digits = QUOTE_DECIMALS
        else:
            return Refusal("collateral_not_established", leg.asset)
        amount = int(leg.quantity) / Fraction(10) ** digits
        amounts.append(TokenAmount(kind=leg.kind, asset=leg.asset, amount=amount, digits=digits))
    return tuple(amounts)


def _floor(value: Fraction) -> int:
    """Round toward minus infinity."""
    return value.numerator // value.denominator


STATE = (
    Variable("{asset}.funding_index", "quote quantums per base quantum, ppm"),
    Variable("{asset}.open_interest", "base quantums"),
)
OPTIONS = (
    Variable("{asset}.funding_index", "quote quantums per base quantum, ppm"),
    Variable("{asset}.custom_imf_ppm", "ppm"),
)

RULEBOOKS = (
    Rulebook(
        venue="dydx-v4",
        version="84d4664b",
        terms=Terms,
        state=STATE,
        options=OPTIONS,
        price_decimals=None,
        cash=lambda terms: terms.quote,
        margin=margin,
        liquidate=liquidate,
        tokens=tokens,
    ),
)
