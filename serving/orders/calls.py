"""Actions as transactions of a chain that nobody has signed: calldata by the venue's ABI.

Amounts are the least of the token that move exactly the units of the leg that were planned, by the
venue's own roundings at the moment of the simulation; at Venus, whose interest accrues by the
block, a call can come one block later at the soonest, and moves by so much less. Whoever sends
them pays; whose position it is does not have to, but where the venue takes a call from its holder
alone.

References
----------
Aave v3 IPool.sol and TokenMath.sol at npm `@aave-dao/aave-v3-origin` 3.6.0; Aave v2
ILendingPool.sol, AToken.sol and VariableDebtToken.sol at npm `@aave/protocol-v2` 1.0.1; Liquity
v1 BorrowerOperations.sol at liquity/dev 9f4cf0a0 and npm `@sovryn-zero/contracts` 0.4.0; Venus
VBep20.sol at npm `@venusprotocol/venus-protocol` 10.3.0 and VToken.sol at npm
`@venusprotocol/isolated-pools` 4.4.0; Morpho Blue IMorpho.sol at npm `@morpho-org/morpho-blue`
1.0.0; ERC-20. Read 2026-11.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from msgspec import structs

from models.domain import LegKind, Market
from models.errors import ForewarnError
from models.margin.fixed_point import RAY, WAD, mul_div_down, mul_div_half_up, mul_div_up
from models.margin.result import Refusal
from models.margin.venues import aave_v2
from models.margin.venues.aave_v3_positions import index_now
from models.margin.venues.aave_v3_terms import POLICIES, Policy
from models.margin.venues.morpho_blue import Totals, accrue, assets_up
from serving.evaluation.actions import Action
from serving.evaluation.inputs import AccountInput
from serving.schemas.orders import Call, ContractsBody

VARIABLE = 2
"""Aave's name of the rate that is judged: v3 has no other, v2's stable one is read of nobody."""

_ADDRESS = re.compile(r"0x[0-9a-f]{40}")
_MARKET = "(address,address,address,address,uint256)"
SELECTORS: Mapping[str, str] = {
    "approve(address,uint256)": "095ea7b3",
    "repay(address,uint256,uint256,address)": "573ade81",
    "supply(address,uint256,address,uint16)": "617ba037",
    "withdraw(address,uint256,address)": "69328dec",
    "deposit(address,uint256,address,uint16)": "e8eda9df",
    f"repay({_MARKET},uint256,uint256,address,bytes)": "20b76e81",
    f"supplyCollateral({_MARKET},uint256,address,bytes)": "238d6579",
    f"withdrawCollateral({_MARKET},uint256,address,address)": "8720316d",
    "repayLUSD(uint256,address,address)": "04491fa7",
    "repayZUSD(uint256,address,address)": "afbc74b5",
    "withdrawColl(uint256,address,address)": "5530273c",
    "repayBorrowBehalf(address,uint256)": "2608f818",
    "mintBehalf(address,uint256)": "23323e03",
    "redeem(uint256)": "db006a75",
}
"""First four bytes of each signature's hash; the tests hold them to what the compiler says."""

(
    APPROVE,
    AAVE_REPAY,
    AAVE_SUPPLY,
    AAVE_WITHDRAW,
    AAVE_V2_SUPPLY,
    MORPHO_REPAY,
    MORPHO_SUPPLY,
    MORPHO_WITHDRAW,
    LUSD_REPAY,
    ZUSD_REPAY,
    LIQUITY_WITHDRAW,
    VENUS_REPAY,
    VENUS_SUPPLY,
    VENUS_WITHDRAW,
) = SELECTORS
AAVE_V2 = "aave-v2"
LIQUITY_REPAYS = {"LUSD": LUSD_REPAY, "ZUSD": ZUSD_REPAY}
ANYWHERE = ("0x" + "00" * 20,) * 2
"""No hint of where among the troves one comes to stand: the system finds its place itself."""

SUPPLIES = {AAVE_V2: AAVE_V2_SUPPLY, "aave-v3": AAVE_SUPPLY}


