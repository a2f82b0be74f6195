"""Orders carried out on a chain: what our calldata leaves there is what was planned, exactly."""

import asyncio
import contextlib
import random
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import aave_market
import aave_v2_market
import chain_node
import chain_packages
import httpx
import isolated_market
import liquity_market
import morpho_market
import pytest
import venus_market
from aave_market import AaveMarket
from chain_reading import CHAIN_ID, addresses_of, funded, reader_of
from isolated_market import IsolatedMarket
from liquity_market import LiquityMarket
from local import Caller
from morpho_market import MorphoMarket
from order_books import KEY, RULES, Clock, key_file, watcher
from reference_keepers import Failed, Keeper
from venus_market import VenusMarket

from models.domain import MarketId
from serving.application.scoring import ScoringService
from serving.connect import rpc
from serving.connect.aave_v2 import AaveV2Reader
from serving.connect.follow import Follower
from serving.connect.liquity_v1 import LiquityV1Reader
from serving.connect.morpho_blue import MorphoBlueReader
from serving.connect.reading import Reader
from serving.connect.venus import VenusReader
from serving.connect.venus_isolated import VenusIsolatedReader
from serving.http.admission import Admission, Keyring
from serving.http.app import Api
from serving.http.routing import routes
from serving.orders.calls import SELECTORS
from serving.routes import OPERATIONS
from serving.settings import Settings
from serving.store import Store, connections, open_store
from serving.watch.watcher import cycle

WAD = 10**18
WETH, USDC = 10**18, 10**6
TRUSTED = KEY.public_key().public_bytes_raw().hex()
NAME = "mine"


@dataclass
class Scene:
    """A chain, a store that follows it, a watcher, the service, and a keeper on the chain.

    Parameters
    ----------
    sender
        Account that the keeper pays and sends from.
    """

    node: chain_node.Node
    reader: Reader
    store: Store
    caller: Caller
    clock: Clock
    sender: str
    users: list[str] = field(default_factory=list)

    def look(self) -> None:
        """Read the chain's head into the store, and set the clock to the block after it."""

        async def whole() -> datetime:
            chain = rpc.chain_of("test", CHAIN_ID, [self.node.url])
            follower = Follower(
                NAME, self.store, chain, self.reader, set(self.users), clock=self.clock
            )
            try:
                await follower.step()
                return (await chain.head()).at
            finally:
                await rpc.close(chain)

        head = asyncio.run(whole())
        self.clock.now = max(self.clock.now, head + timedelta(seconds=12))

    def ask(self, method: str, path: str, body: Any = None) -> httpx.Response:
        """Ask the service."""
        return self.caller.request(method, path, **({} if body is None else {"json": body}))

    def keeper(self) -> Keeper:
        """Return a keeper on the chain."""
        return Keeper(ask=self.ask, trusted=TRUSTED, act=self.send)

    def send(self, order: Mapping[str, Any]) -> str:
        """Send an order's calls in one block, at the moment that the order was simulated for."""
        holder = order["accounts"][0]["account"].rpartition(":")[2]
        posted = [
            self.node.post(
                {"keeper": self.sender, "owner": holder}.get(call["sender"], call["sender"]),
                call["to"],
                call["data"],
            )
            for call in order["calls"]
        ]
        at = datetime.fromisoformat(order["as_of"])
        self.node.ask("evm_setNextBlockTimestamp", int(at.timestamp()))
        self.node.ask("evm_mine")
        for name, call in zip(posted, order["calls"], strict=True):
            receipt = self.node.ask("eth_getTransactionReceipt", name)
            if receipt["status"] != "0x1":
                raise Failed(f"{call['call']} reverted", has_moved=len(posted) > 1)
        return " ".join(posted)

    def give(self, name: str, user: str, **changes: Any) -> None:
        """Put a mandate over a user's account in force."""
        market = self.reader.market
        body = {
            "owner": user,
            "accounts": [account_of(market, user)],
            "venues": [market.venue],
            "trigger": {"buffer": "0.05"},
            "target": {"buffer": "0.1"},
            "per_order": "1000000",
            "per_day": "2000000",
            "expires_at": "2100-01-01T00:00:00Z",
            **changes,
        }
        answer = self.ask("PUT", f"/v1/mandates/{name}", body)
        assert answer.status_code == 200, answer.text

    def orders(self, state: str) -> list[dict[str, Any]]:
        """Return the orders in a state."""
        return list(self.ask("GET", f"/v1/orders?state={state}").json()["orders"])


