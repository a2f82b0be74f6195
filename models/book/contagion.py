"""Losses that one shock spreads over institutions that hold the same assets.

References
----------
Greenwood, Landier and Thesmar, Vulnerable banks, J. Financial Economics 115 (2015):
aggregate vulnerability AV = 1' A M L M' A B M F / sum of equity.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Spillover:
    """What a shock makes institutions sell, and what their selling costs all of them.

    Parameters
    ----------
    sold
        Quote by asset, negative for sales, shape (assets,).
    impact
        Fall of each price by those sales, a share, shape (assets,).
    loss
        Quote by institution, negative for losses, shape (institutions,).
    vulnerability
        Losses over the equity of all.
    """

    sold: Floats
    impact: Floats
    loss: Floats
    vulnerability: float


def spillover(
    *,
    assets: Floats,
    weights: Floats,
    leverage: Floats,
    illiquidity: Floats,
    shock: Floats,
    equity: Floats,
) -> Spillover:
    """Return one round of fire sales that bring leverage back to its target.

    Parameters
    ----------
    assets
        Quote of assets of each institution, shape (institutions,).
    weights
        Share of each asset in them, rows adding up to 1, shape (institutions, assets).
    leverage
        Debt over equity that each goes back to, shape (institutions,).
    illiquidity
        Fall of the price per quote sold, shape (assets,).
    shock
        Return of each asset, shape (assets,).
    equity
        Quote, shape (institutions,).
    """
    sales = assets * leverage * (weights @ shock)
    sold = weights.T @ sales
    impact = illiquidity * sold
    loss = assets * (weights @ impact)
    return Spillover(sold, impact, loss, float(-loss.sum() / equity.sum()))
