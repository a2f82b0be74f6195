"""Secrets that are sealed: what opens them, what does not, and what is never said."""

import base64
from pathlib import Path

import pytest

from models.errors import InvalidInput
from serving.connect.secrets import (
    FILE,
    VARIABLE,
    SealBroken,
    keys_of,
    new_key,
    resealed,
    seal,
    unseal,
)

SECRET = {"rpc": ["https://eth.example/v3/0123456789abcdef"]}


def keys(*texts: str) -> tuple[bytes, ...]:
    """Return keys as an environment names them."""
    return keys_of({VARIABLE: ",".join(texts)})


def test_what_is_sealed_opens_for_its_connection_alone() -> None:
    """With the key and the name it is the same; under another name, or altered, it is nothing."""
    mine = keys(new_key())
    sealed = seal(SECRET, name="mine", keys=mine)
    assert unseal(sealed, name="mine", keys=mine) == SECRET
    assert b"eth.example" not in sealed
    with pytest.raises(SealBroken, match="'yours' open with none of 1 keys"):
        unseal(sealed, name="yours", keys=mine)
    for place in (0, 5, len(sealed) - 1):
        altered = bytearray(sealed)
        altered[place] ^= 1
        with pytest.raises(SealBroken):
            unseal(bytes(altered), name="mine", keys=mine)
    with pytest.raises(SealBroken):
        unseal(sealed, name="mine", keys=keys(new_key()))


def test_the_same_secret_is_never_sealed_alike() -> None:
    """Each sealing draws its own nonce."""
    mine = keys(new_key())
    assert seal(SECRET, name="mine", keys=mine) != seal(SECRET, name="mine", keys=mine)


def test_keys_are_rotated() -> None:
    """The old key opens until it is left out; what was sealed anew needs the new one alone."""
    old, new = new_key(), new_key()
    sealed = seal(SECRET, name="mine", keys=keys(old))
    again = resealed(sealed, name="mine", keys=keys(new, old))
    assert unseal(again, name="mine", keys=keys(new)) == SECRET
    with pytest.raises(SealBroken):
        unseal(again, name="mine", keys=keys(old))


def test_a_key_comes_from_a_variable_or_a_file(tmp_path: Path) -> None:
    """Of both the variable counts; without either there is none."""
    key, other = new_key(), new_key()
    file = tmp_path / "key"
    file.write_text(f"{key}\n")
    assert keys_of({FILE: str(file)}) == keys(key)
    assert keys_of({FILE: str(file), VARIABLE: other}) == keys(other)
    assert keys_of({}) == ()
    with pytest.raises(InvalidInput, match="secrets are not stored unsealed"):
        seal(SECRET, name="mine", keys=())


def test_a_key_that_is_none_is_refused_without_being_shown(tmp_path: Path) -> None:
    """Every one is named by its place; a file that is not there by the variable."""
    short = base64.b64encode(b"too short").decode()
    with pytest.raises(InvalidInput) as caught:
        keys(new_key(), short, "no base64")
    assert [str(fault) for fault in caught.value.faults] == [
        f"${VARIABLE}: key 2 is not 32 bytes in base64",
        f"${VARIABLE}: key 3 is not 32 bytes in base64",
    ]
    with pytest.raises(InvalidInput, match=rf"\${FILE}: No such file"):
        keys_of({FILE: str(tmp_path / "absent")})