def account_of(market: MarketId, user: str) -> str:
    """Return the name of a user's account in the store."""
    return f"{market.venue}:{market.chain}:{market.market}:{user}"


def scene_of(node: chain_node.Node, reader: Reader, place: Path, sender: str) -> Iterator[Scene]:
    """Yield a scene on a chain with a venue on it."""
    settings = Settings(store=f"sqlite:///{place / 'book.sqlite3'}")
    store = open_store(str(settings.store))
    with store.begin() as transaction:
        connections.write(transaction, NAME, {}, sealed=None, now=datetime.now(tz=UTC))
    clock = Clock(datetime.fromtimestamp(int(time.time()), tz=UTC))
    desk = ScoringService(model=RULES, store=store, clock=clock, order_key=key_file(place))
    gate = Admission(settings, Keyring(desk.keys))
    caller = Caller(Api(routes(OPERATIONS), desk=desk, gate=gate))
    yield Scene(node, reader, store, caller, clock, sender)
    caller.close()
    store.close()


@pytest.fixture
def on_aave(aave: AaveMarket, tmp_path: Path) -> Iterator[Scene]:
    """Yield a scene on Aave; the keeper holds tokens of every asset."""
    aave.set_price("WETH", 2_000 * 10**8)
    sender = aave.node.accounts[5]
    for name, token in aave.tokens.items():
        aave.node.send(aave.admin, token, "mint", sender, 10**6 * 10 ** aave_market.ASSETS[name][0])
    yield from scene_of(aave.node, reader_of(aave), tmp_path, sender)


@contextlib.contextmanager
def taken_back(node: chain_node.Node) -> Iterator[None]:
    """Let the chain of several tests be as it was once one of them is done."""
    before = node.ask("evm_snapshot")
    yield
    assert node.ask("evm_revert", before)


@pytest.fixture(scope="module")
def aave_2() -> Iterator[AaveMarket]:
    """Yield a pool of Aave v2."""
    with chain_node.running() as node:
        yield aave_v2_market.deployed(node)


@pytest.fixture
def on_aave_2(aave_2: AaveMarket, tmp_path: Path) -> Iterator[tuple[AaveMarket, Scene]]:
    """Yield a pool of Aave v2 with a scene on it."""
    aave, node = aave_2, aave_2.node
    with taken_back(node):
        aave.set_price("WETH", 2_000 * 10**8)
        sender = node.accounts[5]
        for name, token in aave.tokens.items():
            node.send(sender, token, "mint", 10**6 * 10 ** aave_market.ASSETS[name][0])
        whose = MarketId("aave-v2", "core", "test")
        reader = AaveV2Reader(market=whose, pool=aave.pool.address.lower())
        for scene in scene_of(node, reader, tmp_path, sender):
            yield aave, scene


def contracts(aave: AaveMarket, venue: str = "aave-v3") -> dict[str, Any]:
    """Return the contracts that a mandate names."""
    return {
        "venue": venue,
        "market": "core",
        "chain": "test",
        "chain_id": CHAIN_ID,
        "contract": aave.pool.address,
        "tokens": {name: token.address for name, token in aave.tokens.items()},
    }


