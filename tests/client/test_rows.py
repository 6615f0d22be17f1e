"""Rows are read through the client by those who want one door."""

from __future__ import annotations

import socket

import pytest
from temporalio.client import Client

from innkeeper.client import BadInput, Innkeeper, Kind, Outcome, Status, Unreachable
from innkeeper.gateways.memory_database import MemoryDatabase
from innkeeper.model.messages import Request
from innkeeper.model.names import namespace_of, release_of, workflow_id_of
from innkeeper.model.record_messages import ClaimRequest, Ending


async def filled(count: int) -> MemoryDatabase:
    """A database with instances ``room-0`` … of two tenants, the even ones t0's and running."""
    database = MemoryDatabase()
    for number in range(count):
        name = f"room-{number:03}"
        request = Request.of(Kind.PROVISION, name, request_id=f"made-{number}", tenant=f"t{number % 2}", plan="starter")
        claim = await database.claim(
            ClaimRequest(
                request=request,
                workflow_id=workflow_id_of(name),
                run_id="run",
                namespace=namespace_of(name),
                release=release_of(name),
            )
        )
        await database.finish(
            Ending(
                request_id=request.request_id,
                instance=name,
                generation=claim.generation,
                status=Status.ERROR if number % 2 else Status.RUNNING,
                outcome=Outcome.UNDONE if number % 2 else Outcome.DONE,
            )
        )
    return database


async def test_an_instance_is_read_by_any_spelling_of_its_name(client: Client) -> None:
    innkeeper = Innkeeper(client, await filled(1))
    found = await innkeeper.get(" Room_000 ")
    assert found is not None
    assert (found.name, found.tenant, found.status) == ("room-000", "t0", Status.RUNNING)
    assert await innkeeper.get("nobody") is None


async def test_instances_are_read_page_by_page_or_all(client: Client) -> None:
    innkeeper = Innkeeper(client, await filled(5))
    first = await innkeeper.list(limit=2)
    assert [item.name for item in first.items] == ["room-000", "room-001"]
    second = await innkeeper.list(limit=2, after=first.next)
    assert [item.name for item in second.items] == ["room-002", "room-003"]
    assert [item.name async for item in innkeeper.list_all(tenant="t1")] == ["room-001", "room-003"]
    assert [item.name for item in (await innkeeper.list(status=Status.RUNNING)).items] == [
        "room-000",
        "room-002",
        "room-004",
    ]


async def test_all_instances_are_read_over_several_pages(client: Client) -> None:
    innkeeper = Innkeeper(client, await filled(401))
    names = [item.name async for item in innkeeper.list_all()]
    assert len(names) == 401
    assert names == sorted(names)


async def test_operations_are_read_by_id_and_by_instance(client: Client) -> None:
    innkeeper = Innkeeper(client, await filled(3))
    made = await innkeeper.operation("made-1")
    assert made is not None
    assert (made.instance, made.outcome) == ("room-001", Outcome.UNDONE)
    assert [each.id for each in (await innkeeper.operations("Room 002")).items] == ["made-2"]
    assert [each.id for each in (await innkeeper.operations(tenant="t0", kind=Kind.PROVISION)).items] == [
        "made-2",
        "made-0",
    ]
    assert await innkeeper.operation("unknown") is None


async def test_a_client_closes_the_rows_it_opened_and_leaves_those_it_was_given(client: Client) -> None:
    given = await filled(1)
    async with Innkeeper(client, given) as innkeeper:
        await innkeeper.get("room-000")
    assert await given.instance("room-000") is not None
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        async with Innkeeper(client, supabase_url=url, supabase_key="key") as innkeeper:
            for _ in range(2):
                with pytest.raises(Unreachable):
                    await innkeeper.get("room-000")


async def test_rows_without_an_address_are_refused_with_the_setting_to_make(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("INNKEEPER_SUPABASE_URL", raising=False)
    monkeypatch.delenv("INNKEEPER_SUPABASE_KEY", raising=False)
    with pytest.raises(BadInput, match=r"supabase_url: None is missing.*INNKEEPER_SUPABASE_URL"):
        await Innkeeper(client).get("acme")
    with pytest.raises(BadInput, match=r"supabase_key: None is missing.*INNKEEPER_SUPABASE_KEY"):
        await Innkeeper(client, supabase_url="http://localhost:1").get("acme")
    monkeypatch.setenv("INNKEEPER_SUPABASE_URL", "not a url")
    monkeypatch.setenv("INNKEEPER_SUPABASE_KEY", "key")
    with pytest.raises(BadInput, match="'not a url' is not a project's URL"):
        await Innkeeper(client).get("acme")
