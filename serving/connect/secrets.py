"""Secrets of connections, sealed: endpoints with their keys.

AES-256-GCM with the connection's name as associated data, so that what was sealed for one
connection opens for no other. The key is not in the store: it comes from the variable
`FOREWARN_CONNECT_KEY`, or from the file that `FOREWARN_CONNECT_KEY_FILE` names, as 32 bytes in
base64; several, separated by commas, are tried in turn, and the first one seals.

References
----------
NIST SP 800-38D; RFC 5116; cryptography's `AESGCM`, https://cryptography.io; read 2026-11.
"""

import base64
import binascii
import json
import os
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from models.errors import Fault, ForewarnError, InvalidInput
from serving.settings import ConnectSettings, section_of

VARIABLE = "FOREWARN_CONNECT_KEY"
FILE = "FOREWARN_CONNECT_KEY_FILE"
KEY_BYTES = 32
NONCE_BYTES = 12
VERSION = b"\x01"


class SealBroken(ForewarnError):  # noqa: N818 - named for what happened
    """A secret was not sealed by any key at hand, or was altered."""


def new_key() -> str:
    """Return a fresh key as text."""
    return base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()


def keys_of(environment: Mapping[str, str] = os.environ) -> tuple[bytes, ...]:
    """Return the keys at hand, the one that seals first; none where none is set.

    Raises
    ------
    InvalidInput
        When a file cannot be read, or a key is none; never with the key in the message.
    """
    stated = section_of(ConnectSettings, environment)
    text, where = stated.key, f"${VARIABLE}"
    if text is None and stated.key_file is not None:
        where = f"${FILE}"
        try:
            text = stated.key_file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            detail = getattr(error, "strerror", None) or "is no text"
            raise InvalidInput([Fault(where, detail)]) from None
    parts = [part.strip() for part in (text or "").split(",") if part.strip()]
    keys, faults = [], []
    for place, part in enumerate(parts):
        try:
            key = base64.b64decode(part, validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if len(key) != KEY_BYTES:
            detail = f"key {place + 1} is not {KEY_BYTES} bytes in base64"
            faults.append(Fault(where, detail))
        keys.append(key)
    if faults:
        raise InvalidInput(faults)
    return tuple(keys)


def seal(value: Mapping[str, Any], *, name: str, keys: Sequence[bytes]) -> bytes:
    """Return a secret sealed for a connection.

    Raises
    ------
    InvalidInput
        When there is no key.
    """
    if not keys:
        detail = f"set {VARIABLE} or {FILE}: secrets are not stored unsealed"
        raise InvalidInput([Fault("", detail)])
    nonce = secrets.token_bytes(NONCE_BYTES)
    plain = json.dumps(value, separators=(",", ":")).encode()
    return VERSION + nonce + AESGCM(keys[0]).encrypt(nonce, plain, name.encode())


def unseal(sealed: bytes, *, name: str, keys: Sequence[bytes]) -> dict[str, Any]:
    """Return a secret.

    Raises
    ------
    SealBroken
        When no key at hand opens it, or it was sealed for another connection.
    """
    nonce, body = sealed[1 : 1 + NONCE_BYTES], sealed[1 + NONCE_BYTES :]
    if sealed[:1] == VERSION:
        for key in keys:
            try:
                plain = AESGCM(key).decrypt(nonce, body, name.encode())
            except InvalidTag:
                continue
            opened: dict[str, Any] = json.loads(plain)
            return opened
    raise SealBroken(f"the secrets of connection {name!r} open with none of {len(keys)} keys")


def resealed(sealed: bytes, *, name: str, keys: Sequence[bytes]) -> bytes:
    """Return a secret sealed anew by the first key; raises as `unseal` does."""
    return seal(unseal(sealed, name=name, keys=keys), name=name, keys=keys)
