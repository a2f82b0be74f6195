"""Orders over HTTP, by webhook and on the command line: who may do what, and what is refused."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from governed_books import NOON, WAD
from local import Caller
from order_books import KEY, RULES, Clock, key_file, lay_owned, mandate, reprice, watcher
from reference_keepers import is_signed
from typer.testing import CliRunner

from serving.application.scoring import ScoringService
from serving.cli.serve import app
from serving.http.admission import Admission, Keyring
from serving.http.app import Api
from serving.http.keys import issue
from serving.http.routing import routes
from serving.notify.channels import Destination, SendResult
from serving.notify.dispatcher import Dispatcher, deliver
from serving.notify.message import Message
from serving.routes import OPERATIONS
from serving.settings import Settings
from serving.store import Store, connections, keys, open_store, venue_accounts
from serving.watch.watcher import cycle

TRUSTED = KEY.public_key().public_bytes_raw().hex()
ROLES = {
    "owner": ("read", "mandate"),
    "keeper": ("read", "keep"),
    "other": ("read", "keep"),
    "reader": ("read",),
    "writer": ("write",),
}


@dataclass
class Scene:
    """The API over a book of vaults, with keys of several people."""

    store: Store
    url: str
    caller: Caller
    clock: Clock
    tokens: dict[str, str] = field(default_factory=dict)
    ids: dict[str, str] = field(default_factory=dict)

    def ask(self, who: str, method: str, path: str, body: Any = None) -> httpx.Response:
        """Ask as somebody."""
        headers = {"Authorization": f"Bearer {self.tokens[who]}"}
        more = {} if body is None else {"json": body}
        return self.caller.request(method, path, headers=headers, **more)

    def made(self, who: str, path: str, body: Any) -> dict[str, Any]:
        """Return the answer to a POST that is let through."""
        answer = self.ask(who, "POST", path, body)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())


@pytest.fixture
def scene(book_url: str, tmp_path: Path) -> Iterator[Scene]:
    """Yield the API over a book of vaults."""
    settings = Settings(store=book_url)
    store = open_store(book_url)
    lay_owned(store)
    clock = Clock(NOON)
    desk = ScoringService(model=RULES, store=store, clock=clock, order_key=key_file(tmp_path))
    made = Scene(store, book_url, None, clock)  # type: ignore[arg-type]
    for name, scopes in ROLES.items():
        record, made.tokens[name] = issue(name, scopes=scopes, now=NOON - timedelta(days=1))
        made.ids[name] = record.id
        with store.begin() as transaction:
            keys.insert(transaction, record)
    gate = Admission(settings, Keyring(desk.keys))
    made.caller = Caller(Api(routes(OPERATIONS), desk=desk, gate=gate))
    yield made
    made.caller.close()
    store.close()


def given(scene: Scene, **changes: Any) -> dict[str, Any]:
    """Put a mandate in force as its owner."""
    answer = scene.ask("owner", "PUT", "/v1/mandates/m", mandate(**changes))
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def test_each_does_what_their_scope_allows(scene: Scene) -> None:
    """Readers look, owners allow, keepers act; and of keepers only the one that is named."""
    for who in ("reader", "keeper"):
        assert scene.ask(who, "PUT", "/v1/mandates/m", mandate()).status_code == 403
    told = given(scene, keeper=scene.ids["keeper"])
    assert (told["version"], told["in_force"], told["spent"]) == (1, True, "0")
    assert scene.ask("reader", "POST", "/v1/orders", {"mandate": "m"}).status_code == 403
    order = scene.made("owner", "/v1/orders", {"mandate": "m", "account": "thin"})
    assert is_signed(order, TRUSTED)
    assert (order["order"]["trigger"], order["state"]) == ("request", "ready")
    path = f"/v1/orders/{order['id']}"
    assert scene.ask("owner", "POST", f"{path}/accept", {}).status_code == 403
    refused = scene.ask("other", "POST", f"{path}/accept", {})
    assert (refused.status_code, refused.json()["type"]) == (
        403,
        "urn:forewarn:problem:not-theirs",
    )
    assert scene.made("keeper", f"{path}/accept", {})["state"] == "accepted"
    assert scene.made("keeper", f"{path}/accept", {})["version"] == 2, "asked again"
    assert scene.ask("owner", "POST", f"{path}/withdraw", {}).status_code == 409
    done = scene.made("keeper", f"{path}/done", {"receipt": "0xabc"})
    assert (done["state"], done["course"]["receipt"]) == ("done", "0xabc")
    assert scene.ask("reader", "GET", path).json()["order"] == order["order"]
    spent = scene.ask("reader", "GET", "/v1/mandates/m").json()["spent"]
    assert spent == order["order"]["value"]


def test_a_second_order_of_a_trigger_is_refused(scene: Scene) -> None:
    """While one is live, whoever asks; and once it is withdrawn it may be asked for again."""
    given(scene)
    first = scene.made("owner", "/v1/orders", {"mandate": "m", "account": "thin"})
    again = scene.ask("owner", "POST", "/v1/orders", {"mandate": "m", "account": "thin"})
    assert again.status_code == 409
    assert "an order of m:thin is live" in again.json()["detail"]
    scene.made("owner", f"/v1/orders/{first['id']}/withdraw", {"reason": "my mistake"})
    scene.clock.now += timedelta(seconds=1)
    scene.made("owner", "/v1/orders", {"mandate": "m", "account": "thin"})
    listed = scene.ask("reader", "GET", "/v1/orders?account=thin").json()["orders"]
    assert [order["state"] for order in listed] == ["ready", "withdrawn"]
    assert listed[1]["course"]["reason"] == "my mistake"


def test_what_is_outside_the_limits_is_refused_with_each_named(scene: Scene) -> None:
    """The order is kept, unsigned, and no keeper is told."""
    given(scene, per_order="1", per_day="2")
    order = scene.made("owner", "/v1/orders", {"mandate": "m", "account": "thin"})
    assert (order["state"], order["seal"]) == ("refused", None)
    assert [broken["limit"] for broken in order["course"]["broken"]] == ["per_order", "per_day"]
    assert scene.ask("keeper", "POST", f"/v1/orders/{order['id']}/accept", {}).status_code == 409


GROUNDS = (
    "price_moved",
    "expired",
    "position_changed",
    "over_budget",
    "account_stale",
    "rule_mismatch",
)


@pytest.mark.parametrize("ground", GROUNDS)
def test_a_keeper_that_comes_too_late_is_told_why(scene: Scene, ground: str) -> None:
    """The order is withdrawn there and then, and no other keeper gets it either."""
    given(scene)
    order = scene.made("owner", "/v1/orders", {"mandate": "m", "account": "thin"})
    scene.clock.now += timedelta(seconds=30)
    if ground == "price_moved":
        reprice(scene.store, 989, at=scene.clock.now)
    if ground == "expired":
        scene.clock.now += timedelta(seconds=90)
    if ground == "position_changed":
        body = {"accounts": [{**thin(), "owner": "ada"}]}
        assert scene.ask("writer", "PUT", "/v1/accounts", body).status_code == 200
    if ground == "over_budget":
        given(scene, per_order="1")
    if ground in {"account_stale", "rule_mismatch"}:
        doubt(scene, ground)
    refused = scene.ask("keeper", "POST", f"/v1/orders/{order['id']}/accept", {})
    assert refused.status_code == 409
    assert refused.json()["detail"] == f"{order['id']} is withdrawn: {ground}"
    answer = scene.ask("reader", "GET", f"/v1/orders/{order['id']}").json()
    assert (answer["state"], answer["course"]["ground"]) == ("withdrawn", ground)
    assert scene.ask("other", "POST", f"/v1/orders/{order['id']}/accept", {}).status_code == 409


def doubt(scene: Scene, ground: str) -> None:
    """Have the venue's account be read too long ago, or its venue judge otherwise."""
    connection = venue_accounts.VenueAccount(
        account="thin",
        connection="c",
        read_at=scene.clock.now - timedelta(seconds=121),
        refused=None,
        figures=[],
    )
    differences = [{"figure": "ratio", "theirs": "1", "ours": "2"}]
    block = connections.StoredBlock(number=1, hash="0x1", parent="0x0", at=scene.clock.now)
    with scene.store.begin() as transaction:
        connections.write(transaction, "c", {}, sealed=None, now=NOON)
        if ground == "account_stale":
            venue_accounts.write(transaction, [connection])
        else:
            checks = {"thin": differences}
            connections.write_checks(transaction, "c", checks, block=block)