def borrowers(aave: AaveMarket, count: int, *, seed: int) -> list[str]:
    """Return users who hold WETH and owe USDC, a month ago, each in amounts of their own."""
    users = funded(aave, count, seed=seed)
    chance = random.Random(seed)  # noqa: S311 - drawn anew by anyone
    for user in users:
        held = 10 * WETH + chance.randrange(WETH)
        aave.supply("WETH", held, user)
        aave.node.mine()
        aave.borrow("USDC", held * 1_400 // 10**12 - chance.randrange(USDC), user)
    aave.node.mine(seconds=30 * 86_400)
    return users


def health(aave: AaveMarket, user: str) -> int:
    """Return the health factor that the pool says, wad."""
    return int(aave.node.read(aave.pool, "getUserAccountData", user)[5])


def planned_health(order: Mapping[str, Any]) -> int:
    """Return the health factor that an order was made for, wad."""
    exact = Fraction(order["order"]["accounts"][0]["after"]["ratio"]["value"]) * WAD
    assert exact.denominator == 1
    return int(exact)


def test_selectors_are_those_of_the_compiler(aave: AaveMarket) -> None:
    """Every call has the selector that its signature hashes to."""
    compiled = {
        signature: selector
        for name in ("aave", "aave_v2", "morpho", "liquity", "venus", "isolated")
        for artefact in chain_packages.contracts(name).values()
        for signature, selector in artefact["selectors"].items()
    }
    assert len(SELECTORS) == 14
    # The fork's code is at hand, and the original's call differs from it by the coin's name.
    (original,) = SELECTORS.keys() - compiled.keys()
    assert original.replace("LUSD", "ZUSD") in compiled
    assert aave.node.ask("web3_sha3", f"0x{original.encode().hex()}")[2:10] == SELECTORS[original]
    for signature in SELECTORS.keys() & compiled.keys():
        assert compiled[signature] == SELECTORS[signature]


KINDS = [
    ("repay", ["USDC"], ["approve", "repay"]),
    ("add", ["WETH"], ["approve", "supply"]),
    ("swap", ["WETH", "USDC"], ["approve", "repay", "withdraw"]),
]


@pytest.mark.parametrize(("kind", "assets", "calls"), KINDS)
def test_what_a_keeper_does_on_aave_v2_is_what_was_planned(
    on_aave_2: tuple[AaveMarket, Scene], kind: str, assets: list[str], calls: list[str]
) -> None:
    """The health factor that the pool then says is the plan's, to the last unit."""
    aave, scene = on_aave_2
    (user,) = scene.users = borrowers(aave, 1, seed=len(kind))
    aave.set_price("WETH", 1_720 * 10**8)
    aave.node.mine()
    scene.look()
    more = {"kinds": [kind], "assets": assets, "contracts": [contracts(aave, "aave-v2")]}
    # Values are in the pool's own unit, ether or dollars.
    scene.give("m", user, **more)
    before = health(aave, user)
    watching = watcher(scene.store, scene.clock)
    cycle(watching)
    (answer,) = scene.orders("ready")
    assert answer["order"]["notes"] == []
    named = [call["call"].partition("(")[0] for call in answer["order"]["calls"]]
    assert named == ["deposit" if name == "supply" else name for name in calls]
    (done,) = scene.keeper().turn()
    assert done["state"] == "done", done
    assert health(aave, user) == planned_health(answer)
    assert health(aave, user) > before
    scene.look()
    cycle(watching)
    (judged,) = scene.orders("judged")
    assert judged["course"]["outcome"]["said"] == "as_planned"


@pytest.mark.parametrize(("kind", "assets", "calls"), KINDS)
def test_what_a_keeper_does_on_aave_is_what_was_planned(
    aave: AaveMarket, on_aave: Scene, kind: str, assets: list[str], calls: list[str]
) -> None:
    """Health factors equal the plans' to the last unit, and the next judgement says so."""
    scene = on_aave
    scene.users = borrowers(aave, 3, seed=len(kind))
    aave.set_price("WETH", 1_720 * 10**8)
    aave.node.mine()
    scene.look()
    for place, user in enumerate(scene.users):
        more = {"kinds": [kind], "assets": assets, "contracts": [contracts(aave)]}
        scene.give(f"m{place}", user, **more)
    before = {user: health(aave, user) for user in scene.users}
    watching = watcher(scene.store, scene.clock)
    cycle(watching)
    ready = scene.orders("ready")
    assert len(ready) == 3
    for answer in ready:
        order = answer["order"]
        assert [call["call"].partition("(")[0] for call in order["calls"]] == calls
        assert order["notes"] == []
        typed = answer["seal"]["typed_data"]
        signed = aave.node.ask("eth_signTypedData_v4", scene.sender, typed)
        assert len(signed) == 2 + 2 * 65, "a wallet can hash it"
    # One block carries them all out: each is exact at its second, and the pool's indices move
    # with time alone.
    keeper = scene.keeper()
    sends = scene.send
    posted: list[Mapping[str, Any]] = []

    def gather(order: Mapping[str, Any]) -> str:
        posted.append(order)
        return sends(merged(posted)) if len(posted) == len(ready) else "in the same block"

    keeper.act = gather
    assert {answer["state"] for answer in keeper.turn()} == {"done"}
    for answer in ready:
        user = answer["order"]["accounts"][0]["account"].rpartition(":")[2]
        now = health(aave, user)
        assert now == planned_health(answer)
        assert now > before[user]
    assert keeper.turn() == []
    scene.look()
    cycle(watching)
    judged = scene.orders("judged")
    assert [answer["course"]["outcome"]["said"] for answer in judged] == ["as_planned"] * 3


def merged(orders: list[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the calls of orders of one moment as one order's, each holder's by the holder."""
    assert len({order["as_of"] for order in orders}) == 1
    calls = []
    for order in orders:
        holder = order["accounts"][0]["account"].rpartition(":")[2]
        calls += [
            {**call, "sender": holder if call["sender"] == "owner" else "keeper"}
            for call in order["calls"]
        ]
    return {**orders[0], "calls": calls}


def test_a_whole_debt_is_repaid_though_it_grows(aave: AaveMarket, on_aave: Scene) -> None:
    """The call says what is owed when the order ends; the pool takes what is owed when it comes."""
    scene = on_aave
    (user,) = scene.users = borrowers(aave, 1, seed=77)
    aave.set_price("WETH", 1_720 * 10**8)
    aave.node.mine()
    scene.look()
    more = {"kinds": ["repay"], "assets": ["USDC"], "contracts": [contracts(aave)]}
    scene.give("m", user, means={"steps": {"USDC": "20000000000"}}, **more)
    cycle(watcher(scene.store, scene.clock))
    (answer,) = scene.orders("ready")
    owed = aave.node.read(aave.pool, "getUserAccountData", user)[1]
    call = answer["order"]["calls"][1]
    assert int(call["amount"]) > owed // 100
    (done,) = scene.keeper().turn()
    assert done["state"] == "done"
    assert aave.node.read(aave.pool, "getUserAccountData", user)[1] == 0
    assert health(aave, user) == 2**256 - 1


def test_an_order_whose_price_moved_is_withdrawn_when_a_keeper_asks(
    aave: AaveMarket, on_aave: Scene
) -> None:
    """Nobody acts on it, no budget is spent, and it is not offered again."""
    scene = on_aave
    (user,) = scene.users = borrowers(aave, 1, seed=78)
    aave.set_price("WETH", 1_720 * 10**8)
    aave.node.mine()
    scene.look()
    more = {"kinds": ["repay"], "assets": ["USDC"], "contracts": [contracts(aave)]}
    scene.give("m", user, **more)
    cycle(watcher(scene.store, scene.clock))
    aave.set_price("WETH", 1_700 * 10**8)
    aave.node.mine()
    scene.look()
    before = health(aave, user)
    (refused,) = scene.keeper().turn()
    assert refused["status"] == 409
    assert "is withdrawn: price_moved" in refused["detail"]
    (answer,) = scene.orders("withdrawn")
    assert answer["course"]["ground"] == "price_moved"
    assert scene.ask("GET", "/v1/mandates/m").json()["spent"] == "0"
    assert scene.keeper().turn() == []
    assert health(aave, user) == before


def test_a_keeper_that_cannot_pay_says_so(aave: AaveMarket, on_aave: Scene) -> None:
    """The order has failed; its budget stays spent, and the next waits."""
    scene = on_aave
    scene.sender = aave.node.accounts[6]
    (user,) = scene.users = borrowers(aave, 1, seed=79)
    aave.set_price("WETH", 1_720 * 10**8)
    aave.node.mine()
    scene.look()
    more = {"kinds": ["repay"], "assets": ["USDC"], "contracts": [contracts(aave)]}
    scene.give("m", user, **more)
    watching = watcher(scene.store, scene.clock)
    cycle(watching)
    (told,) = scene.keeper().turn()
    assert told["state"] == "failed"
    assert told["course"]["reason"] == "repay(address,uint256,uint256,address) reverted"
    scene.look()
    cycle(watching)
    assert scene.orders("ready") == []


@pytest.fixture(scope="module")
def morpho_alone() -> Iterator[MorphoMarket]:
    """Yield a market of Morpho."""
    with chain_node.running() as node:
        yield morpho_market.deployed(node)


@pytest.fixture
def on_morpho(morpho_alone: MorphoMarket, tmp_path: Path) -> Iterator[tuple[MorphoMarket, Scene]]:
    """Yield a market of Morpho with a scene on it."""
    morpho, node = morpho_alone, morpho_alone.node
    with taken_back(node):
        whose = MarketId("morpho-blue", morpho.market_id, "test")
        reader = MorphoBlueReader(market=whose, morpho=morpho.morpho.address.lower())
        sender = node.accounts[5]
        for token in (morpho.loan, morpho.collateral):
            node.send(morpho.admin, token, "setBalance", sender, 10**9 * WAD)
        for scene in scene_of(node, reader, tmp_path, sender):
            yield morpho, scene


@pytest.mark.parametrize("kind", ["repay", "add", "swap"])
def test_what_a_keeper_does_on_morpho_is_what_was_planned(
    on_morpho: tuple[MorphoMarket, Scene], kind: str
) -> None:
    """Shares and collateral are the plan's to the unit."""
    morpho, scene = on_morpho
    node = scene.node
    user = f"0x{random.Random(3).randbytes(20).hex()}"  # noqa: S311 - drawn anew by anyone
    node.ask("anvil_setBalance", user, hex(10**24))
    scene.users = [user]
    morpho.post(morpho.admin, "supplyCollateral", 10 * WAD + 7, user, b"")
    node.mine()
    morpho.post(user, "borrow", 16_500 * WAD + 13, 0, user, user)
    node.mine(seconds=86_400)
    scene.look()
    loan, collateral = scene_assets(scene)
    more = {
        "kinds": [kind],
        "assets": [loan, collateral],
        "contracts": [
            {
                "venue": "morpho-blue",
                "market": morpho.market_id,
                "chain": "test",
                "chain_id": CHAIN_ID,
                "contract": morpho.morpho.address,
                "tokens": {loan: morpho.parameters[0], collateral: morpho.parameters[1]},
                "oracle": morpho.parameters[2],
                "irm": morpho.parameters[3],
            }
        ],
    }
    # Value is in the loan token's smallest units here, as Morpho's own rules reckon.
    scene.give("m", user, per_order="9" * 40, per_day="9" * 40, **more)
    watching = watcher(scene.store, scene.clock)
    cycle(watching)
    (answer,) = scene.orders("ready")
    (done,) = scene.keeper().turn()
    assert done["state"] == "done", done
    position = node.read(morpho.morpho, "position", bytes.fromhex(morpho.market_id[2:]), user)
    (stated,) = answer["order"]["accounts"]
    planned = {leg["kind"]: int(leg["quantity"]) for leg in stated["legs_after"]}
    assert (position[1], position[2]) == (planned["debt"], planned["collateral"])
    scene.look()
    cycle(watching)
    (judged,) = scene.orders("judged")
    assert judged["course"]["outcome"]["said"] == "as_planned"


def scene_assets(scene: Scene) -> tuple[str, str]:
    """Return the names of the loan and the collateral asset as the store has them."""
    (user,) = scene.users
    name = account_of(scene.reader.market, user)
    legs = scene.ask("GET", f"/v1/accounts/{name}").json()["account"]["legs"]
    by_kind = {leg["kind"]: leg["asset"] for leg in legs}
    return by_kind["debt"], by_kind["collateral"]


@pytest.fixture(scope="module")
def liquity_alone() -> Iterator[LiquityMarket]:
    """Yield a Liquity system."""
    with chain_node.running() as node:
        yield liquity_market.deployed(node)


@pytest.fixture
def on_liquity(
    liquity_alone: LiquityMarket, tmp_path: Path
) -> Iterator[tuple[LiquityMarket, Scene]]:
    """Yield a Liquity system with a scene on it."""
    liquity, node = liquity_alone, liquity_alone.node
    with taken_back(node):
        whose = MarketId("liquity-v1", "core", "test")
        reader = LiquityV1Reader(market=whose, manager=liquity.manager.address.lower())
        for scene in scene_of(node, reader, tmp_path, node.accounts[5]):
            yield liquity, scene


@pytest.mark.parametrize(
    ("kind", "calls"), [("repay", ["repayZUSD"]), ("swap", ["repayZUSD", "withdrawColl"])]
)
def test_what_an_owner_sends_to_liquity_is_what_was_planned(
    on_liquity: tuple[LiquityMarket, Scene], kind: str, calls: list[str]
) -> None:
    """The trove then holds and owes what was planned, to the unit; its owner sends the calls."""
    liquity, scene = on_liquity
    node = scene.node
    (user,) = scene.users = addresses_of(node, 1, seed=5)
    liquity.open(user, 10 * WAD + 7, 16_000 * WAD + 13)
    node.mine()
    liquity.set_price(liquity_market.USUAL_PRICE)
    node.mine()
    scene.look()
    coin, collateral = scene_assets(scene)
    more = {
        "kinds": [kind],
        "assets": [coin, collateral],
        "contracts": [
            {
                "venue": "liquity-v1",
                "market": "core",
                "chain": "test",
                "chain_id": CHAIN_ID,
                "contract": liquity.operations.address,
                "tokens": {coin: liquity.token.address},
            }
        ],
    }
    scene.give("m", user, per_order="9" * 40, per_day="9" * 40, **more)
    watching = watcher(scene.store, scene.clock)
    cycle(watching)
    (answer,) = scene.orders("ready")
    assert answer["order"]["notes"] == []
    made = answer["order"]["calls"]
    assert [call["call"].partition("(")[0] for call in made] == calls
    assert {call["sender"] for call in made} == {"owner"}
    (done,) = scene.keeper().turn()
    assert done["state"] == "done", done
    (stated,) = answer["order"]["accounts"]
    planned = {leg["kind"]: int(leg["quantity"]) for leg in stated["legs_after"]}
    debt, held, *_ = node.read(liquity.manager, "getEntireDebtAndColl", user)
    assert (debt, held) == (planned["debt"], planned["collateral"])
    scene.look()
    cycle(watching)
    (judged,) = scene.orders("judged")
    assert judged["course"]["outcome"]["said"] == "as_planned"


@pytest.fixture(scope="module", params=["venus", "venus-isolated"])
def venus_alone(request: pytest.FixtureRequest) -> Iterator[VenusMarket | IsolatedMarket]:
    """Yield a pool of Venus."""
    with chain_node.running() as node:
        is_core = request.param == "venus"
        yield venus_market.deployed(node) if is_core else isolated_market.deployed(node)


@pytest.fixture
def on_venus(
    venus_alone: VenusMarket | IsolatedMarket, tmp_path: Path
) -> Iterator[tuple[VenusMarket | IsolatedMarket, Scene]]:
    """Yield a pool of Venus with a scene on it; the keeper holds every token."""
    core, node = venus_alone, venus_alone.node
    with taken_back(node):
        is_core = isinstance(core, VenusMarket)
        sender = node.accounts[5]
        for token in core.tokens.values():
            node.send(
                core.admin,
                token,
                "transfer",
                sender,
                node.read(token, "balanceOf", core.admin) // 2,
            )
        kind = VenusReader if is_core else VenusIsolatedReader
        whose = MarketId("venus" if is_core else "venus-isolated", "core", "test")
        reader = kind(market=whose, comptroller=core.comptroller.address.lower())
        for scene in scene_of(node, reader, tmp_path, sender):
            yield core, scene


def standing_of(core: VenusMarket | IsolatedMarket, user: str) -> tuple[int, int]:
    """Return vTokens of BNB and what is owed of USDC, interest to the last block included."""
    node = core.node
    held = node.read(core.markets["BNB"], "balanceOf", user)
    return held, node.read(core.markets["USDC"], "borrowBalanceCurrent", user)


@pytest.mark.parametrize(
    ("kind", "calls"),
    [
        ("repay", ["approve", "repayBorrowBehalf"]),
        ("add", ["approve", "mintBehalf"]),
        ("swap", ["approve", "repayBorrowBehalf", "redeem"]),
    ],
)
def test_what_a_keeper_does_on_venus_is_what_was_planned_but_for_a_block_s_interest(
    on_venus: tuple[VenusMarket | IsolatedMarket, Scene], kind: str, calls: list[str]
) -> None:
    """Beside the same chain on which nobody acted, it differs by the amounts of the calls."""
    core, scene = on_venus
    node = scene.node
    (user,) = scene.users = addresses_of(node, 1, seed=len(kind))
    bnb, usdc = core.markets["BNB"], core.markets["USDC"]
    core.post(core.admin, bnb, "mintBehalf", user, 10 * WAD + 7)
    core.post(user, core.comptroller, "enterMarkets", [bnb.address, usdc.address])
    node.mine()
    core.post(user, usdc, "borrow", 4_650 * 10**6 + 13)
    node.mine()
    scene.look()
    more = {
        "kinds": [kind],
        "assets": ["BNB", "USDC"],
        "contracts": [
            {
                "venue": scene.reader.market.venue,
                "market": "core",
                "chain": "test",
                "chain_id": CHAIN_ID,
                "contract": core.comptroller.address,
                "tokens": {name: each.address for name, each in core.tokens.items()},
                "markets": {name: each.address for name, each in core.markets.items()},
            }
        ],
    }
    scene.give("m", user, per_order="9" * 40, per_day="9" * 40, **more)
    watching = watcher(scene.store, scene.clock)
    cycle(watching)
    (answer,) = scene.orders("ready")
    assert answer["order"]["notes"] == []
    made = answer["order"]["calls"]
    assert [call["call"].partition("(")[0] for call in made] == calls
    before = standing_of(core, user)
    saved = node.ask("evm_snapshot")
    node.mine()
    idle = standing_of(core, user)
    assert idle[0] == before[0]
    assert idle[1] > before[1], "interest accrues by the block"
    assert node.ask("evm_revert", saved)
    (done,) = scene.keeper().turn()
    assert done["state"] == "done", done
    amounts = {call["call"].partition("(")[0]: int(call["amount"]) for call in made}
    held, owed = standing_of(core, user)
    assert owed == idle[1] - amounts.get("repayBorrowBehalf", 0)
    (stated,) = answer["order"]["accounts"]
    planned = {leg["kind"]: int(leg["quantity"]) for leg in stated["legs_after"]}
    if kind == "add":
        # The rate of exchange rose by a block's interest: a few millionths fewer tokens.
        assert planned["collateral"] - before[0] >= held - before[0]
        assert held - before[0] == pytest.approx(planned["collateral"] - before[0], rel=1e-5)
    else:
        assert held == planned["collateral"]
        assert owed - planned["debt"] == idle[1] - before[1]
    scene.look()
    cycle(watching)
    (judged,) = scene.orders("judged")
    assert judged["course"]["outcome"]["said"] == "helped"
