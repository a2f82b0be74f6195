"""Maker (Sky): the vaults of one collateral type, found through the venue's own list of contracts.

What decides is read once the stability fee is dripped and the price poked, as whoever liquidates
does first, in a call that changes nothing. The oracle tells its price to few; the price by which a
vault is judged is the one that the stored `spot` stands for. In the same way the venue's own code
is asked about every vault that owes: its liquidation is tried. That comparison is all that ties
this reader to the venue's code, since no package ships it and no test runs it.

References
----------
makerdao/dss (vat, spot, jug, dog, clip) and the chainlog, by the interfaces in npm `dss-interfaces`
0.1.1, and the published ones of Dog and Clipper; read 2026-11.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from models.domain import Leg, LegKind, MarketId, Price
from models.margin.fixed_point import RAY, mul_div_up
from models.margin.result import Margin, Verdict
from models.margin.rulebook import load
from models.margin.venues.maker import FEED_TO_RAY, ORACLE_DECIMALS, Terms, spot_price
from serving.connect.abi import ContractCall, Method, decoded, topic_of
from serving.connect.errors import NotAContract, Reverted, UnknownRevision
from serving.connect.reading import (
    AccountReading,
    Check,
    Difference,
    LaidOut,
    Reading,
    checks_of,
    difference,
)
from serving.connect.rpc import CHUNK, Block, Chain, Log
from serving.connect.tokens import NOBODY, SYMBOL, sound, symbol_of

VENUE = "maker"
VERSION = "dss"
WORD = 32

ADDRESS_OF = Method("getAddress(bytes32)", "21f8a721", ("address",))
VAT_TYPE = Method("ilks(bytes32)", "d9638d36", ("uint256",) * 5)
SPOT_TYPE = Method("ilks(bytes32)", "d9638d36", ("address", "uint256"))
JUG_TYPE = Method("ilks(bytes32)", "d9638d36", ("uint256", "uint256"))
DOG_TYPE = Method("ilks(bytes32)", "d9638d36", ("address", "uint256", "uint256", "uint256"))
VAULT = Method("urns(bytes32,address)", "2424be5c", ("uint256", "uint256"))
LIVE = Method("live()", "957aa58c", ("uint256",))
PAR = Method("par()", "495d32cb", ("uint256",))
BASE = Method("base()", "5001f3b5", ("uint256",))
HOLE = Method("Hole()", "af7cfeb1", ("uint256",))
DIRT = Method("Dirt()", "eda6e121", ("uint256",))
BUF = Method("buf()", "15232515", ("uint256",))
TAIL = Method("tail()", "13d8c840", ("uint256",))
CUSP = Method("cusp()", "49ed5931", ("uint256",))
STOPPED = Method("stopped()", "75f12b21", ("uint256",))
CALC = Method("calc()", "96f1b6be", ("address",))
TAU = Method("tau()", "cfc4af55", ("uint256",))
STEP = Method("step()", "e25fe175", ("uint256",))
CUT = Method("cut()", "e6fd604c", ("uint256",))
GEM = Method("gem()", "7bd2bea7", ("address",))
DRIP = Method("drip(bytes32)", "44e2a5a8", ("uint256",))
POKE = Method("poke(bytes32)", "1504460f", ())
PROXY_OF = Method("proxies(address)", "c4552791", ("address",))
VAULTS_OF = Method(
    "getCdpsAsc(address,address)", "1ce03f38", ("uint256[]", "address[]", "bytes32[]")
)
BARK = Method("bark(bytes32,address,address)", "ed998908", ("uint256",))
METHODS = (
    *(ADDRESS_OF, VAT_TYPE, VAULT, LIVE, PAR, BASE, HOLE, DIRT, BUF, TAIL, CUSP, STOPPED, CALC),
    *(TAU, STEP, CUT, GEM, DRIP, POKE, BARK, PROXY_OF, VAULTS_OF),
)

ERROR = bytes.fromhex("08c379a0")
"""Selector of `Error(string)`, which a refusal in words begins with."""

SAFE = "Dog/not-unsafe"
SHUT_DOWN = "Dog/not-live"
"""Refused so whatever a vault owes."""

ALL_STOPPED = 3
"""Level of a clipper at which nothing goes on; here also that of a dog that is shut down."""

FROB = "0x76088703" + "00" * 28
FORK = "0x870c616d" + "00" * 28
GRAB = "0x7bab3f40" + "00" * 28
"""First topics of the notes that the vat makes of its calls: selector, type, vault, another."""

NOTES = {
    FROB: ("bytes32", "address", "address", "address", "int256", "int256"),
    FORK: ("bytes32", "address", "address", "int256", "int256"),
}
"""By note: what was called with."""

VAULTS_AT_ONCE = 40
"""Liquidations tried in one call, each of which may open an auction in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The contracts of one collateral type, lower case, and what its legs are called."""

    vat: str
    spotter: str
    jug: str
    dog: str
    clip: str
    calc: str
    collateral: str
    debt: str


@dataclass(slots=True, kw_only=True)
class MakerReader(LaidOut[Layout]):
    """Reads the vaults of one collateral type.

    Parameters
    ----------
    market
        Its market is the type, such as `ETH-A`.
    chainlog
        Address of the venue's list of contracts, lower case.
    """

    market: MarketId
    chainlog: str

    @property
    def version(self) -> str:
        """Return the only version."""
        return VERSION

    @property
    def ilk(self) -> bytes:
        """Return the type's name as the contracts have it."""
        return self.market.market.encode().ljust(WORD, b"\0")

    @property
    def contracts(self) -> tuple[str, ...]:
        """Return the vat: it alone keeps what vaults hold and owe."""
        return (self._laid().vat,)

    @property
    def log_topics(self) -> tuple[object, ...]:
        """Return what logs are asked for: those of the type."""
        return (None, f"0x{self.ilk.hex()}")

    @property
    def borrow_topics(self) -> tuple[str, ...]:
        """Return the topics of what may put a vault into debt."""
        return (FROB, FORK)

    async def prepare(self, chain: Chain, block: Block) -> None:
        """Find the contracts of the type.

        Raises
        ------
        NotAContract
            When there is no list of contracts at the address, or no such type.
        UnknownRevision
            When its auctions are of a kind that is not known here.
        """
        await chain.require_code(self.chainlog, block, what="chainlog")
        names = ("MCD_VAT", "MCD_SPOT", "MCD_JUG", "MCD_DOG", "MCD_DAI")
        calls = [ADDRESS_OF.at(self.chainlog, name.encode().ljust(WORD, b"\0")) for name in names]
        join = f"MCD_JOIN_{self.market.market.replace('-', '_')}".encode()
        *answers, join_answer = await chain.call(
            [*calls, ADDRESS_OF.at(self.chainlog, join[:WORD].ljust(WORD, b"\0"))], block
        )
        vat, spotter, jug, dog, dai = (
            ADDRESS_OF.read(sound(answer, self.chainlog, ADDRESS_OF)).lower() for answer in answers
        )
        vat_type, dog_type = await chain.call(
            [VAT_TYPE.at(vat, self.ilk), DOG_TYPE.at(dog, self.ilk)], block
        )
        clip = DOG_TYPE.read(sound(dog_type, dog, DOG_TYPE))[0].lower()
        if not VAT_TYPE.read(sound(vat_type, vat, VAT_TYPE))[1] or clip == NOBODY:
            raise NotAContract(f"{self.market.market} is no collateral type that is liquidated")
        (calc,) = await chain.call([CALC.at(clip)], block)
        symbol = await self._collateral(chain, block, join_answer)
        (stable,) = await chain.call([SYMBOL.at(dai)], block)
        self.layout = Layout(
            vat=vat,
            spotter=spotter,
            jug=jug,
            dog=dog,
            clip=clip,
            calc=CALC.read(sound(calc, clip, CALC)).lower(),
            collateral=symbol or self.market.market.split("-")[0],
            debt=symbol_of(stable) or dai,
        )

    async def _collateral(self, chain: Chain, block: Block, join: bytes | Reverted) -> str:
        """Return the symbol of what the type takes; empty where its adapter is not listed."""
        if isinstance(join, Reverted) or not join:
            return ""
        (gem,) = await chain.call([GEM.at(ADDRESS_OF.read(join))], block)
        if isinstance(gem, Reverted) or not gem:
            return ""
        (symbol,) = await chain.call([SYMBOL.at(GEM.read(gem))], block)
        return symbol_of(symbol)

    def _fresh(self, chain: Chain) -> list[ContractCall]:
        """Return the calls that bring fee and price up to the block, where several can be made."""
        layout = self._laid()
        if not chain.is_batching:
            return []
        return [DRIP.at(layout.jug, self.ilk), POKE.at(layout.spotter, self.ilk)]

    async def read(
        self,
        chain: Chain,
        block: Block,
        addresses: Sequence[str],
        *,
        unchanged: Mapping[str, AccountReading] | None = None,
    ) -> Reading:
        """Return the type and vaults as of a block; raises as `prepare` does."""
        layout = self._laid()
        before = unchanged or {}
        moved = [each for each in addresses if each not in before]
        read = await self.positions(chain, block, moved)
        legs = {each: (read if each in read else before)[each].legs for each in addresses}
        methods: dict[str, tuple[Method, str]] = {
            "vat": (VAT_TYPE, layout.vat),
            "spot": (SPOT_TYPE, layout.spotter),
            "jug": (JUG_TYPE, layout.jug),
            "dog": (DOG_TYPE, layout.dog),
            "par": (PAR, layout.spotter),
            "base": (BASE, layout.jug),
            "hole": (HOLE, layout.dog),
            "dirt": (DIRT, layout.dog),
            "live": (LIVE, layout.dog),
            "buf": (BUF, layout.clip),
            "tail": (TAIL, layout.clip),
            "cusp": (CUSP, layout.clip),
            "stopped": (STOPPED, layout.clip),
        }
        first = self._fresh(chain)
        calls = [
            *first,
            *(
                method.at(target, self.ilk) if method.inputs else method.at(target)
                for method, target in methods.values()
            ),
        ]
        answers = (await chain.call(calls, block, chunk=len(calls)))[len(first) :]
        values = {
            name: method.read(sound(answer, target, method))
            for (name, (method, target)), answer in zip(methods.items(), answers, strict=True)
        }
        clip, chop, hole, dirt = values["dog"]
        if clip.lower() != layout.clip:
            # Auctions go on in another contract: what it says was asked of the old one.
            await self.prepare(chain, block)
            return await self.read(chain, block, addresses, unchanged=unchanged)
        _, rate, spot, _, dust = values["vat"]
        terms = {
            "mat": str(values["spot"][1]),
            "duty": str(values["base"] + values["jug"][0]),
            "dust": str(dust),
            "chop": str(chop),
            "hole": str(hole),
            "hole_all": str(values["hole"]),
            "buf": str(values["buf"]),
            "tail": str(values["tail"]),
            "cusp": str(values["cusp"]),
            "curve": await self._curve(chain, block),
            "par": str(values["par"]),
        }
        ilk = self.market.market
        price = price_of(spot, mat=values["spot"][1], par=values["par"])
        prices = {
            layout.collateral: Price(
                value=price,
                decimals=ORACLE_DECIMALS,
                observed_at=block.at,
                source=f"{VENUE} spot of {ilk}",
            )
        }
        return Reading(
            block=block,
            market=self.market,
            version=VERSION,
            terms=terms,
            state={
                f"{ilk}.rate": rate,
                f"{ilk}.dirt": dirt,
                "dirt": values["dirt"],
                f"{ilk}.stopped": values["stopped"] if values["live"] else ALL_STOPPED,
            },
            prices=prices if price else {},
            accounts=await self._answered(chain, block, legs, spot=spot),
        )

    async def _curve(self, chain: Chain, block: Block) -> dict[str, str]:
        """Return how the price of an auction falls, by what its curve can be asked."""
        calc = self._laid().calc
        answers = await chain.call([TAU.at(calc), STEP.at(calc), CUT.at(calc)], block)
        tau, step, cut = (
            None if isinstance(answer, Reverted) or not answer else str(method.read(answer))
            for method, answer in zip((TAU, STEP, CUT), answers, strict=True)
        )
        if tau is not None:
            return {"kind": "linear", "tau": tau}
        if cut is None:
            raise UnknownRevision(f"{calc} is no curve of an auction that is known here")
        if step is None:
            return {"kind": "exponential", "cut": cut}
        return {"kind": "stairstep", "step": step, "cut": cut}

    async def positions(
        self, chain: Chain, block: Block, addresses: Sequence[str]
    ) -> dict[str, AccountReading]:
        """Return what vaults held and owed as of a block, the debt as it is normalised."""
        layout = self._laid()
        answers = await chain.call(
            [VAULT.at(layout.vat, self.ilk, each) for each in addresses], block
        )
        accounts = {}
        for address, answer in zip(addresses, answers, strict=True):
            ink, art = VAULT.read(sound(answer, layout.vat, VAULT))
            legs = (
                Leg(kind=LegKind.COLLATERAL, asset=layout.collateral, quantity=ink),
                Leg(kind=LegKind.DEBT, asset=layout.debt, quantity=art),
            )
            accounts[address] = AccountReading(
                address=address, legs=tuple(leg for leg in legs if leg.quantity)
            )
        return accounts

    async def accounts_of(
        self, chain: Chain, block: Block, owners: Sequence[str]
    ) -> dict[str, frozenset[str]]:
        """Return by owner the vaults of the type, those of the owner's proxy among them.

        Where the venue lists neither manager nor proxies, nobody has any.
        """
        names = ("CDP_MANAGER", "GET_CDPS", "PROXY_REGISTRY")
        answers = await chain.call(
            [ADDRESS_OF.at(self.chainlog, name.encode().ljust(WORD, b"\0")) for name in names],
            block,
        )
        places = [
            None if isinstance(answer, Reverted) or not answer else ADDRESS_OF.read(answer)
            for answer in answers
        ]
        manager, lister, registry = places
        if manager is None or lister is None:
            return {}
        keepers = {owner: [owner] for owner in owners}
        if registry is not None:
            proxies = await chain.call([PROXY_OF.at(registry, owner) for owner in owners], block)
            for owner, answer in zip(owners, proxies, strict=True):
                if not isinstance(answer, Reverted) and answer:
                    keepers[owner].append(PROXY_OF.read(answer))
        pairs = [(owner, keeper) for owner in owners for keeper in keepers[owner]]
        answers = await chain.call(
            [VAULTS_OF.at(lister, manager, keeper) for _, keeper in pairs], block
        )
        vaults: dict[str, set[str]] = {owner: set() for owner in owners}
        for (owner, _), answer in zip(pairs, answers, strict=True):
            _, places, types = VAULTS_OF.read(sound(answer, lister, VAULTS_OF))
            vaults[owner] |= {
                place.lower() for place, ilk in zip(places, types, strict=True) if ilk == self.ilk
            }
        return {owner: frozenset(each) for owner, each in vaults.items()}

    async def _answered(
        self, chain: Chain, block: Block, legs: Mapping[str, tuple[Leg, ...]], *, spot: int
    ) -> dict[str, AccountReading]:
        """Return vaults with what came of trying to liquidate each that owes."""
        owing = [a for a, each in legs.items() if any(leg.kind is LegKind.DEBT for leg in each)]
        tries: dict[str, bytes | Reverted] = {}
        size = min(VAULTS_AT_ONCE, CHUNK)
        for place in range(0, len(owing), size):
            tries |= await self._tried(chain, block, owing[place : place + size])
        if chain.is_batching:
            # Whoever is liquidated takes room from those after: only alone is each told apart.
            for address, outcome in list(tries.items()):
                if refusal(outcome) != SAFE:
                    tries |= await self._tried(chain, block, [address])
        return {
            address: AccountReading(
                address=address,
                legs=each,
                answer=answer_of(tries[address], spot=spot) if address in tries else None,
            )
            for address, each in legs.items()
        }

    async def _tried(
        self, chain: Chain, block: Block, addresses: Sequence[str]
    ) -> dict[str, bytes | Reverted]:
        """Return what came of liquidating vaults one after another in one call."""
        dog, first = self._laid().dog, self._fresh(chain)
        calls = [*first, *(BARK.at(dog, self.ilk, each, NOBODY) for each in addresses)]
        outcomes = (await chain.call(calls, block, chunk=len(calls)))[len(first) :]
        return dict(zip(addresses, outcomes, strict=True))

    def touched(self, logs: Sequence[Log], addresses: Collection[str]) -> frozenset[str]:
        """Return the vaults that a note of the vat names."""
        by_topic = {topic_of(address): address for address in addresses}
        topics = {topic for log in logs for topic in log.topics[2:]}
        return frozenset(by_topic[topic] for topic in topics & by_topic.keys())

    def liquidations(
        self, logs: Sequence[Log], addresses: Collection[str]
    ) -> dict[str, tuple[tuple[str, str], ...]]:
        """Return by vault the collateral and the stablecoin of what was taken from it."""
        layout = self._laid()
        by_topic = {topic_of(address): address for address in addresses}
        pairs: dict[str, tuple[tuple[str, str], ...]] = {}
        for log in logs:
            vault = by_topic.get(log.topics[2]) if log.topics[0] == GRAB else None
            if vault is not None:
                pair = (layout.collateral, layout.debt)
                pairs[vault] = (*pairs.get(vault, ()), pair)
        return pairs

    def borrowers(self, logs: Sequence[Log]) -> frozenset[str]:
        """Return the vaults that took on debt."""
        vaults = set()
        for log in logs:
            if log.topics[0] in NOTES:
                arguments = arguments_of(log)
                if arguments[-1] > 0:
                    vaults.add(arguments[1 if log.topics[0] == FROB else 2].lower())
        return frozenset(vaults)

    def checks(self, reading: Reading) -> tuple[Check, ...]:
        """Return, of every vault that owes, whether the rules say what the venue's code does."""
        book, terms, market = (
            load(VENUE, reading.version),
            reading.typed_terms(),
            reading.as_market(),
        )

        def compare(address: str, each: AccountReading) -> list[Difference] | None:
            if each.answer is None:
                return None
            judged = book.margin(reading.account(address), market, terms)
            return compared(judged, each.answer, spot=self._spot(reading, terms))

        return checks_of(reading, compare)

    def _spot(self, reading: Reading, terms: Terms) -> int:
        """Return the price with the margin taken off, by the rules, ray."""
        price = reading.prices.get(self._laid().collateral)
        return 0 if price is None else spot_price(price.value, terms)


