"""Findings as Supabase rows: `model.finding_ports.Findings` over the connection of gateways/database.py."""

from __future__ import annotations

from collections.abc import Sequence

from innkeeper.model.drift_kinds import Policy
from innkeeper.model.findings import Finding, FindingPage, FindingRecord, Looked, Written
from innkeeper.model.ports import Page

from .database import LONGEST_PAGE, SupabaseRows, read
from .record_checks import place_of, storable


class SupabaseFindings(SupabaseRows):
    """The rows of findings: got by `SupabaseRows.sharing`. Reading and writing need the project's secret key."""

    async def findings(
        self, page: Page, *, instance: str | None = None, policy: Policy | None = None, resolved: bool = False
    ) -> FindingPage:
        """Findings that stand, or are gone, of one instance or all, with one policy or any, the first seen first."""
        size = min(page.limit, LONGEST_PAGE)
        query = self._client.table("findings").select("*")
        query = query.not_.is_("resolved_at", "null") if resolved else query.is_("resolved_at", "null")
        if instance is not None:
            query = query.eq("instance", storable(instance))
        if policy is not None:
            query = query.eq("policy", policy.value)
        if page.after is not None:
            query = query.gt("id", place_of(page.after))
        found = await self._rows(query.order("id").limit(size + 1))
        items = [read(FindingRecord, row) for row in found[:size]]
        return FindingPage(items=items, next=str(items[-1].id) if len(found) > size else None)

    async def reconciled(self, looked: Sequence[Looked], findings: Sequence[Finding]) -> Written:
        """Write what was found of these instances, and resolve what of theirs is gone.

        Raises:
            Unreachable: no answer; the write may have happened, and may be repeated.
            Forbidden: the key does not have a worker's rights.
        """
        return await self.call(
            Written,
            "innkeeper_reconciled",
            looked=[each.model_dump(mode="json") for each in looked],
            findings=[{**each.model_dump(mode="json"), "how_bad": each.how_bad.value} for each in findings],
        )
