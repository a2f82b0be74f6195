"""The path beside the reference assets and beside the market as a whole.

Covariances come from three variances, var(x) + var(y) - var(x - y), where x - y is the path
measured in the other asset: every window is that of one series.
"""

from collections.abc import Callable
from datetime import timedelta
from functools import partial

import numpy as np

from features.inputs import Floats
from features.market import MarketFunction, MarketWindows
from features.spec import Feature, Source, View, ViewFunction
from features.volatility import RETURN_4H, RETURN_24H, sigma_24h, sigma_72h, sigma_360h

LONG = timedelta(hours=721)
MEDIUM = timedelta(hours=433)


def volatility_ratio(market: MarketWindows) -> Floats:
    """Return the volatility of the last day against that of the last fortnight."""
    return np.log(market.of(sigma_24h) / market.of(sigma_360h))


def _covariance(view: View, number: int) -> Floats:
    """Return the covariance per hour of the path and a reference, half-life 72 h."""
    path_variance, reference_variance = (
        view.market(sigma_72h) ** 2,
        view.reference(number, sigma_72h) ** 2,
    )
    return 0.5 * (path_variance + reference_variance - view.relative(number, sigma_72h) ** 2)


def _correlation(view: View, *, number: int) -> Floats:
    """Return the correlation with a reference."""
    scale = view.market(sigma_72h) * view.reference(number, sigma_72h)
    return np.clip(_covariance(view, number) / scale, -1.0, 1.0)


def _beta(view: View, *, number: int) -> Floats:
    """Return the move of the path per move of a reference."""
    return _covariance(view, number) / view.reference(number, sigma_72h) ** 2


def _volatility_against(view: View, *, number: int) -> Floats:
    """Return the path's volatility against a reference's."""
    return np.log(view.market(sigma_72h) / view.reference(number, sigma_72h))


def _reference_ratio(view: View, *, number: int) -> Floats:
    """Return a reference's own volatility of a day against that of a fortnight."""
    return view.reference(number, volatility_ratio)


def _reference_return(view: View, *, number: int, function: MarketFunction) -> Floats:
    """Return a reference's move in its own sigmas, positive where it helps the side held."""
    return view.side * view.reference(number, function)


def _against_market(view: View) -> Floats:
    """Return the path's volatility against the median asset's."""
    return np.log(view.market(sigma_72h) / view.across(sigma_72h))


def _market_ratio(view: View) -> Floats:
    """Return the median asset's volatility of a day against that of a fortnight."""
    return view.across(volatility_ratio)


def _ratio_against_market(view: View) -> Floats:
    """Return how much more the path's volatility rose than the median asset's."""
    return view.market(volatility_ratio) - view.across(volatility_ratio)


def _market_return(view: View) -> Floats:
    """Return the median asset's move of a day in its sigmas, positive where it helps."""
    return view.side * view.across(RETURN_24H)


def _feature(
    name: str, function: ViewFunction, *, source: Source, unit: str, meaning: str, back: timedelta
) -> Feature:
    """Return a feature of the path beside others."""
    return Feature(
        name=name,
        function=function,
        unit=unit,
        lookback=back,
        sources=frozenset({"candles", source}),
        meaning=meaning,
    )


def _of_reference(number: int, short: str, shown: str) -> tuple[Feature, ...]:
    """Return the features that compare with one reference."""
    entries: tuple[tuple[str, Callable[..., Floats], str, str, timedelta], ...] = (
        ("correlation_{}", _correlation, "1", "Correlation with {}.", MEDIUM),
        ("beta_{}", _beta, "1", "Move per move of {}.", MEDIUM),
        (
            "volatility_against_{}",
            _volatility_against,
            "log ratio",
            "Volatility against that of {}.",
            MEDIUM,
        ),
        (
            "{}_volatility_ratio",
            _reference_ratio,
            "log ratio",
            "Volatility of {}: a day against a fortnight.",
            LONG,
        ),
        (
            "{}_return_4h",
            partial(_reference_return, function=RETURN_4H),
            "sigmas",
            "Move of {} in four hours, toward safety positive.",
            MEDIUM,
        ),
        (
            "{}_return_24h",
            partial(_reference_return, function=RETURN_24H),
            "sigmas",
            "Move of {} in a day, toward safety positive.",
            MEDIUM,
        ),
    )
    return tuple(
        _feature(
            name.format(short),
            partial(function, number=number),
            source="references",
            unit=unit,
            meaning=meaning.format(shown),
            back=back,
        )
        for name, function, unit, meaning, back in entries
    )


FEATURES: tuple[Feature, ...] = (
    *_of_reference(0, "btc", "the first reference asset (BTC)"),
    *_of_reference(1, "eth", "the second reference asset (ETH)"),
    _feature(
        "volatility_against_market",
        _against_market,
        source="section",
        unit="log ratio",
        meaning="Volatility against that of the median asset.",
        back=MEDIUM,
    ),
    _feature(
        "market_volatility_ratio",
        _market_ratio,
        source="section",
        unit="log ratio",
        meaning="Volatility of the median asset: a day against a fortnight.",
        back=LONG,
    ),
    _feature(
        "volatility_ratio_against_market",
        _ratio_against_market,
        source="section",
        unit="log ratio",
        meaning="How much more volatility rose than that of the median asset.",
        back=LONG,
    ),
    _feature(
        "market_return_24h",
        _market_return,
        source="section",
        unit="sigmas",
        meaning="Move of the median asset in a day, toward safety positive.",
        back=MEDIUM,
    ),
)
