"""New heads as an endpoint tells them by WebSocket, so that nobody waits for the next look.

A head that is told is not believed: it says when to look, and the look goes through every endpoint
as always. Where the connection drops, looking at intervals goes on until it is back.

References
----------
`eth_subscribe` with `newHeads`, https://geth.ethereum.org/docs/interacting-with-geth/rpc/pubsub;
read 2026-11.
"""

import asyncio
import logging
from dataclasses import dataclass, field

import aiohttp
import msgspec

from serving.connect.endpoint import meaning, shown
from serving.connect.errors import AnswerInvalid, ConnectFailed

LOGGER = logging.getLogger("forewarn.connect")
SUBSCRIBE = {"jsonrpc": "2.0", "id": 1, "method": "eth_subscribe", "params": ["newHeads"]}
ANSWER_SECONDS = 10.0
HEARTBEAT_SECONDS = 15.0
"""Seconds between pings; a connection that leaves one unanswered is dropped."""

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 60.0
MOST_BYTES = 1_000_000


@dataclass(slots=True, eq=False)
class Heads:
    """A subscription that is renewed whenever it drops.

    Parameters
    ----------
    url
        Of WebSocket, with whatever key it carries.
    news
        Set when there may be something new: a head was told, or the connection came or went.
    is_live
        Whether heads are being told.
    error
        Why they were not told last; no more of the URL in it than its host.
    """

    url: str
    news: asyncio.Event
    is_live: bool = field(default=False, init=False)
    error: str | None = field(default=None, init=False)
    drops: int = field(default=0, init=False)

    @property
    def name(self) -> str:
        """Return the host, and nothing that may be a secret."""
        return shown(self.url)

    async def run(self) -> None:
        """Listen until cancelled."""
        pause = FIRST_PAUSE
        while True:
            try:
                await self._listen()
                self.error = "the connection ended"
            except ConnectFailed as error:
                self.error = str(error)
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                self.error = type(error).__name__
            if self.is_live:
                pause = FIRST_PAUSE
                self.drops += 1
            self.is_live = False
            self.news.set()
            LOGGER.warning("%s tells no heads: %s", self.name, self.error)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _listen(self) -> None:
        """Subscribe, and wake whoever waits at every head, until the connection ends.

        Raises
        ------
        ConnectFailed
            When the endpoint does not subscribe.
        aiohttp.ClientError, OSError, TimeoutError
            When it cannot be reached.
        """
        timeout = aiohttp.ClientTimeout(connect=ANSWER_SECONDS)
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.ws_connect(
                self.url, heartbeat=HEARTBEAT_SECONDS, max_msg_size=MOST_BYTES
            ) as socket,
        ):
            await socket.send_json(SUBSCRIBE)
            subscription = self._subscribed(await socket.receive(ANSWER_SECONDS))
            self.is_live, self.error = True, None
            self.news.set()
            async for message in socket:
                if self._subscription_of(message) == subscription:
                    self.news.set()

    def _subscribed(self, message: aiohttp.WSMessage) -> str:
        """Return the name of the subscription; raises as `_listen` does."""
        tree = self._decoded(message)
        if tree.get("error") is not None:
            raise meaning(tree["error"], self.name)
        name = tree.get("result")
        if not isinstance(name, str):
            raise AnswerInvalid(f"{self.name}: no subscription")
        return name

    def _subscription_of(self, message: aiohttp.WSMessage) -> object:
        """Return the subscription that a message is of; raises as `_listen` does."""
        params = self._decoded(message).get("params")
        return params.get("subscription") if isinstance(params, dict) else None

    def _decoded(self, message: aiohttp.WSMessage) -> dict[str, object]:
        """Return a message's object; raises as `_listen` does."""
        if message.type is not aiohttp.WSMsgType.TEXT:
            raise AnswerInvalid(f"{self.name}: {message.type.name} in place of JSON")
        try:
            tree = msgspec.json.decode(message.data)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise AnswerInvalid(f"{self.name}: a message without JSON") from None
        if not isinstance(tree, dict):
            raise AnswerInvalid(f"{self.name}: a message that is no object")
        return tree
