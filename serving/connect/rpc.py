"""A chain through several endpoints: one agreed head, reads pinned to a block, logs by range.

With two endpoints or more every read is asked of two and compared; where they differ a third
decides, and without a third nothing is taken. A block is named by its hash (EIP-1898), so that
no read mixes two states of the chain.

References
----------
EIP-1898, https://eips.ethereum.org/EIPS/eip-1898; Multicall3 (`aggregate3`),
https://github.com/mds1/multicall3; read 2026-11.
"""

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

import httpx

from models.errors import Fault, InvalidInput
from serving.connect.abi import ContractCall, Method, decoded
from serving.connect.body import url_faults
from serving.connect.endpoint import TIMEOUT_SECONDS, Endpoint, Request
from serving.connect.errors import (
    AnswerInvalid,
    BlockGone,
    ConnectFailed,
    EndpointFailed,
    EndpointsDisagree,
    HistoryPruned,
    NotAContract,
    RangeTooWide,
    RateLimited,
    Reverted,
    WrongChain,
)

MULTICALL = "0xca11bde05977b3631167028862be2a173976ca11"
"""Where Multicall3 stands on every chain that has it."""

AGGREGATE = Method("aggregate3((address,bool,bytes)[])", "82ad56cb", ("(bool,bytes)[]",))
CHUNK = 200
"""Calls made at once: what a usual node computes within its limit of gas for one question."""

BATCH = 100
"""Requests of one body."""

ROUNDS = 6
FIRST_PAUSE = 0.25
LONGEST_PAUSE = 30.0
MOST_LAG = 5
"""Blocks behind the foremost beyond which an endpoint is not listened to."""

DEEPEST_FORK = 8
"""Blocks back in which endpoints that differ about the head must come to agree."""

FIRST_SPAN = 2_000
WIDEST_SPAN = 100_000
FULL = 2_000
"""Logs of one answer beyond which the next range is not made wider."""


class Block(NamedTuple):
    """A block of the chain."""

    number: int
    hash: str
    parent: str
    at: datetime


class Log(NamedTuple):
    """Something that a contract said.

    Parameters
    ----------
    address
        Of the contract, lower case.
    place
        In the block.
    """

    address: str
    topics: tuple[str, ...]
    data: bytes
    block: int
    block_hash: str
    transaction: str
    place: int


class Logs(NamedTuple):
    """What contracts said in a range of blocks, both ends included, in order."""

    first: int
    last: int
    logs: tuple[Log, ...]


