"""Freezes as Supabase rows: `model.freezes.FreezeRows` over the connection of gateways/database.py."""

from __future__ import annotations

from innkeeper.model.freezes import Freeze, Scope

from .database import SupabaseRows, read
from .record_checks import storable


class SupabaseFreezes(SupabaseRows):
    """The rows of freezes: got by `SupabaseRows.sharing`. They need the project's secret key."""

    async def freezes(self) -> list[Freeze]:
        """All freezes, the oldest first."""
        found = await self._rows(self._client.table("freezes").select("*").order("frozen_at"))
        return [read(Freeze, row) for row in found]

    async def freeze(self, wanted: Freeze) -> None:
        """Freeze, or say it anew of what is frozen already."""
        row = storable(wanted.model_dump(mode="json", exclude={"frozen_at"}))
        await self._send(self._client.table("freezes").upsert(row, on_conflict="scope,name"))

    async def unfreeze(self, scope: Scope, name: str) -> bool:
        """End a freeze; False where there is none."""
        table = self._client.table("freezes")
        return bool(await self._rows(table.delete().eq("scope", scope.value).eq("name", storable(name))))