def thin() -> dict[str, Any]:
    """Return the thin vault with a little less debt."""
    legs = [
        {"kind": "collateral", "asset": "ETH", "quantity": str(132 * WAD)},
        {"kind": "debt", "asset": "DAI", "quantity": str(99_999 * WAD)},
    ]
    return {"id": "thin", "venue": "maker", "market": "ETH-B", "legs": legs}


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "pointer"),
    [
        ("PUT", "/v1/mandates/m", mandate(kinds=["steal"]), 422, "/kinds/0"),
        ("PUT", "/v1/mandates/m", mandate(per_day="-1"), 422, "/per_day"),
        ("PUT", "/v1/mandates/m", mandate(per_order=0.5), 422, "/per_order"),
        ("PUT", "/v1/mandates/m", mandate(accounts=[]), 422, "/accounts"),
        ("PUT", "/v1/mandates/m", mandate(accounts=["nobody"]), 422, "/accounts/0"),
        ("PUT", "/v1/mandates/m", mandate(receiver="nobody"), 422, "/receiver"),
        ("PUT", "/v1/mandates/m", mandate(expires_at="2029-12-31T00:00:00Z"), 422, "/expires_at"),
        ("PUT", "/v1/mandates/m", mandate(prices={"ETH": {"least": "2", "most": "1"}}), 422, None),
        ("PUT", "/v1/mandates/m", mandate(trigger={"probability": 1.5}), 422, None),
        ("PUT", "/v1/mandates/m", mandate(most="5"), 422, "/most"),
        ("POST", "/v1/orders", {"mandate": "m"}, 422, ""),
        ("POST", "/v1/orders", {"mandate": "m", "account": "nobody"}, 404, None),
        ("GET", "/v1/orders/none", None, 404, None),
        ("GET", "/v1/mandates/none", None, 404, None),
        ("GET", "/v1/orders?state=odd", None, 422, None),
        ("DELETE", "/v1/mandates/none", None, 404, None),
        ("POST", "/v1/orders/none/withdraw", {}, 404, None),
    ],
)
def test_bad_input_is_named(
    scene: Scene, method: str, path: str, body: Any, status: int, pointer: str | None
) -> None:
    """Each fault with its place; nothing is written."""
    answer = scene.ask("owner", method, path, body)
    assert answer.status_code == status, answer.text
    if pointer is not None:
        assert pointer in [fault["pointer"] for fault in answer.json()["errors"]]
    assert scene.ask("reader", "GET", "/v1/mandates").json()["mandates"] == []


