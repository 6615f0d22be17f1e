"""Where an operation's time went, by its history at Temporal: queues, workflow code, each step by what it works on.

The steps of an operation follow one another, so all of them are its critical path. What runs as a local activity is
told by the workflow task that carried it: from when it was scheduled to the next one, or to the task's end.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict
from temporalio.api.enums.v1 import EventType, PendingActivityState
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.workflow.v1 import PendingActivityInfo

from .runs import Run


class Part(StrEnum):
    """What a span of time was spent on."""

    QUEUE = "queue"
    """Until a worker took a task; the earlier attempts of a step that was tried again are in it."""
    WORKFLOW = "workflow"
    """Code that decides what comes next, and the way of its decision to Temporal."""
    DATABASE = "database"
    HELM = "Helm"
    KUBERNETES = "Kubernetes"
    WAITING = "waiting"
    """For an operator, or another operation: no task was under way."""


DATABASE = frozenset({"claim", "claimed", "known", "finish"})
HELM = frozenset({"check", "release", "undo-release", "uninstall", "restore"})
"""Steps that are Helm's for the most part; all others are the cluster's."""


A_MOMENT = 0.001
"""Seconds of a gap that is Temporal's writing of one event after the other, and no wait."""


class Span(BaseModel):
    """A stretch of an operation."""

    model_config = ConfigDict(frozen=True)

    part: Part
    step: str
    """The activity; empty for workflow code."""
    begins: float
    """Seconds from the operation's start."""
    seconds: float
    attempts: int = 1
    failed: bool = False


class Timeline(BaseModel):
    """An operation from its start to its end, or to now."""

    model_config = ConfigDict(frozen=True)

    request_id: str
    kind: str
    instance: str
    run_id: str
    started_at: datetime
    seconds: float
    """From the start to the end, or to now."""
    events: int
    """Of the history."""
    spans: list[Span]
    """In the order in which they began; they do not overlap, and together they are the whole."""

    @property
    def totals(self) -> dict[Part, float]:
        """Seconds of each part."""
        return {part: sum(span.seconds for span in self.spans if span.part is part) for part in Part}


def timeline_of(run: Run, events: Sequence[HistoryEvent], pending: Sequence[PendingActivityInfo]) -> Timeline:
    """The timeline of a run, from its history's events and, where it goes on, the steps that are under way."""
    spans = spans_of(events, pending, now=datetime.now(UTC).timestamp() if run.running else None)
    return Timeline(
        request_id=run.request_id,
        kind=run.kind,
        instance=run.instance,
        run_id=run.run_id,
        started_at=run.started_at,
        seconds=spans[-1].begins + spans[-1].seconds if spans else 0.0,
        events=len(events),
        spans=spans,
    )


def part_of(step: str) -> Part:
    """What a step works on."""
    if step in DATABASE:
        return Part.DATABASE
    return Part.HELM if step in HELM else Part.KUBERNETES


class _Piece(BaseModel):
    """A span by the clock."""

    part: Part
    step: str = ""
    begun: float
    ended: float
    attempts: int = 1
    failed: bool = False


def spans_of(
    events: Sequence[HistoryEvent], pending: Sequence[PendingActivityInfo] = (), *, now: float | None = None
) -> list[Span]:
    """The spans of a history, without gaps and without overlaps.

    Args:
        events: the history's.
        pending: the activities under way. Temporal writes that one has started only once it has ended.
        now: until when, in seconds since 1970; None: until the last event.
    """
    if not events:
        return []
    begun, ended = _at(events[0]), max(_at(events[-1]), now or 0.0)
    under_way = {each.activity_id: each for each in pending}
    found = (*_tasks(events), *_activities(events, under_way, ended))
    pieces = sorted(found, key=lambda piece: (piece.begun, piece.ended))
    spans: list[Span] = []
    told = begun
    for piece in [*pieces, _Piece(part=Part.WORKFLOW, begun=ended, ended=ended)]:
        if piece.begun > told + A_MOMENT:
            # Before its first task an operation waits for nobody: its task is on the way to the queue.
            gap = Part.WAITING if spans else Part.QUEUE
            spans.append(_span(_Piece(part=gap, begun=told, ended=piece.begun), begun))
            told = piece.begun
        piece.begun = told
        if piece.ended > piece.begun:
            spans.append(_span(piece, begun))
            told = piece.ended
    return spans


def _span(piece: _Piece, zero: float) -> Span:
    return Span(
        part=piece.part,
        step=piece.step,
        begins=piece.begun - zero,
        seconds=piece.ended - piece.begun,
        attempts=piece.attempts,
        failed=piece.failed,
    )


def _at(event: HistoryEvent) -> float:
    return event.event_time.ToDatetime(UTC).timestamp()


_TASK_ENDS = frozenset(
    {
        EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED,
        EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED,
        EventType.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT,
    }
)


