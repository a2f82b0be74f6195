"""Which parameters of a venue may be changed, in which unit, and what each does to a verdict.

What is not listed cannot be previewed: a gate that guesses what a parameter does is no gate.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from models.margin.fixed_point import BPS, RAY, WAD

MILLE, PPM = 1_000, 1_000_000


class Effect(StrEnum):
    """How a parameter enters the side that liquidation is judged by."""

    WEIGHT = "weight"  # credit of the collateral it belongs to is in proportion to it
    DIVISOR = "divisor"  # credit is in inverse proportion to it
    REQUIREMENT = "requirement"  # the requirement is in proportion to it
    TIERS = "tiers"  # the requirement is read from a table
    NONE = "none"  # no verdict reads it
    OTHER = "other"  # it enters in a way that only the exact rules tell


class Role(StrEnum):
    """What a parameter is for, whatever a venue calls it."""

    THRESHOLD = "threshold"
    LTV = "ltv"
    BONUS = "bonus"
    SUPPLY_CAP = "supply_cap"
    BORROW_CAP = "borrow_cap"
    DEBT_CEILING = "debt_ceiling"
    RATIO = "ratio"  # collateral required per debt
    TIERS = "tiers"
    RATE = "rate"  # margin required per notional
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One parameter that may be changed.

    Parameters
    ----------
    path
        Place in the rulebook's terms; `*` stands for an asset, a category or a key.
    role, effect
        What it is for and how a verdict reads it.
    unit
        What a share of 1 is in the venue's integers; 1 for amounts.
    scales_lone
        Whether the credit of an account with one collateral alone, outside any mode, is in
        proportion to it, so that such an account can be told without its exact rules.
    """

    path: str
    role: Role
    effect: Effect
    unit: int = 1
    scales_lone: bool = False

    @property
    def group(self) -> str:
        """Path of what the parameter belongs to; parameters of one group are coupled."""
        return self.path.rpartition(".")[0]


def _aave_v3() -> tuple[Parameter, ...]:
    """Return the parameters of reserves and of e-modes."""
    shares = [
        Parameter(
            path=f"{place}.*.{name}",
            role=role,
            effect=effect,
            unit=BPS,
            scales_lone=place == "reserves" and role is Role.THRESHOLD,
        )
        for place in ("reserves", "categories")
        for name, role, effect in (
            ("ltv", Role.LTV, Effect.NONE),
            ("threshold", Role.THRESHOLD, Effect.WEIGHT),
            ("bonus", Role.BONUS, Effect.NONE),
        )
    ]
    caps = [
        Parameter(path=f"reserves.*.{role.value}", role=role, effect=Effect.NONE)
        for role in (Role.SUPPLY_CAP, Role.BORROW_CAP, Role.DEBT_CEILING)
    ]
    return (*shares, *caps)


CATALOGUE: Mapping[str, tuple[Parameter, ...]] = {
    "aave-v3": _aave_v3(),
    "aave-v4": (
        Parameter(
            path="reserves.*.configs.*.factor", role=Role.THRESHOLD, effect=Effect.WEIGHT, unit=BPS
        ),
        Parameter(
            path="reserves.*.configs.*.max_bonus", role=Role.BONUS, effect=Effect.NONE, unit=BPS
        ),
    ),
    "compound-v2": (
        Parameter(path="collateral_factors.*", role=Role.THRESHOLD, effect=Effect.WEIGHT, unit=WAD),
        Parameter(path="liquidation_incentive", role=Role.BONUS, effect=Effect.NONE, unit=WAD),
    ),
    "compound-v3": (
        Parameter(path="collaterals.*.borrow_factor", role=Role.LTV, effect=Effect.NONE, unit=WAD),
        Parameter(
            path="collaterals.*.liquidate_factor",
            role=Role.THRESHOLD,
            effect=Effect.WEIGHT,
            unit=WAD,
            scales_lone=True,
        ),
        Parameter(path="collaterals.*.supply_cap", role=Role.SUPPLY_CAP, effect=Effect.NONE),
    ),
    "maker": (
        Parameter(path="mat", role=Role.RATIO, effect=Effect.DIVISOR, unit=RAY, scales_lone=True),
        Parameter(path="chop", role=Role.BONUS, effect=Effect.OTHER, unit=WAD),
        Parameter(path="hole", role=Role.DEBT_CEILING, effect=Effect.OTHER),
        Parameter(path="hole_all", role=Role.DEBT_CEILING, effect=Effect.OTHER),
    ),
    "morpho-blue": (
        Parameter(
            path="lltv", role=Role.THRESHOLD, effect=Effect.WEIGHT, unit=WAD, scales_lone=True
        ),
    ),
    "euler-v2": (
        Parameter(path="collaterals.*.borrow", role=Role.LTV, effect=Effect.NONE, unit=BPS),
        Parameter(
            path="collaterals.*.liquidation", role=Role.THRESHOLD, effect=Effect.OTHER, unit=BPS
        ),
        Parameter(path="max_liquidation_discount", role=Role.BONUS, effect=Effect.NONE, unit=BPS),
    ),
    "fluid": (
        Parameter(path="collateral_factor", role=Role.LTV, effect=Effect.NONE, unit=MILLE),
        Parameter(
            path="liquidation_threshold", role=Role.THRESHOLD, effect=Effect.OTHER, unit=MILLE
        ),
        Parameter(path="liquidation_max_limit", role=Role.OTHER, effect=Effect.OTHER, unit=MILLE),
        Parameter(path="liquidation_penalty", role=Role.BONUS, effect=Effect.NONE, unit=BPS),
    ),
    "dydx-v4": (
        Parameter(
            path="perpetuals.*.initial_margin_ppm", role=Role.RATE, effect=Effect.OTHER, unit=PPM
        ),
        Parameter(
            path="perpetuals.*.maintenance_fraction_ppm",
            role=Role.RATE,
            effect=Effect.OTHER,
            unit=PPM,
        ),
    ),
    **{
        venue: (Parameter(path="symbols.*", role=Role.TIERS, effect=Effect.TIERS),)
        for venue in ("binance-usdm", "bybit-linear", "okx-swap")
    },
}


def find(venue: str, path: str) -> Parameter | None:
    """Return the parameter at a place of a venue's terms; None where none may be changed there."""
    parts = path.split(".")
    for parameter in CATALOGUE.get(venue, ()):
        pattern = parameter.path.split(".")
        if len(pattern) == len(parts) and all(
            item in {"*", part} for item, part in zip(pattern, parts, strict=True)
        ):
            return parameter
    return None
