"""Lists mark what is parked by one question to Temporal, ask nothing where nothing is under way, and do without it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest
from temporalio.client import Client

from innkeeper.cli.marking import marked_instances, marked_operations, tell_parked, with_mark
from innkeeper.cli.session import Session
from innkeeper.client import Innkeeper
from innkeeper.model.instance import Instance, Kind, Status
from innkeeper.model.messages import OperationRecord, Outcome
from innkeeper.model.ports import InstancePage, OperationPage

NOW = datetime(2026, 3, 1, tzinfo=UTC)
NOBODY = "127.0.0.1:1"


def row(name: str, status: Status) -> Instance:
    return Instance(
        name=name,
        tenant="t1",
        plan="starter",
        namespace=f"inn-{name}",
        release=name,
        status=status,
        generation=1,
        created_at=NOW,
        updated_at=NOW,
    )


def operation(instance: str, run_id: str, ended_at: datetime | None = None) -> OperationRecord:
    return OperationRecord(
        id=f"{instance}-{run_id}",
        kind=Kind.UPGRADE,
        instance=instance,
        tenant="t1",
        generation=1,
        digest="",
        outcome=Outcome.RUNNING,
        workflow_id=f"instance/{instance}",
        run_id=run_id,
        started_at=NOW,
        ended_at=ended_at,
    )


def session(address: str) -> Session:
    return Session("innkeeper list", {"temporal_address": address, "temporal_namespace": "default"})


async def parked(client: Client, name: str) -> str:
    """The run of an operation that is parked, once Temporal lists it."""
    innkeeper = Innkeeper(client)
    await innkeeper.upgrade(name, asked_by="parked")
    async with asyncio.timeout(20):
        while name not in (found := await innkeeper.parked_runs()):
            await asyncio.sleep(0.05)
    return found[name]


async def test_what_is_parked_is_marked_among_what_runs_and_is_settled(
    temporal: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    run = await parked(temporal, "asks")
    here = session(temporal.service_client.config.target_host)
    rows = [row("asks", Status.UPGRADING), row("moves", Status.STOPPING), row("rests", Status.RUNNING)]
    page = await marked_instances(here, InstancePage(items=rows, next="rests"))
    assert [(each.name, each.parked) for each in page.items] == [("asks", True), ("moves", False), ("rests", False)]
    assert page.next == "rests"
    ran = [operation("asks", run), operation("asks", "another"), operation("asks", run, ended_at=NOW)]
    history = await marked_operations(here, OperationPage(items=ran))
    assert [each.parked for each in history.items] == [True, False, False]
    tell_parked(here, page)
    assert "what the parked ones ask: innkeeper attention" in capsys.readouterr().out
    await Innkeeper(temporal).decide("asks", "retry", operator="ann")


async def test_where_temporal_does_not_answer_it_is_unknown_what_is_parked_and_the_rows_are_told(
    capsys: pytest.CaptureFixture[str],
) -> None:
    away = session(NOBODY)
    page = await marked_instances(away, InstancePage(items=[row("moves", Status.STOPPING), row("rests", Status.ERROR)]))
    assert [each.parked for each in page.items] == [None, False]
    history = await marked_operations(away, OperationPage(items=[operation("moves", "run")]))
    assert [each.parked for each in history.items] == [None]
    tell_parked(away, page)
    assert capsys.readouterr().out == ""


async def test_where_nothing_is_under_way_nobody_is_asked() -> None:
    # Not even an address that could not be one is noticed.
    nowhere = session("no address")
    page = await marked_instances(nowhere, InstancePage(items=[row("rests", Status.RUNNING)]))
    history = await marked_operations(nowhere, OperationPage(items=[operation("rests", "run", ended_at=NOW)]))
    assert [page.items[0].parked, history.items[0].parked] == [False, False]


def test_a_mark_follows_the_word() -> None:
    assert [with_mark("upgrading", parked=known) for known in (True, False, None)] == [
        "upgrading, parked",
        "upgrading",
        "upgrading",
    ]
