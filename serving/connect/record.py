"""From readings of blocks to the store: one transaction a block, nothing written twice."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from models.domain import Leg, LegKind, MarketId, Price
from serving.connect.reading import AccountReading, Check, Reading
from serving.connect.rpc import Block
from serving.store import Store, Transaction, accounts, connections, market
from serving.store.connections import StoredBlock

Liquidations = Mapping[str, tuple[tuple[str, str], ...]]
"""By account the collateral and debt asset of each of its liquidations."""

Acted = Mapping[str, frozenset[str]]
"""By account the assets in which it did something."""

KINDS = {
    ("collateral", True): "deposit",
    ("collateral", False): "withdraw",
    ("debt", True): "borrow",
    ("debt", False): "repay",
}
"""What it is called that a leg of a kind grew, or shrank."""

RENEWED_EVERY = timedelta(seconds=60)
"""After which a price that did not move is written again, as one that was read again."""

STALE_AFTER = timedelta(minutes=5)
"""Age beyond which what a connection read is stale: five renewals."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fork:
    """What a re-organisation undid.

    Parameters
    ----------
    base
        Newest block that stays.
    depth
        Blocks that were undone.
    """

    base: Block
    depth: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What the store says of a market."""

    terms: Mapping[str, Any] | None
    state: Mapping[str, int]
    prices: Mapping[str, Price]


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """All that is to be written of one head, at once.

    Parameters
    ----------
    moved
        Addresses whose balances were read anew.
    acted
        By number of block: accounts with the assets in which they did something; None where
        whatever changed was done.
    before
        Readings of blocks on the way to the head, of accounts that were touched there.
    liquidations
        By number of block: accounts with the collateral and debt assets of what was liquidated.
    checks
        Of accounts of which there is something new to say.
    blocks
        On the way to the head, the head last.
    fork
        What has to be undone first.
    """

    reading: Reading
    moved: Collection[str]
    acted: Mapping[int, Acted] | None
    before: Sequence[Reading]
    liquidations: Mapping[int, Liquidations]
    checks: Sequence[Check]
    blocks: Sequence[Block]
    fork: Fork | None
    status: Mapping[str, Any]


def write(store: Store, name: str, draft: Draft, *, now: datetime) -> None:
    """Write a draft, all of it or nothing."""
    reading = draft.reading
    whose = reading.market
    names = {reading.account_id(address) for address in reading.accounts}
    with store.begin() as transaction:
        if draft.fork is not None:
            base = draft.fork.base
            connections.undo(
                transaction,
                name,
                whose,
                accounts=sorted(names | set(connections.checked_accounts(transaction, name))),
                after=base.at,
                number=base.number,
                now=now,
            )
        _write_market(transaction, reading, now=now)
        for each in draft.before:
            _write_accounts(transaction, each, each.accounts, draft, now=now)
        _write_accounts(transaction, reading, draft.moved, draft, now=now)
        checks = {
            check.account: [
                {"figure": each.figure, "ours": _text(each.ours), "theirs": _text(each.theirs)}
                for each in check.differences
            ]
            for check in draft.checks
        }
        blocks = [StoredBlock(**block._asdict()) for block in draft.blocks]
        if checks:
            connections.write_checks(transaction, name, checks, block=blocks[-1])
        connections.write_blocks(transaction, name, blocks)
        connections.note_status(transaction, name, draft.status, now=now)


def _write_market(transaction: Transaction, reading: Reading, *, now: datetime) -> None:
    """Write what is new of a market: terms, state and prices, each from its block on."""
    whose, at = reading.market, reading.block.at
    # Blocks of one second replace each other: a moment has one state.
    connections.forget_market(transaction, whose, since=at, until=at)
    before = standing(transaction, whose, at=at)
    if before.terms != reading.terms:
        market.push_terms(transaction, whose, reading.terms, valid_from=at)
    moved = {
        name: value for name, value in reading.state.items() if before.state.get(name) != value
    }
    market.push_state(transaction, whose, moved, at=at)
    renewed = [
        (whose, asset, stamped(price, reading))
        for asset, price in reading.prices.items()
        if is_due(before.prices.get(asset), price, at)
    ]
    market.push_quotes(transaction, renewed, now=now)


def stamped(price: Price, reading: Reading) -> Price:
    """Return a price as it is written: stale once its connection has been silent for long."""
    return replace(price, observed_at=reading.block.at, stale_after=STALE_AFTER)


def is_due(before: Price | None, price: Price, at: datetime) -> bool:
    """Return whether a price is to be written: it moved, or was read long ago."""
    if before is None or _figures(before) != _figures(price):
        return True
    return at - before.observed_at >= RENEWED_EVERY


def _figures(price: Price) -> tuple[int | None, ...]:
    """Return what a price says, whenever it was read."""
    return price.value, price.decimals, price.bid, price.ask


def _write_accounts(
    transaction: Transaction,
    reading: Reading,
    addresses: Collection[str],
    draft: Draft,
    *,
    now: datetime,
) -> None:
    """Write what accounts hold where it changed, and what happened to them, as of a block."""
    block = reading.block
    before = _positions(transaction, [reading.account_id(address) for address in addresses])
    bodies, events = [], []
    for address in sorted(addresses):
        body = account_body(reading, reading.accounts[address])
        last = before.get(body["id"])
        if last == (body["legs"], body["options"]):
            continue
        bodies.append(body)
        if last is not None:
            pairs = draft.liquidations.get(block.number, {}).get(address, ())
            happened = [
                event
                for event in events_between(last[0], body["legs"], pairs)
                if _is_done(event, draft, block.number, address)
            ]
            for place, event in enumerate(happened):
                key = f"{block.hash}:{place}"
                events.append({"account": body["id"], "key": key, "at": block.at, **event})
    accounts.upsert(transaction, bodies, at=block.at, now=now)
    if events:
        accounts.push_events(transaction, events, now=now)


def _is_done(event: Mapping[str, Any], draft: Draft, number: int, address: str) -> bool:
    """Return whether somebody did what changed an account, rather than interest."""
    if draft.acted is None:
        return True
    assets = draft.acted.get(number, {}).get(address, frozenset())
    return not assets.isdisjoint((event["collateral_asset"], event["debt_asset"]))


def events_between(
    before: Sequence[Mapping[str, Any]],
    after: Sequence[Mapping[str, Any]],
    liquidated: Sequence[tuple[str, str]] = (),
) -> list[dict[str, Any]]:
    """Return what happened to an account between two blocks, by what it held in each.

    What a block did to one asset is one event, so that going back over the events from what is
    held now leads exactly to what was held then.

    Parameters
    ----------
    before, after
        Legs as in a request.
    liquidated
        Collateral and debt asset of each liquidation between them.

    >>> leg = {"kind": "debt", "asset": "USDC", "quantity": "5"}
    >>> events_between([leg], [{**leg, "quantity": "3"}])
    [{'kind': 'repay', 'collateral': 0, 'debt': 2, 'collateral_asset': None, 'debt_asset': 'USDC'}]
    """
    moved = _quantities(after)
    for leg, quantity in _quantities(before).items():
        moved[leg] = moved.get(leg, 0) - quantity
    events = []
    for collateral, debt in liquidated:
        seized = -moved.pop(("collateral", collateral), 0)
        repaid = -moved.pop(("debt", debt), 0)
        if seized > 0 or repaid > 0:
            events.append(_event("liquidate", max(seized, 0), max(repaid, 0), collateral, debt))
    for (kind, asset), quantity in moved.items():
        if not quantity:
            continue
        what = KINDS[kind, quantity > 0]
        if liquidated and quantity < 0:
            what = "liquidate"
        if kind == "collateral":
            events.append(_event(what, abs(quantity), 0, asset, None))
        else:
            events.append(_event(what, 0, abs(quantity), None, asset))
    return events


def _quantities(legs: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], int]:
    """Return what is held and owed, by kind and asset."""
    return {(leg["kind"], leg["asset"]): int(leg["quantity"]) for leg in legs}


def _event(
    kind: str, collateral: int, debt: int, collateral_asset: str | None, debt_asset: str | None
) -> dict[str, Any]:
    """Return an event as the store takes it."""
    return {
        "kind": kind,
        "collateral": collateral,
        "debt": debt,
        "collateral_asset": collateral_asset if collateral else None,
        "debt_asset": debt_asset if debt else None,
    }


def account_body(reading: Reading, account: AccountReading) -> dict[str, Any]:
    """Return an account as the store takes it."""
    whose = reading.market
    return {
        "id": reading.account_id(account.address),
        "venue": whose.venue,
        "version": reading.version,
        "market": whose.market,
        "chain": whose.chain,
        "owner": account.address,
        "legs": [leg_body(leg) for leg in account.legs],
        "options": dict(account.options),
    }


def leg_body(leg: Leg) -> dict[str, Any]:
    """Return a leg as the store takes it."""
    body: dict[str, Any] = {
        "kind": leg.kind.value,
        "asset": leg.asset,
        "quantity": str(leg.quantity),
    }
    return {**body, "pledged": leg.pledged} if leg.kind is LegKind.COLLATERAL else body


def _positions(
    transaction: Transaction, names: Collection[str]
) -> dict[str, tuple[list[dict[str, Any]], Mapping[str, int]]]:
    """Return the legs and options of accounts as they were written last."""
    bodies = accounts.read(transaction, list(names))
    return {name: (body["legs"], body["options"]) for name, body in bodies.items()}


def standing(transaction: Transaction, whose: MarketId, *, at: datetime) -> Standing:
    """Return what the store says of a market at a moment."""
    terms = market.terms(transaction, at=at).get(whose)
    return Standing(
        terms=None if terms is None else terms[0],
        state=market.state(transaction, at=at, markets=[whose]).get(whose, {}),
        prices=market.quotes(transaction, at=at, markets=[whose]).get(whose, {}),
    )


def _text(value: int | str | None) -> str | None:
    """Return a figure as text, exact at any size."""
    return None if value is None else str(value)
