"""Each moment of an operation is told: every stretch of its history belongs to one span, and each step has its own."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from pathlib import Path

import pytest
from google.protobuf import json_format
from temporalio.api.enums.v1 import EventType, PendingActivityState
from temporalio.api.history.v1 import History, HistoryEvent
from temporalio.api.workflow.v1 import PendingActivityInfo
from temporalio.client import Client

from innkeeper.client import BadInput, Innkeeper, Part, Refused, Span
from innkeeper.client.timeline import part_of, spans_of

from .test_delivery import go, run_of
from .test_waiting import held

HISTORIES = sorted((Path(__file__).parent.parent / "histories").glob("*.json"))


def events_of(path: Path) -> list[HistoryEvent]:
    return list(json_format.Parse(path.read_text(), History(), ignore_unknown_fields=True).events)


def stored(name: str) -> list[Span]:
    return spans_of(events_of(HISTORIES[0].parent / f"{name}.json"))


def steps(spans: list[Span]) -> list[str]:
    return [span.step for span in spans if span.step and span.part is not Part.QUEUE]


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
def test_every_moment_belongs_to_one_span(path: Path) -> None:
    events = events_of(path)
    spans = spans_of(events)
    assert spans[0].begins == 0
    assert all(before.begins + before.seconds == pytest.approx(after.begins) for before, after in pairwise(spans))
    whole = events[-1].event_time.ToNanoseconds() - events[0].event_time.ToNanoseconds()
    assert sum(span.seconds for span in spans) == pytest.approx(whole / 1e9, abs=1e-5)
    assert all(span.seconds > 0 for span in spans)


def test_each_step_is_told_in_its_turn_with_what_it_works_on() -> None:
    spans = stored("provision-done")
    assert steps(spans) == ["check", "claim", "prepare", "release", "ready", "finish"]
    by_step = {span.step: span.part for span in spans if span.part is not Part.QUEUE}
    assert (by_step["claim"], by_step["release"], by_step["ready"]) == (Part.DATABASE, Part.HELM, Part.KUBERNETES)
    assert by_step[""] is Part.WORKFLOW


def test_what_failed_is_told_and_what_waited_for_an_operator() -> None:
    spans = stored("uninstall-parked")
    failed = [span for span in spans if span.failed]
    assert [span.step for span in failed] == ["uninstall"]
    assert any(span.part is Part.WAITING for span in spans)


def test_a_step_that_was_tried_again_says_how_often() -> None:
    spans = stored("provision-with-every-call-failing-once")
    assert max(span.attempts for span in spans) > 1


def test_a_task_that_nobody_came_for_in_time_was_in_the_queue_and_hides_no_step() -> None:
    events = events_of(HISTORIES[0].parent / "provision-done.json")
    last = max(i for i, each in enumerate(events) if each.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED)
    before = spans_of(events[:last])
    missed = HistoryEvent(event_id=events[last].event_id, event_type=EventType.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT)
    missed.event_time.FromNanoseconds(events[last - 1].event_time.ToNanoseconds() + 2_000_000_000)
    spans = spans_of([*events[:last], missed])
    assert spans[:-1] == before[:-1]
    assert (spans[-1].part, spans[-1].step) == (Part.QUEUE, "")
    assert spans[-1].seconds == pytest.approx(2, abs=1e-3)


@pytest.mark.parametrize("state", ["STARTED", "SCHEDULED"])
def test_a_step_under_way_lasts_until_now(state: str) -> None:
    events = events_of(HISTORIES[0].parent / "provision-done.json")
    asked = [event for event in events if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED][-1]
    begun = asked.event_time.ToNanoseconds()
    told = PendingActivityInfo(
        activity_id=asked.activity_task_scheduled_event_attributes.activity_id,
        state=PendingActivityState.Value(f"PENDING_ACTIVITY_STATE_{state}"),
        attempt=2,
    )
    told.last_started_time.FromNanoseconds(begun + 10**9)
    spans = spans_of(events[: events.index(asked) + 1], [told], now=begun / 1e9 + 3)
    last = [(span.part, span.attempts, round(span.seconds)) for span in spans if span.step == "ready"]
    assert last == ([(Part.QUEUE, 2, 1), (Part.KUBERNETES, 2, 2)] if state == "STARTED" else [(Part.QUEUE, 2, 3)])


async def test_the_step_that_runs_now_is_told_up_to_now(client: Client, innkeeper: Innkeeper) -> None:
    handle = await held(innkeeper, "goes-on")
    await asyncio.sleep(1)
    first = await handle.timeline()
    await asyncio.sleep(1)
    assert first.seconds >= 1
    assert (await handle.timeline()).seconds >= first.seconds + 1
    await go(client, handle)
    await handle.result()


def test_of_no_history_nothing_is_told() -> None:
    assert spans_of([]) == []


@pytest.mark.parametrize(
    ("step", "part"),
    [("claim", Part.DATABASE), ("restore", Part.HELM), ("prepare", Part.KUBERNETES), ("gone", Part.KUBERNETES)],
)
def test_steps_are_told_apart_by_what_they_work_on(step: str, part: Part) -> None:
    assert part_of(step) is part


async def test_a_handle_tells_its_own_operation(innkeeper: Innkeeper) -> None:
    handle = await innkeeper.provision("timed", tenant="t1", plan="starter", request_id="timed-1")
    await handle.result()
    told = await handle.timeline()
    assert (told.request_id, told.kind, told.instance, told.run_id) == ("timed-1", "provision", "timed", run_of(handle))
    assert told.seconds == pytest.approx(sum(told.totals.values()))
    assert told.events > len(told.spans) > 0


async def test_a_run_that_temporal_does_not_know_is_refused(innkeeper: Innkeeper) -> None:
    handle = innkeeper.handle_for("timed", "00000000-0000-0000-0000-000000000000")
    with pytest.raises(BadInput, match="is no run of timed"):
        await handle.timeline()


async def test_a_request_that_waits_for_its_turn_has_no_time_to_tell(innkeeper: Innkeeper) -> None:
    await held(innkeeper, "times")
    second = await innkeeper.stop("times", request_id="times-2", on_conflict="wait")
    with pytest.raises(BadInput, match="has no run whose time could be told") as told:
        await second.timeline()
    assert told.value.cause.code == "Waiting"
    third = await innkeeper.uninstall("times", request_id="times-3", on_conflict="replace")
    with pytest.raises(Refused):
        await second.result()
    with pytest.raises(Refused):
        await second.timeline()
    assert (await third.result()).request_id == "times-3"
