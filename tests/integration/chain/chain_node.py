"""A chain of one machine: transactions sent by its unlocked accounts, blocks when they are due."""

import contextlib
import http.client
import itertools
import json
import os
import select
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import chain_packages
from eth_abi.abi import decode, encode
from services import free_port

GAS = 25_000_000
FUNDS = 10**24
"""Wei that an address pays its transactions with."""

MULTICALL = "0xcA11bde05977b3631167028862bE2a173976CA11"


class Refused(Exception):  # noqa: N818 - named for what happened
    """The chain refused a request."""


@dataclass(frozen=True)
class Contract:
    """A deployed contract."""

    address: str
    abi: Sequence[Mapping[str, Any]]
    selectors: Mapping[str, str]

    def data(self, name: str, *arguments: Any) -> str:
        """Return the data of a call of a function by its name."""
        entry = next(
            each
            for each in self.abi
            if each.get("name") == name
            and each["type"] == "function"
            and len(each["inputs"]) == len(arguments)
        )
        types = [abi_type(each) for each in entry["inputs"]]
        selector = self.selectors[f"{name}({','.join(types)})"]
        return f"0x{selector}{encode(types, arguments).hex()}"

    def outputs(self, name: str) -> list[str]:
        """Return the types that a function returns."""
        entry = next(each for each in self.abi if each.get("name") == name)
        return [abi_type(each) for each in entry["outputs"]]


def abi_type(parameter: Mapping[str, Any]) -> str:
    """Return a parameter's type in the words of a signature."""
    kind = str(parameter["type"])
    if not kind.startswith("tuple"):
        return kind
    return f"({','.join(abi_type(each) for each in parameter['components'])}){kind[5:]}"


