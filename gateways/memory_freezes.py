"""Freezes in memory, for tests: the contract of gateways/freeze_rows.py."""

from __future__ import annotations

from datetime import UTC, datetime

from innkeeper.model.freezes import Freeze, Scope

from .memory_database import MemoryDatabase


class MemoryFreezes:
    """`model.freezes.FreezeRows` in memory; its calls are `db.freezes`, `db.freeze` and `db.unfreeze` to its faults."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database

    async def freezes(self) -> list[Freeze]:
        """All freezes, the oldest first."""
        async with self._database.faults.around("db.freezes"):
            return list(self._database.frozen.values())

    async def freeze(self, wanted: Freeze) -> None:
        """Freeze, or say it anew of what is frozen already."""
        async with self._database.faults.around("db.freeze"):
            key = (wanted.scope, wanted.name)
            before = self._database.frozen.get(key)
            at = before.frozen_at if before else datetime.now(UTC)
            self._database.frozen[key] = wanted.model_copy(update={"frozen_at": at})

    async def unfreeze(self, scope: Scope, name: str) -> bool:
        """End a freeze; False where there is none."""
        async with self._database.faults.around("db.unfreeze"):
            return self._database.frozen.pop((scope, name), None) is not None
