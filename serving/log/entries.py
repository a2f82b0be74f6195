"""Entries of the log as bytes: canonical JSON, each bound to the one before it.

An entry states its number, its time, who did what to what, and the hash of the chain before it:
chain_n = SHA-256(chain_{n-1} || leaf_n), which begins with 32 zero bytes.

References
----------
RFC 8785 (JSON Canonicalization Scheme).
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import rfc8785

from models.errors import Fault, InvalidInput
from serving.log.merkle import Hash, leaf_hash

START: Hash = bytes(32)
FIELDS = frozenset({"number", "time", "actor", "action", "subject", "body", "previous"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What was done, as it is logged.

    Parameters
    ----------
    number
        Place in the log, from 0 on.
    time
        Aware time; never earlier than that of the entry before.
    actor, action, subject
        Who did what to what.
    body
        All else; whatever canonical JSON holds. Numbers beyond 2^53 and exact ones are text.
    previous
        Chain before the entry.
    """

    number: int
    time: datetime
    actor: str
    action: str
    subject: str
    body: Mapping[str, Any]
    previous: Hash

    def encoded(self) -> bytes:
        """Return the entry in canonical JSON.

        Raises
        ------
        InvalidInput
            When the body holds what canonical JSON does not.
        """
        return canonical(
            {
                "number": self.number,
                "time": self.time.astimezone(UTC).isoformat(timespec="microseconds"),
                "actor": self.actor,
                "action": self.action,
                "subject": self.subject,
                "body": dict(self.body),
                "previous": self.previous.hex(),
            }
        )


def canonical(value: Any) -> bytes:
    """Return a value in canonical JSON: one text for one value, whoever writes it.

    Raises
    ------
    InvalidInput
        When it holds a number or a text that canonical JSON does not.
    """
    try:
        return rfc8785.dumps(value)
    except rfc8785.CanonicalizationError as error:
        raise InvalidInput([Fault("", f"no canonical JSON: {error}")]) from None


def digest(value: Any) -> str:
    """Return the SHA-256 of a value's canonical JSON, in hexadecimal."""
    return hashlib.sha256(canonical(value)).hexdigest()


def chained(previous: Hash, leaf: Hash) -> Hash:
    """Return the chain after a leaf."""
    return hashlib.sha256(previous + leaf).digest()


def decoded(text: bytes) -> Entry:
    """Return the entry of its bytes.

    Raises
    ------
    InvalidInput
        When they are not those that an entry is written with.
    """
    try:
        tree = json.loads(text)
    except (ValueError, UnicodeDecodeError) as error:
        raise InvalidInput([Fault("", f"is not JSON: {error}")]) from None
    if not isinstance(tree, dict) or set(tree) != FIELDS:
        raise InvalidInput([Fault("", f"does not hold exactly {', '.join(sorted(FIELDS))}")])
    try:
        entry = Entry(
            number=int(tree["number"]),
            time=datetime.fromisoformat(tree["time"]),
            actor=str(tree["actor"]),
            action=str(tree["action"]),
            subject=str(tree["subject"]),
            body=dict(tree["body"]),
            previous=bytes.fromhex(tree["previous"]),
        )
        is_canonical = entry.encoded() == text
    except (TypeError, ValueError) as error:
        raise InvalidInput([Fault("", f"is no entry: {error}")]) from None
    if not is_canonical:
        raise InvalidInput([Fault("", "is not canonical JSON: something was changed in it")])
    return entry


def leaf_of(text: bytes) -> Hash:
    """Return the leaf of an entry's bytes."""
    return leaf_hash(text)
