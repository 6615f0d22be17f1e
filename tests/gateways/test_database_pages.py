"""The reading half of the database's contract: pages without a gap, filters, cursors."""

from __future__ import annotations

import secrets

import pytest
from desk import Desk

from innkeeper.model.errors import BadInput
from innkeeper.model.instance import Kind, Status
from innkeeper.model.ports import Database, Page


async def test_instances_are_paged_by_name_without_a_gap(database: Database) -> None:
    tenant, prefix = f"t-{secrets.token_hex(6)}", f"p{secrets.token_hex(4)}"
    endings = ["", "-a", "a", "0", "-0", "z9", "a-b", "ab", *(f"-{number}" for number in range(10, 27))]
    names = [prefix + ending for ending in endings]
    assert len(set(names)) == 25
    for name in names:
        await Desk(database, name, tenant).claim(Kind.PROVISION)
    await Desk(database).claim(Kind.PROVISION)
    seen, after, sizes = [], None, []
    while True:
        page = await database.instances(Page(limit=10, after=after), tenant=tenant)
        seen += [item.name for item in page.items]
        sizes.append(len(page.items))
        after = page.next
        if after is None:
            break
    assert seen == sorted(names)
    assert sizes == [10, 10, 5]
    exact = await database.instances(Page(limit=25), tenant=tenant)
    assert (len(exact.items), exact.next) == (25, None)


async def test_instances_are_filtered_by_status(database: Database) -> None:
    tenant = f"t-{secrets.token_hex(6)}"
    running, stopped = Desk(database, tenant=tenant), Desk(database, tenant=tenant)
    await running.settle(Status.RUNNING)
    await stopped.settle(Status.STOPPED)
    page = await database.instances(Page(), tenant=tenant, status=Status.STOPPED)
    assert [item.name for item in page.items] == [stopped.name]
    both = await database.instances(Page(), tenant=tenant)
    assert len(both.items) == 2
    everybody = await database.instances(Page(limit=1000), status=Status.RUNNING)
    assert {item.status for item in everybody.items} == {Status.RUNNING}


async def test_operations_are_paged_newest_first_without_a_gap(desk: Desk) -> None:
    await desk.settle(Status.RUNNING)
    for number in range(24):
        await desk.settle(Status.RUNNING, Kind.RESTART if number % 2 else Kind.STOP)
    seen, after, sizes = [], None, []
    while True:
        page = await desk.database.operations(Page(limit=10, after=after), instance=desk.name)
        seen += [item.generation for item in page.items]
        sizes.append(len(page.items))
        after = page.next
        if after is None:
            break
    assert seen == list(range(25, 0, -1))
    assert sizes == [10, 10, 5]
    stops = await desk.database.operations(Page(limit=12), instance=desk.name, kind=Kind.STOP)
    assert ({item.kind for item in stops.items}, len(stops.items), stops.next) == ({Kind.STOP}, 12, None)


async def test_operations_are_filtered_by_tenant(desk: Desk) -> None:
    await desk.settle(Status.RUNNING)
    other = Desk(desk.database)
    await other.claim(Kind.PROVISION)
    page = await desk.database.operations(Page(), tenant=other.tenant)
    assert [item.instance for item in page.items] == [other.name]
    newest = await desk.database.operations(Page(limit=1))
    assert [item.instance for item in newest.items] == [other.name]


@pytest.mark.parametrize("cursor", ["", "x", "-1", "1.5", "9" * 40, "\N{SUPERSCRIPT TWO}"])
async def test_a_cursor_that_is_none_is_refused(desk: Desk, cursor: str) -> None:
    with pytest.raises(BadInput, match="cursor"):
        await desk.database.operations(Page(after=cursor))