def test_an_order_of_an_account_beyond_the_mandate_is_refused(scene: Scene) -> None:
    """Or of a vault that is where the target wants it."""
    given(scene, accounts=["thin", "thick"])
    other = scene.ask("owner", "POST", "/v1/orders", {"mandate": "m", "account": "middling"})
    assert (other.status_code, other.json()["errors"][0]["pointer"]) == (422, "/account")
    calm = scene.ask("owner", "POST", "/v1/orders", {"mandate": "m", "account": "thick"})
    assert calm.status_code == 409
    assert "the target is met" in calm.json()["detail"]
    ended = scene.ask("owner", "DELETE", "/v1/mandates/m")
    assert (ended.status_code, ended.json()["in_force"]) == (200, False)
    after = scene.ask("owner", "POST", "/v1/orders", {"mandate": "m", "account": "thin"})
    assert "not in force" in after.json()["detail"]


def allocation() -> dict[str, Any]:
    """Return an allocation of ETH to both vaults that are near their line."""
    return {
        "accounts": ["thin", "middling"],
        "settings": {name: {"health": "1.1"} for name in ("thin", "middling")},
        "assets": {"ETH": {"price": "1000", "cost": "1"}},
        "inventory": [{"asset": "ETH", "quantity": "50"}],
    }


def test_an_allocation_becomes_one_order_of_several_accounts(scene: Scene) -> None:
    """Judged account by account; held to the same limits, and to the kinds that it takes."""
    given(scene, assets=["ETH"], kinds=["add"])
    order = scene.made("owner", "/v1/orders", {"mandate": "m", "allocation": allocation()})
    assert order["state"] == "ready", order["course"]
    body = order["order"]
    assert {(act["account"], act["kind"], act["asset"]) for act in body["actions"]} == {
        ("thin", "add", "ETH"),
        ("middling", "add", "ETH"),
    }
    for each in body["accounts"]:
        # 1.1 times 130 % of 100,000 at 1,000 are 143 ETH.
        held = {leg["kind"]: int(leg["quantity"]) for leg in each["legs_after"]}
        assert 143 * WAD <= held["collateral"] <= 143 * WAD + 10**12
        assert each["after"]["verdict"] == "safe"
    assert body["calls"] == []
    assert body["notes"] == ["calls of maker are not made out"]
    given(scene, assets=["ETH"], kinds=["repay"], accounts=["thin"])
    scene.made("owner", f"/v1/orders/{order['id']}/withdraw", {})
    refused = scene.made("owner", "/v1/orders", {"mandate": "m", "allocation": allocation()})
    assert [broken["limit"] for broken in refused["course"]["broken"]] == ["accounts", "kinds"]