class NoCall(ForewarnError):  # noqa: N818 - named for what happened
    """The venue has no call that does an action, or the mandate does not name what it needs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What calls are made out for.

    Parameters
    ----------
    case
        The account as it stands before the action, in the market of the simulation.
    contracts
        As the mandate names them.
    holder
        Address whose position it is.
    until
        When the order ends: what a debt may have grown to by then is approved.
    """

    case: AccountInput
    contracts: ContractsBody
    holder: str
    until: datetime

    def token(self, asset: str) -> str:
        """Return the token of an asset.

        Raises
        ------
        NoCall
            When the mandate names none.
        """
        token = self.contracts.tokens.get(asset)
        if token is None:
            raise NoCall(f"the mandate names no token of {asset}")
        return token

    def market(self, asset: str) -> str:
        """Return the contract that an asset is lent by, where each has its own; raises `NoCall`."""
        market = self.contracts.markets.get(asset)
        if market is None:
            raise NoCall(f"the mandate names no market of {asset}")
        return market

    def call(
        self,
        signature: str,
        arguments: Sequence[Any],
        *,
        asset: str,
        amount: int,
        to: str | None = None,
        by_owner: bool = False,
    ) -> Call:
        """Return a call of the venue's contract, or of a token."""
        types = signature[signature.index("(") + 1 : -1]
        from eth_abi.abi import encode  # noqa: PLC0415 - 0.1 s that only who drafts calls needs

        data = encode(_split(types), arguments)
        return Call(
            sender="owner" if by_owner else "keeper",
            chain_id=self.contracts.chain_id,
            to=to or self.contracts.contract,
            data=f"0x{SELECTORS[signature]}{data.hex()}",
            call=signature,
            asset=asset,
            amount=str(amount),
        )

    def approval(self, asset: str, amount: int, *, to: str | None = None) -> Call:
        """Return the call that lets the venue, or one of its markets, take a keeper's token."""
        arguments = (to or self.contracts.contract, amount)
        return self.call(APPROVE, arguments, asset=asset, amount=amount, to=self.token(asset))


def holder_of(account: str, owner: str | None) -> str:
    """Return the address whose position an account is.

    Raises
    ------
    NoCall
        When neither the account's name ends with one nor its owner is one.
    """
    for text in (account.rpartition(":")[2].lower(), (owner or "").lower()):
        if _ADDRESS.fullmatch(text):
            return text
    raise NoCall(f"{account[:80]}: neither the name nor the owner is an address")


def calls_of(made: Made, action: Action) -> list[Call]:
    """Return the calls that do an action, in the order in which they are sent.

    Raises
    ------
    NoCall
        When the venue has none.
    """
    return list(VENUES[made.case.account.venue](made, action))


def _aave(made: Made, action: Action) -> Iterator[Call]:
    """Yield calls of a pool of Aave."""
    case, tool = made.case, action.tool
    asset, quantity = case.account.legs[tool.leg].asset, int(action.quantity)
    if tool.kind == "repay":
        yield from _aave_repay(made, asset, quantity)
    elif tool.kind == "add":
        amount = aave_amount(case, asset, quantity, side="liquidity", is_up=True)
        yield made.approval(asset, amount)
        arguments = (made.token(asset), amount, made.holder, 0)
        supply = SUPPLIES[case.account.venue]
        yield made.call(supply, arguments, asset=asset, amount=amount)
    elif tool.kind == "swap" and tool.into is not None:
        # The keeper repays first and the holder takes out what was sold after: no step between
        # the two leaves the account worse than it is.
        debt = case.account.legs[tool.into]
        yield from _aave_repay(made, debt.asset, swapped_debt(made, action))
        yield aave_withdrawal(made, asset, quantity)
    else:
        raise NoCall(f"{case.account.venue} has no call to {tool.kind}")


def _aave_repay(made: Made, asset: str, quantity: int) -> Iterator[Call]:
    """Yield the repayment of scaled debt; all of it as it will be when the order ends."""
    case = made.case
    owed = sum(
        int(leg.quantity)
        for leg in case.account.legs
        if leg.asset == asset and leg.kind.value == "debt"
    )
    later = replace(case.market, at=made.until)
    at_end = case if quantity < owed else structs.replace(case, market=later)
    amount = aave_amount(at_end, asset, quantity, side="borrow", is_up=True)
    yield made.approval(asset, amount)
    arguments = (made.token(asset), amount, VARIABLE, made.holder)
    yield made.call(AAVE_REPAY, arguments, asset=asset, amount=amount)


def aave_withdrawal(made: Made, asset: str, quantity: int) -> Call:
    """Return the withdrawal of scaled collateral to its holder."""
    amount = aave_amount(made.case, asset, quantity, side="liquidity", is_up=False)
    arguments = (made.token(asset), amount, made.holder)
    return made.call(AAVE_WITHDRAW, arguments, asset=asset, amount=amount, by_owner=True)


