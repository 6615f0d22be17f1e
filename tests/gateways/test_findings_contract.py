"""Findings, in memory and on Supabase: one row a finding, kept while it stands and after it is gone."""

from __future__ import annotations

import secrets

import pytest
from desk import Desk

from innkeeper.gateways.database import SupabaseDatabase
from innkeeper.gateways.finding_rows import SupabaseFindings
from innkeeper.gateways.memory_database import MemoryDatabase
from innkeeper.gateways.memory_findings import MemoryFindings
from innkeeper.model.drift_kinds import HowBad, What
from innkeeper.model.errors import BadInput
from innkeeper.model.finding_ports import Findings
from innkeeper.model.findings import Finding, FindingRecord, Looked, Written
from innkeeper.model.instance import Kind, Status
from innkeeper.model.ports import Database, Page


@pytest.fixture
def findings(database: Database) -> Findings:
    if isinstance(database, SupabaseDatabase):
        return database.sharing(SupabaseFindings)
    assert isinstance(database, MemoryDatabase)
    return MemoryFindings(database)


@pytest.fixture
def stray() -> str:
    """An instance that has no row."""
    return f"stray-{secrets.token_hex(6)}"


def finding(instance: str, what: What = What.REPLICAS_CHANGED, where: str = "web", found: str = "3") -> Finding:
    return Finding(instance=instance, what=what, object=where, wanted="1", found=found, mend="put it back")


async def standing(findings: Findings, instance: str) -> list[FindingRecord]:
    return (await findings.findings(Page(), instance=instance)).items


async def seen(findings: Findings, desk: Desk, *found: Finding) -> Written:
    row = await desk.row()
    return await findings.reconciled([Looked(instance=desk.name, generation=row.generation)], found)


async def test_a_finding_is_one_row_while_it_stands_and_tells_the_last_it_saw(findings: Findings, desk: Desk) -> None:
    await desk.settle(Status.RUNNING)
    assert await seen(findings, desk, finding(desk.name)) == Written(opened=1)
    (first,) = await standing(findings, desk.name)
    assert (first.what, first.how_bad, first.object) == (What.REPLICAS_CHANGED, HowBad.WARNING, "web")
    assert (first.wanted, first.found, first.mend) == ("1", "3", "put it back")
    assert first.first_seen == first.last_seen
    assert await seen(findings, desk, finding(desk.name, found="5")) == Written()
    (second,) = await standing(findings, desk.name)
    assert (second.id, second.first_seen, second.found) == (first.id, first.first_seen, "5")
    assert second.last_seen > first.last_seen


async def test_what_is_found_no_more_is_kept_as_resolved_and_comes_back_as_another(
    findings: Findings, desk: Desk
) -> None:
    await desk.settle(Status.RUNNING)
    await seen(findings, desk, finding(desk.name), finding(desk.name, where="db"))
    assert await seen(findings, desk, finding(desk.name, where="db")) == Written(resolved=1)
    assert [each.object for each in await standing(findings, desk.name)] == ["db"]
    (gone,) = (await findings.findings(Page(), instance=desk.name, resolved=True)).items
    assert gone.object == "web"
    assert gone.resolved_at is not None
    assert await seen(findings, desk, finding(desk.name), finding(desk.name, where="db")) == Written(opened=1)
    assert [each.object for each in await standing(findings, desk.name)] == ["db", "web"]
    assert gone.id not in [each.id for each in await standing(findings, desk.name)]


async def test_an_instance_that_was_claimed_since_is_left_as_it_is(findings: Findings, desk: Desk) -> None:
    await desk.settle(Status.RUNNING)
    await seen(findings, desk, finding(desk.name))
    before = await desk.row()
    await desk.claim(Kind.STOP)
    looked = [Looked(instance=desk.name, generation=before.generation)]
    assert await findings.reconciled(looked, []) == Written(skipped=1)
    assert await findings.reconciled(looked, [finding(desk.name, where="db")]) == Written(skipped=1)
    assert [each.object for each in await standing(findings, desk.name)] == ["web"]


async def test_what_has_no_row_is_written_while_it_has_none(findings: Findings, desk: Desk, stray: str) -> None:
    nowhere = [Looked(instance=stray, generation=None)]
    assert await findings.reconciled(nowhere, [finding(stray, What.RELEASE_UNOWNED)]) == Written(opened=1)
    assert await findings.reconciled(nowhere, []) == Written(resolved=1)
    await desk.claim(Kind.PROVISION)
    come = [Looked(instance=desk.name, generation=None)]
    assert await findings.reconciled(come, [finding(desk.name)]) == Written(skipped=1)


async def test_only_what_was_looked_at_is_written(findings: Findings, desk: Desk, stray: str) -> None:
    await desk.settle(Status.RUNNING)
    await findings.reconciled([Looked(instance=stray, generation=None)], [finding(stray)])
    assert await seen(findings, desk, finding(stray, where="db")) == Written()
    assert [each.object for each in await standing(findings, stray)] == ["web"]


async def test_findings_are_read_page_by_page_in_the_order_of_their_first_sight(findings: Findings, stray: str) -> None:
    looked = [Looked(instance=stray, generation=None)]
    for count in range(1, 6):
        await findings.reconciled(looked, [finding(stray, where=f"w{number}") for number in range(count)])
    first = await findings.findings(Page(limit=2), instance=stray)
    second = await findings.findings(Page(limit=2, after=first.next), instance=stray)
    third = await findings.findings(Page(limit=2, after=second.next), instance=stray)
    assert [[each.object for each in page.items] for page in (first, second, third)] == [
        ["w0", "w1"],
        ["w2", "w3"],
        ["w4"],
    ]
    assert third.next is None
    everything = (await findings.findings(Page(limit=999))).items
    assert stray in {each.instance for each in everything}
    with pytest.raises(BadInput):
        await findings.findings(Page(after="w2"))


async def test_what_a_finding_says_may_hold_anything(findings: Findings, stray: str) -> None:
    odd = "a\tb 'quoted' \"twice\" {}, 100 %\n\N{SNOWMAN}"
    await findings.reconciled([Looked(instance=stray, generation=None)], [finding(stray, where=odd, found=odd)])
    (found,) = await standing(findings, stray)
    assert (found.object, found.found) == (odd, odd)