@dataclass
class Node:
    """A running chain.

    Parameters
    ----------
    url
        Of its JSON-RPC.
    """

    url: str
    connection: http.client.HTTPConnection
    libraries: dict[str, str] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def ask(self, method: str, *parameters: Any) -> Any:
        """Return what the chain answers."""
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(parameters)}
        answer = self._post(body)
        if "error" in answer:
            raise Refused(str(answer["error"]))
        return answer["result"]

    def ask_many(self, method: str, parameters: Sequence[Sequence[Any]]) -> list[Any]:
        """Return what the chain answers to one method for many parameters, at once."""
        if not parameters:
            return []
        bodies = [
            {"jsonrpc": "2.0", "id": number, "method": method, "params": list(each)}
            for number, each in enumerate(parameters)
        ]
        answers = self._post(bodies)
        if isinstance(answers, dict):
            raise Refused(str(answers))
        by_number = {answer["id"]: answer for answer in answers}
        refused = [answer for answer in answers if "error" in answer]
        if refused:
            raise Refused(str(refused[0]["error"]))
        return [by_number[number]["result"] for number in range(len(bodies))]

    def _post(self, body: object) -> Any:
        """Return the answer to a body, both JSON; a connection that was closed is opened anew."""
        connection = self.connection
        if connection.sock is not None and select.select([connection.sock], [], [], 0)[0]:
            connection.close()
        content = json.dumps(body).encode()
        connection.request("POST", "/", content, {"Content-Type": "application/json"})
        return json.load(connection.getresponse())

    def fund(self, addresses: Sequence[str]) -> None:
        """Give addresses what they pay their transactions with."""
        self.ask_many("anvil_setBalance", [(each, hex(FUNDS)) for each in addresses])

    def succeeded(self, posted: Sequence[str]) -> list[str]:
        """Return the transactions, of those sent, that the chain carried out."""
        receipts = self.ask_many("eth_getTransactionReceipt", [(each,) for each in posted])
        return [
            each
            for each, receipt in zip(posted, receipts, strict=True)
            if receipt is not None and receipt["status"] == "0x1"
        ]

    @cached_property
    def accounts(self) -> list[str]:
        """Return the unlocked accounts."""
        stated: list[str] = self.ask("eth_accounts")
        return stated

    def post(self, sender: str, target: str | None, data: str, *, value: int = 0) -> str:
        """Send a transaction, with wei if so, and return its hash; it waits for a block."""
        stated = {"from": sender, "data": data, "gas": hex(GAS), "value": hex(value)}
        if target is not None:
            stated["to"] = target
        posted: str = self.ask("eth_sendTransaction", stated)
        return posted

    def send(self, sender: str, contract: Contract, name: str, *arguments: Any) -> dict[str, Any]:
        """Call a function in a block of its own; it must succeed."""
        posted = self.post(sender, contract.address, contract.data(name, *arguments))
        self.mine()
        receipt: dict[str, Any] = self.ask("eth_getTransactionReceipt", posted)
        assert receipt["status"] == "0x1", name
        return receipt

    def read(self, contract: Contract, name: str, *arguments: Any) -> Any:
        """Return what a function returns now."""
        return self.read_many(contract, name, [arguments])[0]

    def read_many(
        self, contract: Contract, name: str, arguments: Sequence[Sequence[Any]]
    ) -> list[Any]:
        """Return what a function returns now for many arguments."""
        return self._called(name, [(contract, each) for each in arguments])

    def read_each(self, contracts: Sequence[Contract], name: str, *arguments: Any) -> list[Any]:
        """Return what a function of many contracts of one kind returns now."""
        return self._called(name, [(each, arguments) for each in contracts])

    def _called(self, name: str, calls: Sequence[tuple[Contract, Sequence[Any]]]) -> list[Any]:
        """Return what calls of a function return now, all at once."""
        wishes = [
            ({"to": contract.address, "data": contract.data(name, *each)}, "latest")
            for contract, each in calls
        ]
        types = calls[0][0].outputs(name) if calls else []
        answers = [
            decode(types, bytes.fromhex(each[2:])) for each in self.ask_many("eth_call", wishes)
        ]
        return [values[0] if len(values) == 1 else values for values in answers]

    def deploy(self, artefacts: Mapping[str, Any], name: str, *arguments: Any) -> Contract:
        """Deploy a contract, and the libraries that it is linked to."""
        artefact = artefacts[name]
        code = artefact["bytecode"]
        for libraries in artefact["links"].values():
            for library, places in libraries.items():
                if library not in self.libraries:
                    self.libraries[library] = self.deploy(artefacts, library).address
                for place in places:
                    start = 2 * place["start"]
                    linked = self.libraries[library][2:].lower()
                    code = code[:start] + linked + code[start + 40 :]
        entry = next((each for each in artefact["abi"] if each["type"] == "constructor"), None)
        types = [abi_type(each) for each in entry["inputs"]] if entry else []
        posted = self.post(self.accounts[0], None, f"0x{code}{encode(types, arguments).hex()}")
        self.mine()
        receipt = self.ask("eth_getTransactionReceipt", posted)
        assert receipt["status"] == "0x1", name
        return self.at(artefacts, name, receipt["contractAddress"])

    def at(self, artefacts: Mapping[str, Any], name: str, address: str) -> Contract:
        """Return a contract that stands at an address."""
        return Contract(address, artefacts[name]["abi"], artefacts[name]["selectors"])

    def mine(self, *, seconds: int | None = None) -> None:
        """Make a block, so much later than the one before; as the clock says if left out."""
        if seconds is not None:
            self.ask("evm_increaseTime", seconds)
        self.ask("evm_mine")

    def mine_next_second(self) -> None:
        """Make a block one second after the one before."""
        head = self.ask("eth_getBlockByNumber", "latest", False)  # noqa: FBT003
        self.ask("evm_setNextBlockTimestamp", int(head["timestamp"], 16) + 1)
        self.ask("evm_mine")

    def place_multicall(self) -> None:
        """Put the contract that calls several at once where chains have it."""
        runtime = chain_packages.contracts("fixtures")["Multicall"]["runtime"]
        self.ask("anvil_setCode", MULTICALL, f"0x{runtime}")


@contextlib.contextmanager
def running(*options: str) -> Iterator[Node]:
    """Yield a fresh chain whose blocks are made by `mine` alone."""
    port = free_port()
    command = [
        str(chain_packages.anvil()),
        *("--host", "127.0.0.1", "--port", str(port), "--silent", "--no-mining"),
        *("--gas-limit", "2000000000", "--code-size-limit", "50000", "--auto-impersonate"),
        # States of older blocks than anybody asks about are forgotten rather than written down.
        *("--prune-history", "500"),
        *options,
    ]
    # What the chain writes of its old states, gigabytes in a long run, goes with it.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        environment = {"PATH": os.environ["PATH"], "HOME": home}
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
            with contextlib.closing(connection):
                node = Node(f"http://127.0.0.1:{port}", connection)
                _await(node, process)
                yield node
        finally:
            process.terminate()
            process.wait(10)


def _await(node: Node, process: subprocess.Popen[bytes]) -> None:
    """Wait until the chain answers."""
    for _ in range(3000):
        assert process.poll() is None, "the chain ended by itself"
        with contextlib.suppress(OSError, http.client.HTTPException):
            node.ask("eth_chainId")
            return
        node.connection.close()
        time.sleep(0.01)
    raise AssertionError("the chain does not answer")
