"""Findings in memory, for tests: the contract of gateways/finding_rows.py over the rows of a database in memory."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from innkeeper.model.drift_kinds import Policy
from innkeeper.model.findings import Finding, FindingPage, FindingRecord, Looked, Written
from innkeeper.model.ports import Page

from .memory_database import MemoryDatabase
from .record_checks import place_of


class MemoryFindings:
    """`model.finding_ports.Findings` in memory; its calls are `db.findings` and `db.reconciled` to its faults."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database
        self.records: dict[int, FindingRecord] = {}
        """Findings by id, gone ones, too."""

    async def findings(
        self, page: Page, *, instance: str | None = None, policy: Policy | None = None, resolved: bool = False
    ) -> FindingPage:
        """Findings that stand, or are gone, of one instance or all, with one policy or any, the first seen first."""
        async with self._database.faults.around("db.findings"):
            after = 0 if page.after is None else place_of(page.after)
            found = [
                each
                for each in self.records.values()
                if each.id > after
                and (each.resolved_at is not None) is resolved
                and instance in (None, each.instance)
                and policy in (None, each.policy)
            ]
            items = found[: page.limit]
            return FindingPage(items=items, next=str(items[-1].id) if len(found) > page.limit else None)

    async def reconciled(self, looked: Sequence[Looked], findings: Sequence[Finding]) -> Written:
        """Write what was found of these instances, and resolve what of theirs is gone."""
        async with self._database.faults.around("db.reconciled"):
            now = datetime.now(UTC)
            judged = {each.instance for each in looked if self._generation(each.instance) == each.generation}
            found = {(each.instance, each.what, each.object): each for each in findings if each.instance in judged}
            resolved = 0
            for record in self._standing():
                finding = found.pop((record.instance, record.what, record.object), None)
                if finding is not None:
                    told = {**finding.model_dump(), "how_bad": finding.how_bad, "last_seen": now}
                    self.records[record.id] = record.model_copy(update=told)
                elif record.instance in judged:
                    self.records[record.id] = record.model_copy(update={"resolved_at": now})
                    resolved += 1
            for finding in found.values():
                number = len(self.records) + 1
                self.records[number] = FindingRecord(
                    id=number, how_bad=finding.how_bad, first_seen=now, last_seen=now, **finding.model_dump()
                )
            return Written(opened=len(found), resolved=resolved, skipped=len(looked) - len(judged))

    def _generation(self, instance: str) -> int | None:
        row = self._database.rows.get(instance)
        return None if row is None else row.generation

    def _standing(self) -> list[FindingRecord]:
        return [each for each in self.records.values() if each.resolved_at is None]