def compared(judged: Margin, answer: Mapping[str, int], *, spot: int) -> list[Difference]:
    """Return the figures of a vault that differ; without a price nothing is liquidated."""
    unsafe = {Verdict.LIQUIDATABLE: 1, Verdict.NOT_EXECUTABLE: 1}.get(judged.verdict, 0)
    return [
        *difference("spot", spot, answer["spot"]),
        *difference("is_unsafe", unsafe, answer.get("is_unsafe", unsafe)),
        *difference(
            "is_liquidatable",
            int(judged.verdict is Verdict.LIQUIDATABLE),
            answer["is_liquidatable"],
        ),
    ]


def answer_of(outcome: bytes | Reverted, *, spot: int) -> dict[str, int]:
    """Return what the venue says of a vault by a liquidation that was tried."""
    words = refusal(outcome)
    answer = {"spot": spot, "is_liquidatable": int(words is None)}
    return answer if words == SHUT_DOWN else {**answer, "is_unsafe": int(words != SAFE)}


def price_of(spot: int, *, mat: int, par: int) -> int:
    """Return the least price that a stored `spot` can stand for, wad.

    >>> price_of(10**27 * 1000, mat=15 * 10**26, par=10**27) == 1500 * 10**18
    True
    """
    return -(-mul_div_up(mul_div_up(spot, mat, RAY), par, RAY) // FEED_TO_RAY)


def refusal(outcome: bytes | Reverted) -> str | None:
    """Return in which words a liquidation was refused; None where it was not."""
    if not isinstance(outcome, Reverted):
        return None
    if outcome.data[:4] == ERROR:
        (words,) = decoded(("string",), outcome.data[4:], "Error")
        return str(words)
    return SAFE if SAFE in str(outcome) else str(outcome)


def arguments_of(log: Log) -> tuple[Any, ...]:
    """Return what the vat was called with, by the note that it made: selector, then arguments."""
    (data,) = decoded(("bytes",), log.data, "LogNote")
    return decoded(NOTES[log.topics[0]], data[4:], "LogNote")
