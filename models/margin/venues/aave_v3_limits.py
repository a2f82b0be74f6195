"""How much more an Aave v3 market takes: caps, debt ceilings, and who may borrow what.

Amounts in smallest units of the asset unless said otherwise. None stands for no limit.
`headroom` reads from `Market.state`, beside the indices, `{asset}.scaled_supply`,
`{asset}.scaled_accrued` (to the treasury, unminted; 0 unless given), `{asset}.scaled_debt`
and `{collateral}.isolated_debt` (hundredths of a token).

References
----------
aave-dao/aave-v3-origin: ValidationLogic at v3.4.0 to v3.7 (supply and borrow), and
docs/3.7/mode-removal.md for what 3.7 dropped.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from models.domain import Account, LegKind, Market
from models.margin.fixed_point import RAY
from models.margin.result import Headroom as Room
from models.margin.result import Refusal
from models.margin.venues.aave_v3_account import is_in
from models.margin.venues.aave_v3_positions import index_now
from models.margin.venues.aave_v3_terms import Policy, Reserve, Terms

CEILING_DECIMALS = 2


class Headroom(NamedTuple):
    """What a market still takes of one asset and still lends of it, smallest units."""

    supply: int | None
    borrow: int | None


def headroom(
    asset: str, account: Account, market: Market, terms: Terms, policy: Policy
) -> Headroom | Refusal:
    """Return how much more of an asset one account may supply and borrow under the caps.

    Health and loan to value are not looked at. What the state does not hold, and a cap or
    a ceiling needs, is a refusal.
    """
    left = limits(asset, account, market, terms, policy)
    if isinstance(left, Refusal):
        return left
    lent = [left[name] for name in ("borrow_cap", "debt_ceiling") if name in left]
    return Headroom(left.get("supply_cap"), min(lent, default=None))


def limits(
    asset: str, account: Account, market: Market, terms: Terms, policy: Policy
) -> dict[str, int] | Refusal:
    """Return what is left under each cap and ceiling that applies; refuses as `headroom`."""
    pledged = pledged_assets(account)
    unknown = [name for name in (asset, *pledged) if name not in terms.reserves]
    if unknown:
        return Refusal("reserve_unknown", ", ".join(unknown))
    reserve, state = terms.reserves[asset], market.state
    income = index_now(market, asset, "liquidity", policy) if reserve.supply_cap else RAY
    charge = index_now(market, asset, "borrow", policy) if reserve.borrow_cap else RAY
    isolated = isolated_collateral(terms, pledged, policy)
    needed = {
        f"{asset}.scaled_supply": reserve.supply_cap > 0,
        f"{asset}.scaled_debt": reserve.borrow_cap > 0,
        f"{isolated}.isolated_debt": isolated is not None,
    }
    absent = [name for name, is_needed in needed.items() if is_needed and name not in state]
    if absent:
        return Refusal("totals_missing", ", ".join(absent))
    if isinstance(income, Refusal):
        return income
    if isinstance(charge, Refusal):
        return charge
    if isolated is not None and reserve.decimals < CEILING_DECIMALS:
        return Refusal("decimals_too_few", f"{asset} has {reserve.decimals}")
    headrooms = {
        "supply_cap": supply_headroom(
            reserve,
            scaled_supply=state.get(f"{asset}.scaled_supply", 0),
            scaled_accrued=state.get(f"{asset}.scaled_accrued", 0),
            index=income,
            policy=policy,
        ),
        "borrow_cap": borrow_headroom(
            reserve, scaled_debt=state.get(f"{asset}.scaled_debt", 0), index=charge, policy=policy
        ),
        "debt_ceiling": None
        if isolated is None
        else isolation_headroom(
            terms.reserves[isolated],
            isolated_debt=state[f"{isolated}.isolated_debt"],
            debt_decimals=reserve.decimals,
            policy=policy,
        ),
    }
    return {name: left for name, left in headrooms.items() if left is not None}


def rooms(account: Account, market: Market, terms: Terms, policy: Policy) -> tuple[Room, ...]:
    """Return what the market still takes and lends of each asset in the account's legs."""
    assets = dict.fromkeys(leg.asset for leg in account.legs)
    return tuple(room(asset, account, market, terms, policy) for asset in assets)


def room(asset: str, account: Account, market: Market, terms: Terms, policy: Policy) -> Room:
    """Return the room under caps, ceilings and the switches and rules that forbid."""
    emode = account.options.get("emode", 0)
    if emode and emode not in terms.categories:
        refused = Refusal("emode_unknown", f"category {emode} has no terms")
        return Room(asset=asset, refusal=refused)
    left = limits(asset, account, market, terms, policy)
    if isinstance(left, Refusal):
        return Room(asset=asset, refusal=left)
    owed = {leg.asset for leg in account.legs if leg.kind is LegKind.DEBT and leg.quantity}
    unknown = sorted(owed - terms.reserves.keys())
    if unknown:
        return Room(asset=asset, refusal=Refusal("reserve_unknown", ", ".join(unknown)))
    shut = switch_refusal(asset, market.state)
    barred = borrow_refusal(
        asset,
        terms,
        market.state,
        pledged=pledged_assets(account),
        borrowed=owed,
        emode=emode,
        policy=policy,
    )
    forbids = {refusal.reason: 0 for refusal in (shut, barred) if refusal is not None}
    lent = [left[name] for name in ("borrow_cap", "debt_ceiling") if name in left]
    return Room(
        asset=asset,
        supply=left.get("supply_cap") if shut is None else 0,
        borrow=min(lent, default=None) if barred is None else 0,
        limits=left | forbids,
    )


