"""Calls of contracts and logs of events as bytes.

Selectors and topics are literals beside the signatures they are the hashes of; the tests hold
them to what the compiler says.

References
----------
Contract ABI specification, https://docs.soliditylang.org/en/latest/abi-spec.html, read 2026-11.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from eth_abi.abi import decode, encode
from eth_abi.exceptions import DecodingError, EncodingError

from serving.connect.errors import AnswerInvalid

WORD = 32
ADDRESS = 20


class ContractCall(NamedTuple):
    """A call that changes nothing.

    Parameters
    ----------
    target
        Address, lower case.
    data
        Selector and arguments.
    """

    target: str
    data: bytes


@dataclass(frozen=True)
class Method:
    """A function of a contract.

    Parameters
    ----------
    signature
        Such as `balanceOf(address)`.
    selector
        First four bytes of the signature's hash, hexadecimal.
    outputs
        Types of what it returns.
    """

    signature: str
    selector: str
    outputs: tuple[str, ...]

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """Return the types of the arguments."""
        return split_types(self.signature)

    @cached_property
    def prefix(self) -> bytes:
        """Return the selector as bytes."""
        return bytes.fromhex(self.selector)

    def at(self, target: str, *arguments: Any) -> ContractCall:
        """Return a call of the function at an address."""
        if self.inputs == ("address",):
            # Most calls by far are of this form.
            return ContractCall(target, self.prefix + word_of(arguments[0]))
        try:
            return ContractCall(target, self.prefix + encode(self.inputs, arguments))
        except EncodingError as error:
            raise ValueError(f"{self.signature}: {error}") from None

    def read(self, data: bytes) -> Any:
        """Return what a call returned: a value, or a tuple of several.

        Raises
        ------
        AnswerInvalid
            When the bytes are not of the function's types.
        """
        values = decoded(self.outputs, data, self.signature)
        return values[0] if len(self.outputs) == 1 else values


@dataclass(frozen=True)
class Event:
    """An event of a contract.

    Parameters
    ----------
    signature
        Such as `Transfer(address,address,uint256)`.
    topic
        Hash of the signature.
    names
        Of all parameters, in order.
    indexed
        Names of those that stand in the topics.
    """

    signature: str
    topic: str
    names: tuple[str, ...]
    indexed: tuple[str, ...]

    @cached_property
    def types(self) -> dict[str, str]:
        """Return the type of every parameter."""
        return dict(zip(self.names, split_types(self.signature), strict=True))

    def read(self, topics: Sequence[str], data: bytes) -> dict[str, Any]:
        """Return the parameters of a log by name; raises as `Method.read` does."""
        if len(topics) != len(self.indexed) + 1:
            raise AnswerInvalid(f"{self.signature}: {len(topics)} topics")
        plain = [name for name in self.names if name not in self.indexed]
        values = decoded([self.types[name] for name in plain], data, self.signature)
        stated = dict(zip(plain, values, strict=True))
        for name, topic in zip(self.indexed, topics[1:], strict=True):
            (stated[name],) = decoded([self.types[name]], bytes.fromhex(topic[2:]), self.signature)
        return stated


def decoded(types: Sequence[str], data: bytes, what: str) -> tuple[Any, ...]:
    """Return the values of encoded bytes.

    Raises
    ------
    AnswerInvalid
        When the bytes are not of the types.
    """
    if all(kind.startswith("uint") and "[" not in kind for kind in types):
        return _words(types, data, what)
    try:
        return decode(types, data)
    except (DecodingError, UnicodeDecodeError, OverflowError) as error:
        raise AnswerInvalid(f"{what}: {len(data)} bytes are no answer: {error}") from None


def _words(types: Sequence[str], data: bytes, what: str) -> tuple[int, ...]:
    """Return unsigned integers, each within its width; raises as `decoded` does."""
    if len(data) < WORD * len(types):
        raise AnswerInvalid(f"{what}: {len(data)} bytes are no answer")
    values = tuple(
        int.from_bytes(data[place : place + WORD], "big")
        for place in range(0, WORD * len(types), WORD)
    )
    for kind, value in zip(types, values, strict=True):
        if value >> int(kind[4:] or 256):
            raise AnswerInvalid(f"{what}: {value} is no {kind}")
    return values


def split_types(signature: str) -> tuple[str, ...]:
    """Return the types between the outer brackets of a signature.

    >>> split_types("f(address,(uint256,bool)[],bytes)")
    ('address', '(uint256,bool)[]', 'bytes')
    """
    inner = signature[signature.index("(") + 1 : -1]
    parts: list[str] = []
    depth = 0
    for piece in inner.split(",") if inner else ():
        if depth:
            parts[-1] = f"{parts[-1]},{piece}"
        else:
            parts.append(piece)
        depth += piece.count("(") - piece.count(")")
    return tuple(parts)


def word_of(address: str) -> bytes:
    """Return an address as a word of 32 bytes."""
    return bytes(WORD - ADDRESS) + bytes.fromhex(address[2:])


def topic_of(address: str) -> str:
    """Return an address as it stands in a log's topics."""
    return f"0x{word_of(address).hex()}"


def by_topic(events: Sequence[Event]) -> Mapping[str, Event]:
    """Return events by their topics."""
    return {event.topic: event for event in events}
