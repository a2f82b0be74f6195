"""The clients: every operation, and what reads page by page."""

from collections.abc import AsyncIterator, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from forewarn_client.operations import AsyncOperations, Operations

if TYPE_CHECKING:
    from forewarn_client import types


class Client(Operations):
    """Asks and waits; parameters as in `forewarn_client.transport.Transport`."""

    def __enter__(self) -> Self:
        """Return the client."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the connections."""
        self.close()

    def every_account(self, **filters: Any) -> "Iterator[types.AccountSummary]":
        """Yield every account that the filters of `accounts` let through, page by page."""
        cursor: str | None = None
        while True:
            page = self.accounts(**filters, cursor=cursor)
            yield from page["accounts"]
            if (cursor := page["next"]) is None:
                return

    def every_assessment(self, account: str) -> "Iterator[types.Assessed]":
        """Yield past assessments of an account, newest first, page by page."""
        cursor: str | None = None
        while True:
            page = self.assessments(account, cursor=cursor)
            yield from page["assessments"]
            if (cursor := page["next"]) is None:
                return


class AsyncClient(AsyncOperations):
    """Asks without blocking; parameters as in `forewarn_client.transport.AsyncTransport`."""

    async def __aenter__(self) -> Self:
        """Return the client."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the connections."""
        await self.close()

    async def every_account(self, **filters: Any) -> "AsyncIterator[types.AccountSummary]":
        """Yield every account that the filters of `accounts` let through, page by page."""
        cursor: str | None = None
        while True:
            page = await self.accounts(**filters, cursor=cursor)
            for account in page["accounts"]:
                yield account
            if (cursor := page["next"]) is None:
                return
