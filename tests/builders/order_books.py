"""A store with vaults near their line, and mandates that let a keeper repay."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from alert_crash import verified_channel
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from governed_books import NOON, RATIOS, WAD, lay, price

from models.alerting.policy import default
from serving.evaluation.assess import Model
from serving.orders import keeping
from serving.schemas.orders import MandateBody
from serving.store import Store, accounts, alerts, market
from serving.store.alerts import OWNER, Receiver
from serving.watch.watcher import Watcher

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
SECOND = timedelta(seconds=1)
RULES = Model(bundle=None)
OWNER_NAME = "ada"


def vault(name: str, ratio: int, *, debt: int = 100_000) -> dict[str, Any]:
    """Return a vault of ada's, far above the least debt that its venue allows."""
    legs = [
        {"kind": "collateral", "asset": "ETH", "quantity": str(debt * ratio * WAD // 100_000)},
        {"kind": "debt", "asset": "DAI", "quantity": str(debt * WAD)},
    ]
    return {"id": name, "venue": "maker", "market": "ETH-B", "owner": "ada", "legs": legs}


def put_vaults(store: Store, *, at: datetime, **ratios: int) -> None:
    """Write vaults, some of them at other ratios than at first."""
    bodies = [vault(name, ratio) for name, ratio in {**RATIOS, **ratios}.items()]
    with store.begin() as transaction:
        accounts.upsert(transaction, bodies, at=at, now=at)


def reprice(store: Store, value: int, *, at: datetime) -> None:
    """Move the price of ETH."""
    with store.begin() as transaction:
        market.push_prices(transaction, [("ETH", price(value, at))], now=at)


def lay_owned(store: Store) -> None:
    """Write a book of vaults of one owner, who is told of orders through a verified channel."""
    lay(store)
    put_vaults(store, at=NOON)
    with store.begin() as transaction:
        alerts.add_receiver(
            transaction, Receiver(receiver=OWNER_NAME, audience=OWNER), (), now=NOON
        )
        verified_channel(transaction, OWNER_NAME, now=NOON)


def mandate(**changes: Any) -> dict[str, Any]:
    """Return a mandate to repay once a vault's buffer is 5 % or less, up to a buffer of 10 %."""
    return {
        "owner": "ada",
        "accounts": list(RATIOS),
        "venues": ["maker"],
        "assets": ["DAI"],
        "kinds": ["repay"],
        "trigger": {"buffer": "0.05"},
        "target": {"buffer": "0.1"},
        "per_order": "50000",
        "per_day": "100000",
        "expires_at": "2030-02-01T00:00:00Z",
        "receiver": "ada",
        **changes,
    }


def give(store: Store, name: str = "m", *, at: datetime = NOON, **changes: Any) -> None:
    """Put a mandate in force."""
    body = MandateBody.model_validate(mandate(**changes))
    with store.begin() as transaction:
        keeping.put_mandate(transaction, name, body, keeping.text_of(body), at=at)


class Clock:
    """A clock that may be set."""

    def __init__(self, now: datetime = NOON) -> None:
        self.now = now

    def __call__(self) -> datetime:
        """Return the time."""
        return self.now


def watcher(store: Store, clock: Clock, *, holder: str = "one") -> Watcher:
    """Return a watcher that makes orders."""
    return Watcher(
        store=store,
        model=RULES,
        policy=default(),
        holder=holder,
        clock=clock,
        order_key=KEY,
    )


def key_file(place: Path) -> Path:
    """Write the key to a file and return it."""
    file = place / "order.key"
    file.write_text(bytes(range(32)).hex())
    return file