def aave_amount(case: AccountInput, asset: str, quantity: int, *, side: str, is_up: bool) -> int:
    """Return the amount of a token that moves so many scaled units, by the release's roundings.

    Parameters
    ----------
    quantity
        Scaled units.
    side
        `liquidity` or `borrow`: whose index.
    is_up
        Whether the amount is paid in: the pool rounds the units of what is paid in down, and of
        what is taken out up; before 3.5, and in v2, both to the nearest.

    Raises
    ------
    NoCall
        When the index is not known, or no amount moves exactly so many.
    """
    paid: Rounded = mul_div_half_up
    units: Rounded = mul_div_half_up
    if case.account.venue == AAVE_V2:
        index = aave_v2.index_now(case.market, asset, side)
    else:
        policy = _policy(case.account.version)
        index = index_now(case.market, asset, side, policy)
        paid, units = _roundings(policy, is_up=is_up)
    if isinstance(index, Refusal):
        raise NoCall(f"{asset}: {index.reason}, {index.detail}")
    amount = paid(quantity, index, RAY)
    if units(amount, RAY, index) != quantity:
        raise NoCall(f"no amount of {asset} moves exactly {quantity} units at index {index}")
    return amount


Rounded = Callable[[int, int, int], int]


def _roundings(policy: Policy, *, is_up: bool) -> tuple[Rounded, Rounded]:
    """Return how an amount is found of units, and how the pool finds units of an amount."""
    if policy.debt_balance is mul_div_half_up:
        return mul_div_half_up, mul_div_half_up
    return (mul_div_up, mul_div_down) if is_up else (mul_div_down, mul_div_up)


def _policy(version: str) -> Policy:
    """Return what differs in a release of Aave v3."""
    return next(policy for policy in POLICIES if policy.version == version)


def swapped_debt(made: Made, action: Action) -> int:
    """Return the units of debt that the proceeds of a swap repay."""
    tool = action.tool
    if tool.into is None:
        raise NoCall("a swap without a debt repays nothing")
    owed = int(made.case.account.legs[tool.into].quantity)
    proceeds = tool.value(action.quantity) * (1 - tool.price.rate)
    return min(int(proceeds / tool.into_value), owed)


def _morpho(made: Made, action: Action) -> Iterator[Call]:
    """Yield calls of Morpho's singleton."""
    tool = action.tool
    asset, quantity = made.case.account.legs[tool.leg].asset, int(action.quantity)
    if tool.kind == "repay":
        yield from _morpho_repay(made, asset, quantity)
    elif tool.kind == "add":
        yield made.approval(asset, quantity)
        arguments = (_market_of(made), quantity, made.holder, b"")
        yield made.call(MORPHO_SUPPLY, arguments, asset=asset, amount=quantity)
    elif tool.kind == "swap" and tool.into is not None:
        debt = made.case.account.legs[tool.into].asset
        yield from _morpho_repay(made, debt, swapped_debt(made, action))
        yield morpho_withdrawal(made, asset, quantity)
    else:
        raise NoCall(f"morpho-blue has no call to {tool.kind}")


def _morpho_repay(made: Made, asset: str, shares: int) -> Iterator[Call]:
    """Yield the repayment of borrow shares, which Morpho takes as they are."""
    state = accrue(_rated(made.case), made.case.terms, made.until).state
    totals = Totals(
        supply_assets=state["total_supply_assets"],
        borrow_assets=state["total_borrow_assets"],
        borrow_shares=state["total_borrow_shares"],
    )
    most = assets_up(shares, totals)
    yield made.approval(asset, most)
    arguments = (_market_of(made), 0, shares, made.holder, b"")
    yield made.call(MORPHO_REPAY, arguments, asset=asset, amount=most)


def _rated(case: AccountInput) -> Market:
    """Return the market, whose books must be known."""
    if "total_borrow_assets" not in case.market.state:
        raise NoCall(f"{case.account.market}: its books are not known")
    return case.market


def morpho_withdrawal(made: Made, asset: str, quantity: int) -> Call:
    """Return the withdrawal of collateral to its holder."""
    arguments = (_market_of(made), quantity, made.holder, made.holder)
    return made.call(MORPHO_WITHDRAW, arguments, asset=asset, amount=quantity, by_owner=True)


def _market_of(made: Made) -> tuple[str, str, str, str, int]:
    """Return the parameters that Morpho knows a market by."""
    contracts, terms = made.contracts, made.case.terms
    if contracts.oracle is None or contracts.irm is None:
        raise NoCall("a market of Morpho is named by its oracle and irm too")
    return (
        made.token(terms.loan_asset),
        made.token(terms.collateral_asset),
        contracts.oracle,
        contracts.irm,
        terms.lltv,
    )


