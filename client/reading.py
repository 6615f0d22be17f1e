"""The part of the client that reads rows: the extra `rows`, for those who want one door for asking and reading."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from ..model import names
from ..model.instance import Instance, Kind, Status
from ..model.messages import OperationRecord
from ..model.ports import InstancePage, OperationPage, Page
from .rows import RowsSource


class Reader:
    """Reads instances and operations from their rows."""

    def __init__(self, rows: RowsSource) -> None:
        self._rows = rows

    async def get(self, name: str) -> Instance | None:
        """The instance's row, None where there is none (extra `rows`).

        Raises:
            MissingExtra: the extra `rows` is not installed.
            BadInput: the name cannot be, or it is not said where the rows are.
            Unreachable: the database does not answer.
        """
        rows = await self._rows.open()
        return await rows.instance(names.normalise(name))

    async def list(
        self,
        *,
        tenant: str | None = None,
        status: Status | None = None,
        limit: int = 50,
        after: str | None = None,
    ) -> InstancePage:
        """One page of instances by name (extra `rows`); its `next` is the `after` of the page that follows.

        Raises as `get` does.
        """
        rows = await self._rows.open()
        return await rows.instances(Page(limit=limit, after=after), tenant=tenant, status=status)

    async def list_all(
        self, *, tenant: str | None = None, status: Status | None = None
    ) -> AsyncGenerator[Instance, None]:
        """Every instance by name, read page by page (extra `rows`). Raises as `get` does."""
        after = None
        while True:
            page = await self.list(tenant=tenant, status=status, limit=200, after=after)
            for instance in page.items:
                yield instance
            if page.next is None:
                return
            after = page.next

    async def operation(self, request_id: str) -> OperationRecord | None:
        """The row of the operation that a request id names (extra `rows`). Raises as `get` does."""
        rows = await self._rows.open()
        return await rows.operation(names.check_request_id(request_id))

    async def operations(
        self,
        name: str | None = None,
        *,
        tenant: str | None = None,
        kind: Kind | None = None,
        limit: int = 50,
        after: str | None = None,
    ) -> OperationPage:
        """One page of operations, the newest first (extra `rows`). Raises as `get` does."""
        rows = await self._rows.open()
        instance = None if name is None else names.normalise(name)
        return await rows.operations(Page(limit=limit, after=after), instance=instance, tenant=tenant, kind=kind)