def _tasks(events: Sequence[HistoryEvent]) -> Iterator[_Piece]:
    """Workflow tasks: the queue before each, the code in it, and the local activities that it carried."""
    carried = _carried(events)
    scheduled = _at(events[0])
    started: float | None = None
    for event in events:
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED:
            scheduled, started = _at(event), None
        elif event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED:
            started = _at(event)
            yield _Piece(part=Part.QUEUE, begun=scheduled, ended=started)
        elif event.event_type in _TASK_ENDS:
            if started is not None:
                yield from _within(started, _at(event), carried.get(event.event_id, ()))
            else:
                # The worker that remembered the workflow did not come for it in time: it waits on, for any other.
                yield _Piece(part=Part.QUEUE, begun=scheduled, ended=_at(event))


def _within(started: float, ended: float, steps: Sequence[tuple[float, str]]) -> Iterator[_Piece]:
    # The worker's clock tells when a local activity was scheduled, Temporal's all else: kept within the task.
    begins = [min(max(at, started), ended) for at, _ in steps]
    yield _Piece(part=Part.WORKFLOW, begun=started, ended=begins[0] if begins else ended)
    for begun, until, (_, step) in zip(begins, [*begins, ended][1:], steps, strict=True):
        yield _Piece(part=part_of(step), step=step, begun=begun, ended=until)


def _carried(events: Sequence[HistoryEvent]) -> Mapping[int, list[tuple[float, str]]]:
    """The local activities by the end of the task that carried them: when each was scheduled, and which it is."""
    found: dict[int, list[tuple[float, str]]] = {}
    for event in events:
        if event.event_type != EventType.EVENT_TYPE_MARKER_RECORDED:
            continue
        marker = event.marker_recorded_event_attributes
        if marker.marker_name != "core_local_activity":
            continue
        told = json.loads(marker.details["data"].payloads[0].data)
        at = told["original_schedule_time"]
        when = at["seconds"] + at["nanos"] / 1e9
        found.setdefault(marker.workflow_task_completed_event_id, []).append((when, told["activity_type"]))
    return {task: sorted(steps) for task, steps in found.items()}


def _activities(
    events: Sequence[HistoryEvent], under_way: Mapping[str, PendingActivityInfo], now: float
) -> Iterator[_Piece]:
    """Activities: the queue before each, and the attempt that was its last."""
    scheduled: dict[int, HistoryEvent] = {}
    started: dict[int, HistoryEvent] = {}
    for event in events:
        match event.event_type:
            case EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
                scheduled[event.event_id] = event
            case EventType.EVENT_TYPE_ACTIVITY_TASK_STARTED:
                started[event.activity_task_started_event_attributes.scheduled_event_id] = event
            case EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED:
                key = event.activity_task_completed_event_attributes.scheduled_event_id
                yield from _activity(scheduled.pop(key), started.get(key), _at(event), failed=False)
            case EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED:
                key = event.activity_task_failed_event_attributes.scheduled_event_id
                yield from _activity(scheduled.pop(key), started.get(key), _at(event), failed=True)
            case EventType.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT:
                key = event.activity_task_timed_out_event_attributes.scheduled_event_id
                yield from _activity(scheduled.pop(key), started.get(key), _at(event), failed=True)
            case EventType.EVENT_TYPE_ACTIVITY_TASK_CANCELED:
                key = event.activity_task_canceled_event_attributes.scheduled_event_id
                yield from _activity(scheduled.pop(key), started.get(key), _at(event), failed=True)
    for still in scheduled.values():
        told = under_way.get(still.activity_task_scheduled_event_attributes.activity_id)
        yield from _pending(still, told, now)


def _pending(scheduled: HistoryEvent, told: PendingActivityInfo | None, now: float) -> Iterator[_Piece]:
    """A step under way: its queue, with the attempts before, and the attempt that runs, if one does."""
    runs = told is not None and told.state == PendingActivityState.PENDING_ACTIVITY_STATE_STARTED
    step = scheduled.activity_task_scheduled_event_attributes.activity_type.name
    begun = told.last_started_time.ToDatetime(UTC).timestamp() if told is not None and runs else now
    attempts = told.attempt if told is not None else 1
    yield _Piece(part=Part.QUEUE, step=step, begun=_at(scheduled), ended=min(begun, now), attempts=attempts)
    yield _Piece(part=part_of(step), step=step, begun=min(begun, now), ended=now, attempts=attempts)


def _activity(scheduled: HistoryEvent, started: HistoryEvent | None, ended: float, *, failed: bool) -> Iterator[_Piece]:
    step = scheduled.activity_task_scheduled_event_attributes.activity_type.name
    begun = ended if started is None else _at(started)
    attempts = 1 if started is None else started.activity_task_started_event_attributes.attempt
    yield _Piece(part=Part.QUEUE, step=step, begun=_at(scheduled), ended=begun)
    yield _Piece(part=part_of(step), step=step, begun=begun, ended=ended, attempts=attempts, failed=failed)
