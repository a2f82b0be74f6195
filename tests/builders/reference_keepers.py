"""Reference keepers: one acts on a chain with an account of its own, one at an exchange.

Each knows nothing of the service but its HTTP interface and the public key that it trusts. Before
it acts it holds an order to its signature and accepts it; what it did, or why it could not, it
reports.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

Ask = Callable[..., httpx.Response]
"""Asks the service: method, path, and the JSON of the body."""

ACCEPTED, REFUSED = 200, 409


def is_signed(answer: Mapping[str, Any], trusted: str) -> bool:
    """Return whether an order is what a trusted key signed, read from the answer alone."""
    text = rfc8785.dumps(answer["order"])
    if answer["seal"]["digest"] != hashlib.sha256(text).hexdigest():
        return False
    public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(trusted))
    try:
        public.verify(bytes.fromhex(answer["seal"]["signature"]), text)
    except Exception:  # noqa: BLE001 - whatever is wrong with it
        return False
    return True


@dataclass
class Keeper:
    """Takes ready orders, one after another.

    Parameters
    ----------
    act
        Carries an order out and returns the receipt; raises where it cannot.
    """

    ask: Ask
    trusted: str
    act: Callable[[Mapping[str, Any]], str]
    seen: list[str] = field(default_factory=list)

    def turn(self) -> list[dict[str, Any]]:
        """Act on every order that is ready, and return what became of each."""
        listed = self.ask("GET", "/v1/orders?state=ready").json()["orders"]
        return [self._one(answer) for answer in reversed(listed)]

    def _one(self, answer: Mapping[str, Any]) -> dict[str, Any]:
        """Act on one order."""
        name = answer["id"]
        assert is_signed(answer, self.trusted), name
        accepted = self.ask("POST", f"/v1/orders/{name}/accept", {})
        if accepted.status_code == REFUSED:
            return dict(accepted.json())
        assert accepted.status_code == ACCEPTED, accepted.text
        assert name not in self.seen, "never twice"
        self.seen.append(name)
        try:
            receipt = self.act(answer["order"])
        except Failed as error:
            body = {"reason": str(error), "moved": error.has_moved}
            return dict(self.ask("POST", f"/v1/orders/{name}/failed", body).json())
        return dict(self.ask("POST", f"/v1/orders/{name}/done", {"receipt": receipt}).json())


class Failed(Exception):  # noqa: N818 - named for what happened
    """An order could not be carried out."""

    def __init__(self, reason: str, *, has_moved: bool) -> None:
        self.has_moved = has_moved
        super().__init__(reason)
