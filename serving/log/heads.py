"""Signed heads: how long the log was and what was its root, sworn to by a key outside the store.

Whoever holds the store can write the whole log anew; whoever also holds an old head knows.
The key is an Ed25519 seed of 32 bytes in hexadecimal, in a file of its own.
"""

import json
import os
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from models.errors import Fault, InvalidInput
from serving.log.entries import canonical
from serving.log.merkle import Hash

SEED_BYTES = KEY_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """A signed head.

    Parameters
    ----------
    size
        How many entries the log had.
    root
        Of its Merkle tree.
    time
        When it was signed.
    key
        Public key, in hexadecimal.
    signature
        Of `statement`, in hexadecimal.
    """

    size: int
    root: Hash
    time: datetime
    key: str
    signature: str

    def is_sound(self, trusted: str | None = None) -> bool:
        """Return whether the signature is that of the key, and the key the trusted one."""
        if trusted is not None and trusted != self.key:
            return False
        try:
            public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(self.key))
            public.verify(
                bytes.fromhex(self.signature),
                statement(size=self.size, root=self.root, time=self.time),
            )
        except (InvalidSignature, ValueError):
            return False
        return True

    def tree(self) -> dict[str, Any]:
        """Return the head as it is written."""
        return {
            "size": self.size,
            "root": self.root.hex(),
            "time": _written(self.time),
            "key": self.key,
            "signature": self.signature,
        }


def _written(time: datetime) -> str:
    """Return a time as it is signed."""
    return time.astimezone(UTC).isoformat(timespec="microseconds")


def statement(*, size: int, root: Hash, time: datetime) -> bytes:
    """Return what a head's signature is of."""
    return canonical({"size": size, "root": root.hex(), "time": _written(time)})


def signed(key: Ed25519PrivateKey, *, size: int, root: Hash, time: datetime) -> Head:
    """Return a head signed by a key."""
    return Head(
        size=size,
        root=root,
        time=time,
        key=key.public_key().public_bytes_raw().hex(),
        signature=key.sign(statement(size=size, root=root, time=time)).hex(),
    )


def read_key(path: Path) -> Ed25519PrivateKey:
    """Return the key of a file.

    Raises
    ------
    InvalidInput
        When the file cannot be read or holds no seed.
    """
    try:
        seed = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except (OSError, ValueError) as error:
        raise InvalidInput([Fault(str(path), f"is no key: {error}")]) from None
    if len(seed) != SEED_BYTES:
        raise InvalidInput([Fault(str(path), f"{len(seed)} bytes; a seed is {SEED_BYTES}")])
    return Ed25519PrivateKey.from_private_bytes(seed)


def new_key(path: Path) -> str:
    """Write a new key, readable by its owner alone, and return its public part.

    Raises
    ------
    InvalidInput
        When the file stands already or cannot be written.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise InvalidInput([Fault(str(path), f"{error.strerror}")]) from None
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(secrets.token_hex(SEED_BYTES))
    return read_key(path).public_key().public_bytes_raw().hex()


def public_key(text: str) -> str:
    """Return a public key's hexadecimal as heads state it.

    Raises
    ------
    InvalidInput
        When it is none: not hexadecimal, or of another length.
    """
    try:
        raw = bytes.fromhex(text)
        Ed25519PublicKey.from_public_bytes(raw)
    except ValueError:
        detail = f"{text[:80]!r} is no public key: {KEY_BYTES} bytes in hexadecimal are one"
        raise InvalidInput([Fault("--key", detail)]) from None
    return raw.hex()


def append_head(path: Path, head: Head) -> None:
    """Add a head to a file of heads, on the disk before this returns."""
    with path.open("ab") as file:
        file.write(canonical(head.tree()) + b"\n")
        file.flush()
        os.fsync(file.fileno())


def head_of(tree: Mapping[str, Any]) -> Head:
    """Return a head as it is written.

    Raises
    ------
    ValueError
        When it is none.
    """
    if set(tree) != {"size", "root", "time", "key", "signature"}:
        raise ValueError("does not hold exactly key, root, signature, size, time")
    return Head(
        size=int(tree["size"]),
        root=bytes.fromhex(tree["root"]),
        time=datetime.fromisoformat(tree["time"]),
        key=str(tree["key"]),
        signature=str(tree["signature"]),
    )


def read_heads(lines: Iterable[str], *, name: str) -> tuple[Head, ...]:
    """Return the heads of a file, one a line.

    Raises
    ------
    InvalidInput
        Listing every line that is none.
    """
    heads: list[Head] = []
    faults: list[Fault] = []
    for place, line in enumerate(lines, start=1):
        try:
            heads.append(head_of(json.loads(line)))
        except (TypeError, ValueError, AttributeError) as error:
            faults.append(Fault(f"{name}:{place}", f"is no head: {error}"))
    if faults:
        raise InvalidInput(faults)
    return tuple(heads)
