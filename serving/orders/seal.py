"""Orders as they are signed: Ed25519 over canonical JSON, and EIP-712 typed data beside it.

The key vouches that an order was made by this service within the owner's limits. It can move no
money: no contract and no exchange knows it.

References
----------
RFC 8032, RFC 8785; EIP-712, https://eips.ethereum.org/EIPS/eip-712, read 2026-11.
"""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from serving.log.entries import canonical
from serving.schemas.orders import OrderContent, Seal

DOMAIN_TYPE = [
    {"name": "name", "type": "string"},
    {"name": "version", "type": "string"},
    {"name": "chainId", "type": "uint256"},
]
CALL_TYPE = [{"name": "to", "type": "address"}, {"name": "data", "type": "bytes"}]
ORDER_TYPE = [
    {"name": "id", "type": "string"},
    {"name": "mandate", "type": "string"},
    {"name": "digest", "type": "bytes32"},
    {"name": "value", "type": "string"},
    {"name": "madeAt", "type": "uint256"},
    {"name": "expiresAt", "type": "uint256"},
    {"name": "calls", "type": "Call[]"},
]


def tree_of(order: OrderContent) -> dict[str, Any]:
    """Return an order as the tree of JSON that is signed, kept and sent."""
    tree: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(order))
    return tree


def sealed(order: Mapping[str, Any], key: Ed25519PrivateKey) -> Seal:
    """Return the seal of an order's tree."""
    text = canonical(order)
    digest = hashlib.sha256(text).hexdigest()
    return Seal(
        digest=digest,
        key=key.public_key().public_bytes_raw().hex(),
        signature=key.sign(text).hex(),
        typed_data=typed_data(order, digest),
    )


def is_sound(order: Mapping[str, Any], seal: Mapping[str, Any], *, trusted: str) -> bool:
    """Return whether an order is what a trusted key signed, and its typed data are of it."""
    text = canonical(order)
    digest = hashlib.sha256(text).hexdigest()
    try:
        public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(trusted))
        public.verify(bytes.fromhex(seal["signature"]), text)
    except (InvalidSignature, ValueError, KeyError):
        return False
    is_same = seal.get("key") == trusted and seal.get("digest") == digest
    return is_same and seal.get("typed_data") == typed_data(order, digest)


def typed_data(order: Mapping[str, Any], digest: str) -> dict[str, Any]:
    """Return an order as EIP-712 typed data; chain 0 where it carries no calls."""
    calls: Sequence[Mapping[str, Any]] = order["calls"]
    chain = calls[0]["chain_id"] if calls else 0
    return {
        "types": {"EIP712Domain": DOMAIN_TYPE, "Call": CALL_TYPE, "Order": ORDER_TYPE},
        "primaryType": "Order",
        "domain": {"name": "Forewarn", "version": "1", "chainId": chain},
        "message": {
            "id": order["id"],
            "mandate": order["mandate"],
            "digest": f"0x{digest}",
            "value": order["value"],
            "madeAt": str(_seconds(order["made_at"])),
            "expiresAt": str(_seconds(order["expires_at"])),
            "calls": [{"to": call["to"], "data": call["data"]} for call in calls],
        },
    }


def _seconds(time: str) -> int:
    """Return a time as whole Unix seconds."""
    return int(datetime.fromisoformat(time).timestamp())