def pledged_assets(account: Account) -> tuple[str, ...]:
    """Return what the account uses as collateral."""
    return tuple(
        dict.fromkeys(
            leg.asset
            for leg in account.legs
            if leg.kind is LegKind.COLLATERAL and leg.pledged and leg.quantity
        )
    )


def supply_headroom(
    reserve: Reserve, *, scaled_supply: int, scaled_accrued: int, index: int, policy: Policy
) -> int | None:
    """Return what may still be supplied under the cap, before the deposit is rounded.

    Parameters
    ----------
    scaled_supply, scaled_accrued
        Scaled total supply, and what has accrued to the treasury unminted.
    index
        Liquidity index now, ray.
    """
    if reserve.supply_cap == 0:
        return None
    supplied = policy.collateral_balance(scaled_supply + scaled_accrued, index, RAY)
    cap: int = reserve.supply_cap * 10**reserve.decimals
    return max(0, cap - supplied)


def borrow_headroom(
    reserve: Reserve, *, scaled_debt: int, index: int, policy: Policy
) -> int | None:
    """Return what may still be borrowed under the cap, before the loan is rounded.

    Parameters
    ----------
    scaled_debt
        Scaled total debt of the reserve.
    index
        Borrow index now, ray.
    """
    if reserve.borrow_cap == 0:
        return None
    owed = policy.debt_balance(scaled_debt, index, RAY)
    cap: int = reserve.borrow_cap * 10**reserve.decimals
    return max(0, cap - owed)


def isolation_headroom(
    collateral: Reserve, *, isolated_debt: int, debt_decimals: int, policy: Policy
) -> int | None:
    """Return what may still be borrowed against isolated collateral.

    The ceiling counts tokens, not their worth, at two decimals: what is smaller than a
    hundredth of a token is not counted.

    Parameters
    ----------
    isolated_debt
        Debt counted so far, hundredths of a token.
    debt_decimals
        Of the asset to be borrowed, at least 2.
    """
    if not policy.has_isolation_mode or collateral.debt_ceiling == 0:
        return None
    room = collateral.debt_ceiling - isolated_debt
    if room < 0:
        return 0
    hundredth: int = 10 ** (debt_decimals - CEILING_DECIMALS)
    return (room + 1) * hundredth - 1


def isolated_collateral(terms: Terms, pledged: Iterable[str], policy: Policy) -> str | None:
    """Return the account's collateral if it is alone and has a debt ceiling."""
    assets = tuple(pledged)
    if not policy.has_isolation_mode or len(assets) != 1:
        return None
    return assets[0] if terms.reserves[assets[0]].debt_ceiling else None


def borrow_refusal(
    asset: str,
    terms: Terms,
    state: Mapping[str, int],
    *,
    pledged: Iterable[str],
    borrowed: Iterable[str],
    emode: int,
    policy: Policy,
) -> Refusal | None:
    """Return why the account may not borrow the asset at all, or None.

    Amounts are not looked at: health, loan to value, caps and ceilings come after.

    Parameters
    ----------
    state
        `{asset}.inactive`, `{asset}.paused`, `{asset}.frozen` (1 when so) and
        `borrow_allowed` (0 when the price sentinel says no).
    pledged, borrowed
        Assets the account uses as collateral, and owes.
    emode
        The account's category; 0 for none.
    """
    reserve = terms.reserves[asset]
    shut = switch_refusal(asset, state)
    if shut is not None:
        return shut
    if not is_borrowable(reserve, terms, emode=emode, policy=policy):
        reason = "NotBorrowableInEMode" if emode else "BorrowingNotEnabled"
        return Refusal(reason, f"{asset} in e-mode {emode}")
    if policy.has_price_sentinel and not state.get("borrow_allowed", 1):
        return Refusal("PriceOracleSentinelCheckFailed", "borrowing is held back")
    isolated = isolated_collateral(terms, pledged, policy)
    if isolated is not None and not reserve.borrowable_in_isolation:
        return Refusal("AssetNotBorrowableInIsolation", f"{asset} against {isolated}")
    return siloed_refusal(asset, terms, borrowed=borrowed, policy=policy)


def switch_refusal(asset: str, state: Mapping[str, int]) -> Refusal | None:
    """Return why the reserve neither takes supply nor lends now, or None."""
    for switch, reason in (
        ("inactive", "ReserveInactive"),
        ("paused", "ReservePaused"),
        ("frozen", "ReserveFrozen"),
    ):
        if state.get(f"{asset}.{switch}", 0):
            return Refusal(reason, asset)
    return None


def is_borrowable(reserve: Reserve, terms: Terms, *, emode: int, policy: Policy) -> bool:
    """Return whether the category, and until 3.5 the reserve as well, lends the asset."""
    if emode == 0:
        return reserve.borrowable
    listed = is_in(terms.categories[emode].borrowable_bitmap, reserve.id)
    return listed and (policy.category_ltv == "bitmap" or reserve.borrowable)


def siloed_refusal(
    asset: str, terms: Terms, *, borrowed: Iterable[str], policy: Policy
) -> Refusal | None:
    """Return a refusal when a siloed asset would be owed beside another."""
    others = [name for name in borrowed if name != asset]
    if not policy.has_isolation_mode or not others:
        return None
    if any(terms.reserves[name].siloed for name in (asset, *others)):
        return Refusal("SiloedBorrowingViolation", f"{asset} beside {', '.join(others)}")
    return None