def test_an_allocation_that_nothing_covers_is_refused(scene: Scene) -> None:
    """With what is missing as the limit that it broke."""
    given(scene, assets=["ETH"], kinds=["add"])
    short = {**allocation(), "inventory": [{"asset": "ETH", "quantity": "1"}]}
    order = scene.made("owner", "/v1/orders", {"mandate": "m", "allocation": short})
    assert order["state"] == "refused"
    assert order["course"]["broken"][0] == {
        "limit": "target",
        "text": "the allocation is infeasible",
    }


def test_the_webhook_carries_the_order_as_it_was_signed(scene: Scene) -> None:
    """`plan.ready`, to the letter; and in words for whoever reads mail."""
    given(scene)
    cycle(watcher(scene.store, scene.clock))
    sent: list[Message] = []

    def send(message: Message, to: Destination) -> SendResult:  # noqa: ARG001 - one receiver
        sent.append(message)
        return SendResult("delivered")

    dispatcher = Dispatcher(store=scene.store, senders={"file": send}, holder="one", places=1)
    for second in range(6):
        deliver(dispatcher, now=NOON + timedelta(seconds=second))
    ready = [message for message in sent if message.payload["type"] == "plan.ready"]
    assert len(ready) == 2
    listed = scene.ask("reader", "GET", "/v1/orders").json()["orders"]
    by_id = {order["id"]: order for order in listed}
    for message in ready:
        told = json.loads(json.dumps(message.payload["data"]))
        assert is_signed(told, TRUSTED)
        assert told["order"] == by_id[told["order"]["id"]]["order"]
        assert message.subject.startswith("[order]")
        assert "repay" in message.text
        assert "repay" in message.html


def test_without_a_key_no_order_is_made(tmp_path: Path) -> None:
    """The watcher goes on, and the service says why it does not."""
    settings = Settings(store=f"sqlite:///{tmp_path / 'book.sqlite3'}")
    store = open_store(str(settings.store))
    lay_owned(store)
    clock = Clock(NOON)
    desk = ScoringService(model=RULES, store=store, clock=clock)
    gate = Admission(settings, Keyring(desk.keys))
    caller = Caller(Api(routes(OPERATIONS), desk=desk, gate=gate))
    assert caller.put("/v1/mandates/m", json=mandate()).status_code == 200
    answer = caller.post("/v1/orders", json={"mandate": "m", "account": "thin"})
    assert (answer.status_code, "no key seals orders" in answer.json()["detail"]) == (503, True)
    watching = watcher(store, clock)
    watching.order_key = None
    assert cycle(watching) == 3
    assert caller.get("/v1/orders").json()["orders"] == []
    caller.close()
    store.close()


def test_the_commands(scene: Scene, tmp_path: Path) -> None:
    """A key is made, a mandate given, an order listed, shown, verified and withdrawn."""
    runner = CliRunner()

    def run(*arguments: str) -> Any:
        return runner.invoke(app, ["orders", *arguments])

    made = run("key", str(tmp_path / "new.key"))
    assert (made.exit_code, len(made.output.strip())) == (0, 64)
    assert run("key", str(tmp_path / "new.key")).exit_code == 2
    file = tmp_path / "mandate.json"
    file.write_text(json.dumps(mandate(expires_at="2100-01-01T00:00:00Z")))
    store = ("--store", scene.url)
    assert run("mandate", "m", str(file), *store).output.startswith("m, version 1, until 2100")
    file.write_text(json.dumps(mandate(kinds=["steal"], per_day="x")))
    bad = run("mandate", "m", str(file), *store)
    assert (bad.exit_code, "/kinds/0" in bad.output, "/per_day" in bad.output) == (2, True, True)
    order = scene.made("owner", "/v1/orders", {"mandate": "m", "account": "thin"})
    assert order["id"] in run("list", *store).output.replace("\n", "")
    shown = run("show", order["id"], *store)
    (tmp_path / "order.json").write_text(shown.output)
    verified = run("verify", str(tmp_path / "order.json"), "--key", TRUSTED)
    assert (verified.exit_code, "is what the key signed" in verified.output) == (0, True)
    tree = json.loads(shown.output)
    tree["order"]["value"] = "1"
    (tmp_path / "order.json").write_text(json.dumps(tree))
    assert run("verify", str(tmp_path / "order.json"), "--key", TRUSTED).exit_code == 3
    gone = run("withdraw", order["id"], *store, "--reason", "enough")
    assert (gone.exit_code, gone.output.strip()) == (0, f"{order['id']} is withdrawn")
    assert run("withdraw", order["id"], *store).exit_code == 2
    assert run("show", "none", *store).exit_code == 2
    assert run("end", "m", *store).output.strip() == "m has ended"
    assert run("end", "none", *store).exit_code == 2
