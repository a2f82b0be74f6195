"""What readers of every venue need of tokens and of contracts that answer, or do not."""

from collections.abc import Sequence
from typing import Any

from serving.connect.abi import WORD, Method, decoded
from serving.connect.errors import NotAContract, Reverted
from serving.connect.rpc import Block, Chain

NOBODY = "0x" + "00" * 20
SYMBOL = Method("symbol()", "95d89b41", ("string",))

DECIMALS = Method("decimals()", "313ce567", ("uint8",))


def decimals_of(answer: bytes | Reverted) -> int | None:
    """Return the digits between a token and its smallest unit; None where it does not say."""
    return None if isinstance(answer, Reverted) or not answer else int(DECIMALS.read(answer))


def symbol_of(answer: bytes | Reverted) -> str:
    """Return a token's symbol, text or the older 32 bytes; empty where it has none."""
    if isinstance(answer, Reverted) or not answer:
        return ""
    if len(answer) == WORD:
        return answer.rstrip(b"\0").decode(errors="replace")
    (symbol,) = decoded(SYMBOL.outputs, answer, SYMBOL.signature)
    return str(symbol).strip()


def sound(answer: bytes | Reverted, target: str, method: Method) -> bytes:
    """Return the bytes of an answer.

    Raises
    ------
    NotAContract
        When the contract refused, or has no such function.
    """
    if isinstance(answer, Reverted) or not answer:
        raise NotAContract(f"{target} does not answer {method.signature}")
    return answer


async def values_of(
    chain: Chain, block: Block, target: str, methods: Sequence[Method]
) -> list[Any]:
    """Return what functions of a contract return, in one call; raises as `sound` does."""
    answers = await chain.call([method.at(target) for method in methods], block)
    return [
        method.read(sound(answer, target, method))
        for method, answer in zip(methods, answers, strict=True)
    ]