@dataclass(slots=True)
class Chain:
    """A chain, asked through whichever of its endpoints are well.

    Parameters
    ----------
    name
        As accounts state it.
    chain_id
        As the chain itself says it (EIP-155).
    confirms
        Whether every read is asked of two endpoints, where there are two.
    sleep, clock
        Waits and tells monotonic seconds.
    """

    name: str
    chain_id: int
    endpoints: tuple[Endpoint, ...]
    confirms: bool = True
    sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep
    clock: Callable[[], float] = time.monotonic
    jitter: random.Random = field(default_factory=random.Random)
    _has_multicall: bool | None = field(default=None, init=False)

    @property
    def is_batching(self) -> bool:
        """Return whether calls are made at once, each after what the one before did."""
        return bool(self._has_multicall)

    async def verify(self) -> None:
        """Make sure that every endpoint that answers serves this chain.

        Endpoints that ask to be left alone are waited for where no other answers.

        Raises
        ------
        WrongChain
            Naming every endpoint of another chain.
        EndpointFailed
            When none answers.
        """
        for tries in range(ROUNDS):
            failures = await self._unverified()
            limited = [each for each in failures if isinstance(each, RateLimited)]
            if len(failures) < len(self.endpoints):
                return
            if not limited or tries == ROUNDS - 1:
                raise failures[0]
            await self.sleep(min(self._pause(tries, each) for each in limited))

    async def _unverified(self) -> list[ConnectFailed]:
        """Ask every endpoint for its chain; return why those that do not answer do not.

        Raises
        ------
        WrongChain
            Naming every endpoint of another chain.
        """
        stated = await asyncio.gather(
            *(self._tried(endpoint, [Request("eth_chainId")]) for endpoint in self.endpoints)
        )
        others = []
        for endpoint, answer in zip(self.endpoints, stated, strict=True):
            if isinstance(answer, list):
                number = _number(answer[0], endpoint.name)
                if number != self.chain_id:
                    others.append(f"{endpoint.name} serves chain {number}")
        if others:
            raise WrongChain(f"{'; '.join(others)}; {self.name} is chain {self.chain_id}")
        return [answer for answer in stated if isinstance(answer, ConnectFailed)]

    async def ask(self, requests: Sequence[Request]) -> list[Any]:
        """Return what each request is answered; the error of a single one as a value.

        Asks again, elsewhere and later, where endpoints fail.

        Raises
        ------
        ConnectFailed
            `EndpointFailed` when none answers to the end, `EndpointsDisagree` when two answer
            differently, `HistoryPruned` or `BlockGone` when every one says so.
        """
        error: ConnectFailed = EndpointFailed(f"{self.name}: no endpoint")
        for tries in range(ROUNDS):
            outcome = await self._round(requests)
            if isinstance(outcome, list):
                return outcome
            error = outcome or error
            if isinstance(error, HistoryPruned | RangeTooWide | EndpointsDisagree):
                break
            if isinstance(error, BlockGone) and tries:
                break
            await self.sleep(self._pause(tries, error) if outcome else self._rest())
        raise error

    async def _round(self, requests: Sequence[Request]) -> list[Any] | ConnectFailed | None:
        """Ask each endpoint once at most, the healthiest first, until two agree.

        Returns
        -------
        list, ConnectFailed or None
            The answers, why there are none, or None where every endpoint rests.
        """
        answers: list[tuple[Endpoint, list[Any]]] = []
        error: ConnectFailed | None = None
        ranked = self._ranked()
        at_once = 2 if self.confirms else 1
        for place in range(0, len(ranked), at_once):
            group = ranked[place : place + at_once]
            tried = await asyncio.gather(*(self._tried(each, requests) for each in group))
            for endpoint, answer in zip(group, tried, strict=True):
                if isinstance(answer, ConnectFailed):
                    error = answer
                elif any(_same(answer, other) for _, other in answers):
                    return answer
                else:
                    answers.append((endpoint, answer))
            if answers and (not self.confirms or len(ranked) == 1):
                return answers[0][1]
        if len(answers) > 1:
            return _disagreement(answers, requests)
        return answers[0][1] if answers else error

    def _rest(self) -> float:
        """Return how long until the first endpoint may be asked again, s."""
        wakes = min((each.health.rests_until for each in self.endpoints), default=0.0)
        return max(wakes - self.clock(), 0.0)

    def _ranked(self) -> list[Endpoint]:
        """Return the endpoints that may be asked now, the healthiest first."""
        now = self.clock()
        awake = [each for each in self.endpoints if each.health.rests_until <= now]
        return sorted(awake, key=lambda each: (each.health.failures, each.health.seconds or 0.0))

    async def _tried(
        self, endpoint: Endpoint, requests: Sequence[Request]
    ) -> list[Any] | ConnectFailed:
        """Ask one endpoint and note how it did."""
        answers: list[Any] = []
        try:
            for place in range(0, len(requests), BATCH):
                answers += await endpoint.ask(requests[place : place + BATCH])
        except ConnectFailed as error:
            self._note(endpoint, error)
            return error
        for answer in answers:
            if isinstance(answer, ConnectFailed) and not isinstance(answer, Reverted):
                self._note(endpoint, answer)
                return answer
        return answers

    def _note(self, endpoint: Endpoint, error: ConnectFailed) -> None:
        """Let an endpoint that failed rest; what it rightly refuses is no failure."""
        if isinstance(error, EndpointFailed):
            pause = self._pause(endpoint.health.failures, error)
            endpoint.health.fail(error, rests_until=self.clock() + pause)

    def _pause(self, tries: int, error: ConnectFailed) -> float:
        """Return how long to wait, s: longer from time to time, or as it was asked for."""
        if isinstance(error, RateLimited) and error.wait is not None:
            return min(error.wait.total_seconds(), LONGEST_PAUSE)
        pause: float = FIRST_PAUSE * 2 ** min(tries, 10)
        return min(pause, LONGEST_PAUSE) * self.jitter.uniform(0.5, 1.0)

    async def block(self, which: int | str) -> Block:
        """Return a block by its number, its hash or a tag; raises as `ask` does."""
        (answer,) = await self.ask([_block_request(which)])
        return _block(answer, which, self.name)

    async def blocks(self, numbers: Iterable[int]) -> list[Block]:
        """Return blocks by their numbers; raises as `ask` does."""
        numbered = list(numbers)
        answers = await self.ask([_block_request(number) for number in numbered])
        return [
            _block(answer, number, self.name)
            for answer, number in zip(answers, numbered, strict=True)
        ]

    async def first_since(self, at: datetime, head: Block) -> Block:
        """Return the first block at or after a moment; the head where there is none.

        Found by halving: block times never fall.
        """
        low, high = 0, head.number
        while low < high:
            middle = (low + high) // 2
            if (await self.block(middle)).at < at:
                low = middle + 1
            else:
                high = middle
        return await self.block(low)

    async def head(self) -> Block:
        """Return the newest block that every endpoint that is well and not behind has.

        Raises
        ------
        EndpointsDisagree
            When they differ about blocks as far back as a fork may reach.
        EndpointFailed
            When none answers.
        """
        newest = await self._newest()
        agreed = min(block.number for block in newest.values())
        for number in range(agreed, max(agreed - DEEPEST_FORK, -1), -1):
            blocks = await self._blocks_at(number, newest)
            by_hash: dict[str, list[Endpoint]] = {}
            for endpoint, block in blocks.items():
                by_hash.setdefault(block.hash, []).append(endpoint)
            most = max(by_hash, key=lambda each: len(by_hash[each]), default=None)
            if most is None:
                continue
            if len(by_hash) == 1 or 2 * len(by_hash[most]) > len(blocks):
                self._distrust(by_hash, most, number)
                return next(block for block in blocks.values() if block.hash == most)
        names = ", ".join(endpoint.name for endpoint in newest)
        raise EndpointsDisagree(
            f"{names} differ about every block from {agreed - DEEPEST_FORK + 1} to {agreed}"
        )

    async def _newest(self) -> dict[Endpoint, Block]:
        """Return the newest block of every endpoint that answers and is not behind."""
        error: ConnectFailed = EndpointFailed(f"{self.name}: no endpoint")
        for tries in range(ROUNDS):
            ranked = self._ranked()
            answers = await asyncio.gather(
                *(self._tried(endpoint, [_block_request("latest")]) for endpoint in ranked)
            )
            blocks: dict[Endpoint, Block] = {}
            for endpoint, answer in zip(ranked, answers, strict=True):
                if isinstance(answer, list):
                    blocks[endpoint] = _block(answer[0], "latest", endpoint.name)
                    endpoint.health.head = blocks[endpoint].number
                else:
                    error = answer
            if blocks:
                return self._in_step(blocks)
            await self.sleep(self._pause(tries, error))
        raise error

    def _in_step(self, blocks: dict[Endpoint, Block]) -> dict[Endpoint, Block]:
        """Leave out the endpoints that are behind the foremost."""
        foremost = max(block.number for block in blocks.values())
        near = {}
        for endpoint, block in blocks.items():
            if foremost - block.number <= MOST_LAG:
                near[endpoint] = block
            else:
                endpoint.health.error = f"{foremost - block.number} blocks behind"
                endpoint.health.code = "lagging"
        return near

    async def _blocks_at(self, number: int, newest: dict[Endpoint, Block]) -> dict[Endpoint, Block]:
        """Return every endpoint's block of a number."""
        ahead = [endpoint for endpoint, block in newest.items() if block.number != number]
        answers = await asyncio.gather(
            *(self._tried(endpoint, [_block_request(number)]) for endpoint in ahead)
        )
        blocks = {endpoint: block for endpoint, block in newest.items() if block.number == number}
        for endpoint, answer in zip(ahead, answers, strict=True):
            if isinstance(answer, list) and answer[0] is not None:
                blocks[endpoint] = _block(answer[0], number, endpoint.name)
        return blocks

    def _distrust(self, by_hash: dict[str, list[Endpoint]], most: str, number: int) -> None:
        """Let rest for longest those whose block is another than most endpoints'."""
        for block_hash, endpoints in by_hash.items():
            for endpoint in endpoints if block_hash != most else ():
                error = EndpointsDisagree(f"{endpoint.name} has another block {number}")
                endpoint.health.fail(error, rests_until=self.clock() + LONGEST_PAUSE)

    async def code(self, address: str, block: Block) -> bytes:
        """Return the code at an address; empty where there is none."""
        (answer,) = await self.ask([Request("eth_getCode", (address, _pinned(block)))])
        return _bytes(answer, self.name)

    async def require_code(self, address: str, block: Block, *, what: str) -> None:
        """Make sure that there is a contract at an address.

        Raises
        ------
        NotAContract
            When there is none.
        """
        if not await self.code(address, block):
            raise NotAContract(f"{what} {address}: no code there on {self.name}")

    async def call(
        self,
        calls: Sequence[ContractCall],
        block: Block,
        *,
        chunk: int = CHUNK,
        is_apart: bool = False,
    ) -> list[bytes | Reverted]:
        """Return what each call returns as of a block, or that the contract refused it.

        Parameters
        ----------
        chunk
            Calls made at once, where the chain has Multicall3.
        is_apart
            Whether each is made as of the block alone: calls made at once see what those before
            them wrote.
        """
        if is_apart:
            return await self._single(calls, block) if calls else []
        if self._has_multicall is None:
            self._has_multicall = bool(await self.code(MULTICALL, block))
        if not self._has_multicall or len(calls) == 1:
            return await self._single(calls, block)
        parts = [calls[place : place + chunk] for place in range(0, len(calls), chunk)]
        answers = [await self._multicall(part, block) for part in parts]
        return [answer for part in answers for answer in part]

    async def _multicall(
        self, calls: Sequence[ContractCall], block: Block
    ) -> list[bytes | Reverted]:
        """Make calls at once; what is refused among them is asked alone, or in smaller parts."""
        data = AGGREGATE.at(MULTICALL, [(each.target, True, each.data) for each in calls]).data
        (answer,) = await self.ask([_call_request(ContractCall(MULTICALL, data), block)])
        if isinstance(answer, Reverted):
            if len(calls) == 1:
                return await self._single(calls, block)
            middle = len(calls) // 2
            first = await self._multicall(calls[:middle], block)
            return first + await self._multicall(calls[middle:], block)
        (results,) = decoded(AGGREGATE.outputs, _bytes(answer, self.name), "aggregate3")
        if len(results) != len(calls):
            raise AnswerInvalid(f"{self.name}: {len(results)} results of {len(calls)} calls")
        answers: list[bytes | Reverted] = [
            data if is_made else Reverted(f"{self.name}: reverted", data)
            for is_made, data in results
        ]
        # A call that runs out of the gas of all looks refused, and says nothing: only alone is it
        # told apart.
        silent = [
            place for place, (is_made, data) in enumerate(results) if not is_made and not data
        ]
        alone = await self._single([calls[place] for place in silent], block) if silent else []
        for place, outcome in zip(silent, alone, strict=True):
            answers[place] = outcome
        return answers

    async def _single(self, calls: Sequence[ContractCall], block: Block) -> list[bytes | Reverted]:
        """Make calls one by one, in batches of requests."""
        answers = await self.ask([_call_request(call, block) for call in calls])
        return [
            answer if isinstance(answer, Reverted) else _bytes(answer, self.name)
            for answer in answers
        ]

    async def logs(
        self,
        addresses: Sequence[str],
        *,
        first: int,
        last: int,
        topics: Sequence[Any] = (),
        span: int = FIRST_SPAN,
    ) -> AsyncIterator[Logs]:
        """Yield what contracts said, range by range, as wide as the endpoints allow.

        Parameters
        ----------
        first, last
            Numbers of blocks, both included.
        topics
            As `eth_getLogs` takes them: per place a topic, several, or None.
        span
            Blocks of the first range.

        Raises
        ------
        RangeTooWide
            When one block holds more than an endpoint gives.
        """
        while first <= last:
            end = min(first + span - 1, last)
            wish = {
                "address": list(addresses),
                "topics": list(topics),
                "fromBlock": hex(first),
                "toBlock": hex(end),
            }
            try:
                (answer,) = await self.ask([Request("eth_getLogs", (wish,))])
            except RangeTooWide:
                if span == 1:
                    raise
                span = max(1, min(span, end - first + 1) // 4)
                continue
            logs = _logs(answer, self.name)
            yield Logs(first, end, logs)
            first = end + 1
            if len(logs) < FULL:
                span = min(2 * span, WIDEST_SPAN)


def chain_of(name: str, chain_id: int, urls: Sequence[str], *, confirms: bool = True) -> Chain:
    """Return a chain behind endpoints.

    Raises
    ------
    InvalidInput
        Listing what is no URL of HTTP, and what stands twice.
    """
    faults = url_faults(urls) if urls else [Fault("/rpc", "name at least one endpoint")]
    if faults:
        raise InvalidInput(faults)
    # The library logs whole URLs, and these hold keys.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    client = httpx.AsyncClient(timeout=TIMEOUT_SECONDS)
    endpoints = tuple(Endpoint(url, client) for url in urls)
    return Chain(name, chain_id, endpoints, confirms=confirms)


async def close(chain: Chain) -> None:
    """Give back the connections of a chain."""
    for client in {id(each.client): each.client for each in chain.endpoints}.values():
        await client.aclose()


def _same(answer: Sequence[Any], other: Sequence[Any]) -> bool:
    """Return whether two endpoints answered alike; of refusals only that they are counts."""
    return all(
        (isinstance(left, Reverted) and isinstance(right, Reverted)) or left == right
        for left, right in zip(answer, other, strict=True)
    )


def _disagreement(
    answers: Sequence[tuple[Endpoint, list[Any]]], requests: Sequence[Request]
) -> EndpointsDisagree:
    """Return where endpoints differ."""
    (first, left), (second, right) = answers[:2]
    place = next(
        place
        for place, pair in enumerate(zip(left, right, strict=True))
        if not _same(pair[:1], pair[1:])
    )
    return EndpointsDisagree(
        f"{first.name} and {second.name} answer {requests[place].method} differently"
    )


def _block_request(which: int | str) -> Request:
    """Return the question for a block."""
    if isinstance(which, str) and which.startswith("0x"):
        return Request("eth_getBlockByHash", (which, False))
    tag = hex(which) if isinstance(which, int) else which
    return Request("eth_getBlockByNumber", (tag, False))


def _call_request(call: ContractCall, block: Block) -> Request:
    """Return the question for what a call returns as of a block."""
    stated = {"to": call.target, "data": f"0x{call.data.hex()}"}
    return Request("eth_call", (stated, _pinned(block)))


def _pinned(block: Block) -> dict[str, Any]:
    """Return a block as EIP-1898 names it."""
    return {"blockHash": block.hash, "requireCanonical": True}


def _block(answer: Any, which: int | str, name: str) -> Block:
    """Return a block as it was answered.

    Raises
    ------
    BlockGone
        When there is none.
    AnswerInvalid
        When it is not one, or another than was asked for.
    """
    if answer is None:
        raise BlockGone(f"{name}: no block {which}")
    try:
        block = Block(
            number=int(answer["number"], 16),
            hash=str(answer["hash"]).lower(),
            parent=str(answer["parentHash"]).lower(),
            at=datetime.fromtimestamp(int(answer["timestamp"], 16), tz=UTC),
        )
    except (KeyError, TypeError, ValueError, OverflowError, OSError):
        raise AnswerInvalid(f"{name}: block {which} is not one") from None
    if which not in {block.number, block.hash} and str(which) not in TAGS:
        raise AnswerInvalid(f"{name}: block {block.number} in place of {which}")
    return block


TAGS = frozenset({"latest", "safe", "finalized", "earliest"})


def _logs(answer: Any, name: str) -> tuple[Log, ...]:
    """Return logs in order.

    Raises
    ------
    AnswerInvalid
        When they are not logs.
    """
    try:
        logs = [
            Log(
                address=str(item["address"]).lower(),
                topics=tuple(str(topic).lower() for topic in item["topics"]),
                data=bytes.fromhex(item["data"][2:]),
                block=int(item["blockNumber"], 16),
                block_hash=str(item["blockHash"]).lower(),
                transaction=str(item["transactionHash"]).lower(),
                place=int(item["logIndex"], 16),
            )
            for item in answer
            if not item.get("removed")
        ]
    except (KeyError, TypeError, ValueError, AttributeError):
        raise AnswerInvalid(f"{name}: logs that are none") from None
    return tuple(sorted(logs, key=lambda log: (log.block, log.place)))


def _bytes(answer: Any, name: str) -> bytes:
    """Return bytes that were answered as hexadecimal text.

    Raises
    ------
    AnswerInvalid
        When they were not.
    """
    try:
        return bytes.fromhex(answer[2:])
    except (TypeError, ValueError):
        raise AnswerInvalid(f"{name}: {str(answer)[:40]!r} is no hexadecimal text") from None


def _number(answer: Any, name: str) -> int:
    """Return a number that was answered as hexadecimal text; raises as `_bytes` does."""
    try:
        return int(answer, 16)
    except (TypeError, ValueError):
        raise AnswerInvalid(f"{name}: {str(answer)[:40]!r} is no number") from None
