"""Risk weights beside the venue's own: the request's `risk` in, `risk_weights` out."""

from collections.abc import Mapping

from models.margin.collateral import CollateralPolicy, Holding, Weighted, weigh
from models.margin.result import Refusal, WeightedCollateral
from serving.evaluation import rules
from serving.evaluation.inputs import AccountInput
from serving.schemas.assessment import exact_text
from serving.schemas.margin import RiskWeight, RiskWeights
from serving.schemas.margin_requests import RiskBody

POLICY = CollateralPolicy()


def risk_weights(case: AccountInput, risk: Mapping[str, RiskBody]) -> RiskWeights:
    """Return the weights of one account's collateral, or why the venue's are not known.

    Parameters
    ----------
    risk
        Measures by asset; collateral without any is named, never weighed by a guess.
    """
    collaterals = _counted(case)
    if isinstance(collaterals, Refusal):
        return RiskWeights(collaterals=(), unmeasured=(), unknown=rules.refusal_text(collaterals))
    return RiskWeights(
        collaterals=tuple(
            _weight(collateral, risk[collateral.asset])
            for collateral in collaterals
            if collateral.asset in risk
        ),
        unmeasured=tuple(
            collateral.asset for collateral in collaterals if collateral.asset not in risk
        ),
        unknown=None,
    )


def _counted(case: AccountInput) -> tuple[WeightedCollateral, ...] | Refusal:
    """Ask the rulebook, where it has weights."""
    book = case.rulebook
    if book.weights is None:
        name = f"{book.venue}/{book.version}"
        return Refusal("weights_not_established", f"{name} states no weight per collateral")
    return book.weights(case.account, case.market, case.terms)


def _weight(collateral: WeightedCollateral, measures: RiskBody) -> RiskWeight:
    """Return one collateral's two weights in exact text."""
    holding = Holding(
        asset=collateral.asset,
        value=collateral.value,
        volatility=measures.volatility,
        depth=measures.depth,
        share=measures.concentration,
    )
    return _weight_text(collateral, weigh(holding, collateral.weight, POLICY))


def _weight_text(collateral: WeightedCollateral, weighted: Weighted) -> RiskWeight:
    """Return both weights and the parts of the haircut in exact text."""
    return RiskWeight(
        asset=collateral.asset,
        value=exact_text(collateral.value, 0),
        venue_weight=exact_text(weighted.venue_weight, 0),
        risk_weight=exact_text(weighted.risk_weight, 0),
        market=exact_text(weighted.haircut.market, 0),
        liquidation=exact_text(weighted.haircut.liquidation, 0),
        concentration=exact_text(weighted.haircut.concentration, 0),
        is_overvalued=weighted.is_overvalued,
    )