def _liquity(made: Made, action: Action) -> Iterator[Call]:
    """Yield calls of a Liquity system, which takes them from the trove's owner alone."""
    tool = action.tool
    asset, quantity = made.case.account.legs[tool.leg].asset, int(action.quantity)
    if tool.kind == "repay":
        yield _liquity_repay(made, quantity)
    elif tool.kind == "swap" and tool.into is not None:
        yield _liquity_repay(made, swapped_debt(made, action))
        yield liquity_withdrawal(made, asset, quantity)
    else:
        # What is added comes with the call as the chain's own coin, which no call here carries.
        raise NoCall(f"liquity-v1 has no call to {tool.kind}")


def _liquity_repay(made: Made, quantity: int) -> Call:
    """Return the repayment of coins; a trove keeps its least debt, or has to be closed."""
    terms = made.case.terms
    signature = LIQUITY_REPAYS.get(terms.debt_asset)
    if signature is None:
        raise NoCall(f"no call repays {terms.debt_asset}")
    legs = made.case.account.legs
    owed = sum(int(leg.quantity) for leg in legs if leg.kind is LegKind.DEBT)
    least = terms.gas_compensation + terms.min_net_debt
    if owed - quantity < least:
        raise NoCall(f"a trove owes {least} at least; closing it is not made out")
    arguments = (quantity, *ANYWHERE)
    return made.call(signature, arguments, asset=terms.debt_asset, amount=quantity, by_owner=True)


def liquity_withdrawal(made: Made, asset: str, quantity: int) -> Call:
    """Return the withdrawal of collateral to the trove's owner."""
    arguments = (quantity, *ANYWHERE)
    return made.call(LIQUITY_WITHDRAW, arguments, asset=asset, amount=quantity, by_owner=True)


def _venus(made: Made, action: Action) -> Iterator[Call]:
    """Yield calls of the markets of Venus, each of its own contract."""
    tool = action.tool
    asset, quantity = made.case.account.legs[tool.leg].asset, int(action.quantity)
    if tool.kind == "repay":
        yield from _venus_repay(made, asset, quantity)
    elif tool.kind == "add":
        rate = made.case.market.state.get(f"{asset}.exchange_rate", 0)
        if rate <= 0:
            raise NoCall(f"{asset}.exchange_rate is {rate}")
        amount = mul_div_up(quantity, rate, WAD)
        yield made.approval(asset, amount, to=made.market(asset))
        arguments = (made.holder, amount)
        yield made.call(VENUS_SUPPLY, arguments, asset=asset, amount=amount, to=made.market(asset))
    elif tool.kind == "swap" and tool.into is not None:
        debt = made.case.account.legs[tool.into].asset
        yield from _venus_repay(made, debt, swapped_debt(made, action))
        yield venus_withdrawal(made, asset, quantity)
    else:
        raise NoCall(f"venus has no call to {tool.kind}")


def _venus_repay(made: Made, asset: str, amount: int) -> Iterator[Call]:
    """Yield the repayment of a debt, which is in the token's own units."""
    market = made.market(asset)
    yield made.approval(asset, amount, to=market)
    arguments = (made.holder, amount)
    yield made.call(VENUS_REPAY, arguments, asset=asset, amount=amount, to=market)


def venus_withdrawal(made: Made, asset: str, quantity: int) -> Call:
    """Return the withdrawal of so many of a market's own tokens to their holder."""
    to = made.market(asset)
    return made.call(
        VENUS_WITHDRAW, (quantity,), asset=asset, amount=quantity, to=to, by_owner=True
    )


VENUES: Mapping[str, Callable[[Made, Action], Iterator[Call]]] = {
    AAVE_V2: _aave,
    "aave-v3": _aave,
    "liquity-v1": _liquity,
    "morpho-blue": _morpho,
    "venus": _venus,
    "venus-isolated": _venus,
}
"""Venues whose calls are made out."""

WITHDRAWALS: Mapping[str, Callable[[Made, str, int], Call]] = {
    AAVE_V2: aave_withdrawal,
    "aave-v3": aave_withdrawal,
    "liquity-v1": liquity_withdrawal,
    "morpho-blue": morpho_withdrawal,
    "venus": venus_withdrawal,
    "venus-isolated": venus_withdrawal,
}


def _split(types: str) -> list[str]:
    """Return types that commas outside brackets part."""
    return re.findall(r"\([^()]*\)|[^,]+", types)
