"""API keys: what a token is, and how it is recognised.

A token is `fw_<id>_<secret>`: the id finds the record, the secret proves it. The secret is 256
random bits, so one SHA-256 is as hard to turn back as any slow hash; only the hash is stored.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from models.errors import Fault, InvalidInput
from serving.store.keys import KeyRecord

_TOKEN = re.compile(r"fw_([0-9a-f]{16})_([A-Za-z0-9_-]{43})")
_NOBODY = hashlib.sha256(b"nobody").hexdigest()
LONGEST_LABEL = 200


class Scope(StrEnum):
    """What a key may do; `admin` includes the others."""

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"
    WEIGHTS = "weights"
    PROPOSE = "propose"
    APPROVE = "approve"
    ACTIVATE = "activate"
    GOVERN = "govern"
    MANDATE = "mandate"
    KEEP = "keep"


EVERYTHING = frozenset(Scope)


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Who asks.

    Parameters
    ----------
    id
        The key's id, or `loopback` where no keys exist.
    """

    id: str
    scopes: frozenset[Scope]

    def may(self, scope: Scope) -> bool:
        """Return whether a scope is carried."""
        return scope in self.scopes or Scope.ADMIN in self.scopes


LOOPBACK = Principal(id="loopback", scopes=EVERYTHING)
"""Whoever asks a service without keys, which listens on loopback alone."""


def issue(
    label: str,
    *,
    scopes: Iterable[str],
    now: datetime,
    lifetime: timedelta | None = None,
) -> tuple[KeyRecord, str]:
    """Return a new key and its token, which is shown this once.

    Raises
    ------
    InvalidInput
        Listing unknown scopes, an unusable label or lifetime.
    """
    scope_names = tuple(dict.fromkeys(scopes))
    faults = [
        Fault("/scopes", f"{name!r} is none of {', '.join(Scope)}")
        for name in scope_names
        if name not in set(Scope)
    ]
    if not scope_names:
        faults.append(Fault("/scopes", f"at least one of {', '.join(Scope)} is needed"))
    if not 0 < len(label) <= LONGEST_LABEL:
        faults.append(Fault("/label", f"{len(label)} characters, 1 to {LONGEST_LABEL} needed"))
    if lifetime is not None and lifetime <= timedelta(0):
        faults.append(Fault("/lifetime", f"{lifetime} is not above 0"))
    if faults:
        raise InvalidInput(faults)
    name, secret = secrets.token_hex(8), secrets.token_urlsafe(32)
    key = KeyRecord(
        id=name,
        digest=hashlib.sha256(secret.encode()).hexdigest(),
        label=label,
        scopes=tuple(sorted(scope_names)),
        created_at=now,
        expires_at=None if lifetime is None else now + lifetime,
    )
    return key, f"fw_{name}_{secret}"


def successor(old: KeyRecord, *, now: datetime) -> tuple[KeyRecord, str]:
    """Return a new key with the label, scopes and lifetime of an old one, and its token."""
    lifetime = None if old.expires_at is None else old.expires_at - old.created_at
    return issue(old.label, scopes=old.scopes, now=now, lifetime=lifetime)


def recognise(
    authorization: str | None, keys: Mapping[str, KeyRecord], *, now: datetime
) -> Principal | None:
    """Return who an `Authorization` header proves to be, or None.

    The secret is compared in constant time, with a stand-in where the id is not known.
    """
    scheme, _, token = (authorization or "").partition(" ")
    token_match = _TOKEN.fullmatch(token.strip())
    if scheme.lower() != "bearer" or token_match is None:
        return None
    key = keys.get(token_match[1])
    digest = hashlib.sha256(token_match[2].encode()).hexdigest()
    is_same = hmac.compare_digest(digest, _NOBODY if key is None else key.digest)
    if key is None or not is_same or not key.is_valid(now):
        return None
    return Principal(id=key.id, scopes=frozenset(Scope(name) for name in key.scopes))
