"""Reading rows: the one module of the client that knows a database gateway, and only once somebody reads.

A backend may as well read the rows by its own Supabase client; this is for those who want one door.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable

from ..model.errors import BadInput, MissingExtra
from ..model.finding_ports import FindingRows
from ..model.freezes import FreezeRows
from ..model.ports import Rows
from ..model.usage_ports import UsageRows

URL_VARIABLE = "INNKEEPER_SUPABASE_URL"
KEY_VARIABLE = "INNKEEPER_SUPABASE_KEY"


class RowsSource:
    """Where rows come from, opened at the first read."""

    def __init__(
        self,
        rows: Rows | None = None,
        usage: UsageRows | None = None,
        findings: FindingRows | None = None,
        freezes: FreezeRows | None = None,
        *,
        url: str | None = None,
        key: str | None = None,
    ) -> None:
        self._rows = rows
        self._usage = usage
        self._findings = findings
        self._freezes = freezes
        self._close: Callable[[], Awaitable[None]] | None = None
        self._url = url
        self._key = key
        self._opening = asyncio.Lock()

    async def open(self) -> Rows:
        """The database's rows.

        Raises:
            MissingExtra: supabase is not installed.
            BadInput: no address or key was given.
            Unreachable: Supabase does not answer.
        """
        async with self._opening:
            if self._rows is None:
                self._rows = await self._connect()
        return self._rows

    async def open_usage(self) -> UsageRows:
        """What was used, over the same connection.

        Raises:
            MissingExtra: supabase is not installed.
            BadInput: no address or key was given, or rows were given without their usage.
            Unreachable: Supabase does not answer.
        """
        rows = await self.open()
        if self._usage is not None:
            return self._usage
        from ..gateways.database import SupabaseRows
        from ..gateways.usage_rows import SupabaseUsage

        if not isinstance(rows, SupabaseRows):
            raise BadInput("usage", None, "is missing", fix="give it to Innkeeper() together with the rows")
        return SupabaseUsage(rows)

    async def open_findings(self) -> FindingRows:
        """What a reconcile found, over the same connection; raises as `open_usage` does."""
        rows = await self.open()
        if self._findings is not None:
            return self._findings
        from ..gateways.database import SupabaseRows
        from ..gateways.finding_rows import SupabaseFindings

        if not isinstance(rows, SupabaseRows):
            raise BadInput("findings", None, "are missing", fix="give them to Innkeeper() together with the rows")
        return rows.sharing(SupabaseFindings)

    async def open_freezes(self) -> FreezeRows:
        """What operators froze, over the same connection; raises as `open_usage` does."""
        rows = await self.open()
        if self._freezes is not None:
            return self._freezes
        from ..gateways.database import SupabaseRows
        from ..gateways.freeze_rows import SupabaseFreezes

        if not isinstance(rows, SupabaseRows):
            raise BadInput("freezes", None, "are missing", fix="give them to Innkeeper() together with the rows")
        return rows.sharing(SupabaseFreezes)

    async def _connect(self) -> Rows:
        try:
            from ..gateways.database import SupabaseRows
        except ModuleNotFoundError as error:
            raise MissingExtra(
                f"reading rows needs the package {error.name}, which is not installed",
                fix="pip install 'innkeeper[rows]', or read the rows by your own Supabase client",
            ) from error
        url = _given("supabase_url", self._url, URL_VARIABLE)
        key = _given("supabase_key", self._key, KEY_VARIABLE)
        rows = await SupabaseRows.connect(url, key)
        self._close = rows.aclose
        return rows

    async def close(self) -> None:
        """Close what was opened here; rows that were given stay open."""
        if self._close is not None:
            self._rows, close, self._close = None, self._close, None
            await close()


def _given(field: str, value: str | None, variable: str) -> str:
    found = value or os.environ.get(variable)
    if not found:
        raise BadInput(field, None, "is missing", fix=f"give it to connect() or set {variable}")
    return found
