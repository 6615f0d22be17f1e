"""The part of the database's contract that adoptions rest on: whose a namespace is, and where an instance stays."""

from __future__ import annotations

import asyncio
import secrets

import pytest
from desk import Desk

from innkeeper.model.instance import Kind, Status
from innkeeper.model.ports import Database
from innkeeper.model.record_messages import Claim, Verdict


@pytest.fixture
def place() -> dict[str, str]:
    """A namespace and a release that somebody named, once a test."""
    return {"namespace": f"shop-{secrets.token_hex(6)}", "release": "web"}


async def test_an_adoption_makes_a_row_with_the_names_that_it_was_given(desk: Desk, place: dict[str, str]) -> None:
    claim = await desk.claim(Kind.ADOPT, **place)
    assert (claim.verdict, claim.former, claim.found, claim.former_plan) == (Verdict.CLAIMED, None, None, None)
    row = await desk.row()
    assert (row.status, row.namespace, row.release) == (Status.ADOPTING, place["namespace"], "web")
    assert row == claim.instance
    assert (await desk.finish(claim, Status.RUNNING, revision=4)).revision == 4


async def test_an_instance_that_stands_keeps_its_place_over_every_operation(desk: Desk, place: dict[str, str]) -> None:
    await desk.finish(await desk.claim(Kind.ADOPT, **place), Status.RUNNING)
    for kind, status in ((Kind.STOP, Status.STOPPED), (Kind.UNINSTALL, Status.UNINSTALLED)):
        await desk.settle(status, kind)
    await desk.settle(Status.ERROR, Kind.PROVISION)
    row = await desk.row()
    assert (row.status, row.namespace, row.release) == (Status.ERROR, place["namespace"], "web")


async def test_a_lost_adoption_is_met_as_such(desk: Desk, place: dict[str, str]) -> None:
    await desk.claim(Kind.ADOPT, **place)
    claim = await desk.claim(Kind.REPAIR)
    assert (claim.former, claim.found) == (Status.ERROR, Status.ADOPTING)


async def test_what_is_purged_has_no_place_any_more(desk: Desk, place: dict[str, str]) -> None:
    await desk.finish(await desk.claim(Kind.ADOPT, **place), Status.PURGED)
    await desk.claim(Kind.PROVISION)
    row = await desk.row()
    assert (row.namespace, row.release) == (f"inn-{desk.name}", desk.name)


@pytest.mark.parametrize("status", [Status.ADOPTING, Status.RUNNING, Status.UNINSTALLED, Status.ERROR])
async def test_a_namespace_of_another_instance_is_taken(
    database: Database, place: dict[str, str], status: Status
) -> None:
    holder, other = Desk(database), Desk(database)
    claim = await holder.claim(Kind.ADOPT, **place)
    if status.settled:
        await holder.finish(claim, status)
    assert await other.claim(Kind.ADOPT, **place) == Claim(verdict=Verdict.TAKEN)
    assert await database.instance(other.name) is None


async def test_a_provision_whose_namespace_was_adopted_under_another_name_is_refused(database: Database) -> None:
    holder, late = Desk(database), Desk(database)
    await holder.claim(Kind.ADOPT, namespace=f"inn-{late.name}", release="web")
    assert (await late.claim(Kind.PROVISION)).verdict is Verdict.TAKEN


async def test_the_namespace_of_what_is_purged_is_free_for_another_name(
    database: Database, place: dict[str, str]
) -> None:
    first, heir = Desk(database), Desk(database)
    await first.finish(await first.claim(Kind.ADOPT, **place), Status.PURGED)
    assert (await heir.claim(Kind.ADOPT, **place)).verdict is Verdict.CLAIMED
    # Nothing of the first is there, so what is asked of it does not meet the heir.
    assert (await first.claim(Kind.REPAIR)).verdict is Verdict.CLAIMED
    assert (await Desk(database, first.name, first.tenant).claim(Kind.ADOPT, **place)).verdict is Verdict.CLAIMED


async def test_of_many_that_want_one_namespace_at_once_one_gets_it(database: Database, place: dict[str, str]) -> None:
    desks = [Desk(database) for _ in range(10)]
    claims = await asyncio.gather(*(desk.claim(Kind.ADOPT, **place) for desk in desks))
    assert sorted(claim.verdict for claim in claims) == sorted([Verdict.CLAIMED, *[Verdict.TAKEN] * 9])


async def test_the_same_request_for_another_place_is_another_request(desk: Desk, place: dict[str, str]) -> None:
    request = desk.request(Kind.ADOPT, **place)
    await desk.ask(request)
    assert (await desk.ask(request)).verdict is Verdict.CLAIMED
    elsewhere = request.model_copy(update={"namespace": "elsewhere"})
    assert await desk.ask(elsewhere) == Claim(verdict=Verdict.MISMATCH)
