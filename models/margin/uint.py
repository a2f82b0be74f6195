"""Integers as wide as the contract that holds them: what would revert, raises."""


def uint(value: int, bits: int = 256) -> int:
    """Return `value` if an unsigned integer of that width can hold it.

    Raises
    ------
    OverflowError
        When it cannot: the contract reverts here.
    """
    if value < 0 or value >> bits:
        raise OverflowError(f"{value} is outside uint{bits}")
    return value


def sint(value: int, bits: int = 256) -> int:
    """Return `value` if a signed integer of that width can hold it.

    Raises
    ------
    OverflowError
        When it cannot: the contract reverts here.
    """
    if (value if value >= 0 else ~value) >> (bits - 1):
        raise OverflowError(f"{value} is outside int{bits}")
    return value
