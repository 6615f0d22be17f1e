"""One phase as it was measured: what it cost, how long each instance took, and what its operations' histories say."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from ..model.names import workflow_id_of
from .arms import Done
from .costs import PROCESSES, Costs
from .stage import Stage

HISTORIES = 100
"""Operations of each phase at most whose history is read, after what is measured has been."""

ONLY_OURS = frozenset({"Temporal", "Supabase", "worker"})
"""Processes that bare Helm does not need."""


@dataclass
class Record:
    """One phase of one round of one arm."""

    arm: str
    phase: str
    size: int
    present: int
    """Other instances that ran meanwhile."""
    round: int
    costs: Costs
    latencies: list[float]
    """Seconds of each instance, from when all were asked for."""
    memory: dict[str, float] = field(default_factory=dict)
    """MiB by process, afterwards."""
    events: list[int] = field(default_factory=list)
    """History events of each operation."""
    history_bytes: list[int] = field(default_factory=list)
    """What Temporal stores of each operation's history."""
    parts: dict[str, list[float]] = field(default_factory=dict)
    """Seconds of each operation by what they were spent on."""
    steps: dict[str, list[float]] = field(default_factory=dict)
    """Seconds of each operation by its steps."""

    def cpu(self, names: Collection[str] = PROCESSES) -> float:
        """CPU seconds of these processes; bare Helm's without those that only Innkeeper has, which rest meanwhile."""
        idle = ONLY_OURS if self.arm == "bare" else frozenset()
        return sum(seconds for name, seconds in self.costs.cpu.items() if name in names and name not in idle)


async def measured(stage: Stage, arm: str, phase: str, names: Sequence[str], number: int) -> Record:
    """Do one phase and tell what it cost; what came before has come to rest."""
    await stage.meter.quiet()
    before = await stage.meter.before()
    done = await stage.arms[arm].phase(phase, names)
    costs = (await stage.meter.after()).since(before)
    seconds = [each.seconds for each in done]
    record = Record(arm, phase, len(names), stage.present, number, costs, seconds, stage.memory())
    # Of more than that every second or third, so that those that waited longest are among them.
    for each in done[:: math.ceil(len(done) / HISTORIES)]:
        await _read_history(stage, each, record)
    return record


async def _read_history(stage: Stage, done: Done, record: Record) -> None:
    if done.handle is None:
        return
    told = await done.handle.timeline()
    record.events.append(told.events)
    for part, seconds in told.totals.items():
        record.parts.setdefault(part.value, []).append(seconds)
    for span in told.spans:
        if span.step:
            record.steps.setdefault(f"{span.part.value} {span.step}", []).append(span.seconds)
    run = stage.temporal.get_workflow_handle(workflow_id_of(done.name), run_id=done.handle.run_id)
    described = await run.describe()
    record.history_bytes.append(described.raw_description.workflow_execution_info.history_size_bytes)
