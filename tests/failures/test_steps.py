"""Each step of each operation fails, alone and while the database is down: it ends as the table says, and can go on."""

from __future__ import annotations

import contextlib
from typing import NamedTuple

import by_hand
import pytest
from following import Followed, failed
from in_memory import WRITES, World

from innkeeper.client import OperationHandle
from innkeeper.model import marks
from innkeeper.model.errors import Forbidden, InnkeeperError, Refused, Unreachable
from innkeeper.model.instance import TRANSITIONS, Kind, Status
from innkeeper.model.messages import Choice, OperationResult, Outcome, StepState
from innkeeper.model.ports import Ref

from ..workflows.agreement import agree, data_of
from .operations import ACTIVITIES, OPERATIONS, Before, Former, Operation, Way, begin, bring_before, together

FORBIDDEN = Forbidden("it is forbidden", object="Thing a/b", fix="allow it")
SILENT = Unreachable("nobody answers", object="https://there", fix="look whether it runs")


STILL = ("check", "gone", "ready")
"""Steps that only look."""

UNTIL_THE_DEADLINE = 25
"""Attempts: more than fit into a step's deadline, and fewer than an undo is tried."""


class Mode(NamedTuple):
    """How a step fails, whether the database does as well, and what an operator answers where one is asked."""

    error: InnkeeperError
    halfway: bool = False
    """After the step's first change, else before it does anything."""
    attempts: int = 1
    """How many of the step's fail."""
    database_down: bool = False
    answer: Choice | None = None
    """None: nobody answers in time."""


MODES = {
    "refused": Mode(FORBIDDEN, answer=Choice.RETRY),
    "refused-halfway-with-the-database-down": Mode(FORBIDDEN, halfway=True, database_down=True, answer=Choice.ABORT),
    "silent": Mode(SILENT, attempts=UNTIL_THE_DEADLINE),
    "silent-with-the-database-down": Mode(SILENT, attempts=UNTIL_THE_DEADLINE, database_down=True),
}


class Cell(NamedTuple):
    """One step of one operation, and what it meets."""

    world: World
    operation: Operation
    step: str
    mode: Mode
    name: str

    @property
    def way(self) -> Way:
        return self.operation.steps[self.step]

    @property
    def changes(self) -> bool:
        """Whether the step has something to change where all is well before it."""
        nothing_to_uninstall = self.step == "uninstall" and self.operation.before is Before.UNINSTALLED
        return not (self.step in STILL or nothing_to_uninstall or self.operation.kind is Kind.REPAIR)

    def program(self) -> None:
        """Let the step fail."""
        faults, error = self.world.faults, self.mode.error
        activity = ACTIVITIES.get(self.step, self.step)
        # What is insisted on has no deadline: it fails longer than a local activity is tried, and then no more.
        times = 7 if self.way is Way.INSISTED else self.mode.attempts
        if self.mode.halfway and self.changes:
            for call in WRITES:
                faults.fail(f"{self.name} {activity} *.{call}", error, when="after", times=times)
        else:
            faults.fail(f"{self.name} {activity} *", error, times=times)
        if self.mode.database_down and self.step != "record":
            faults.fail(f"{self.name} finish *", SILENT, times=2)
            faults.fail(f"{self.name} finish *", SILENT, when="after")


async def play(cell: Cell) -> None:
    """One cell from its start to its end, and once more without the failure."""
    world, name, operation = cell.world, cell.name, cell.operation
    await bring_before(world, operation, name)
    former = await Former.of(world, name)
    before = len(world.written.history)
    cell.program()
    handle = await begin(world, operation, name)
    match cell.way:
        case Way.REFUSED:
            await demand_untouched(cell, handle, former)
        case Way.INSISTED:
            assert (await handle.result()).outcome is Outcome.DONE
            await agree(world, name, operation.after)
        case Way.UNDONE:
            await demand_undone(cell, await failed(handle), former)
        case Way.STANDS:
            await demand_standing(cell, await failed(handle))
        case Way.ASKED | Way.ASKED_UNDONE:
            await demand_asked(cell, handle, former)
    written = {row.status for row in world.written.history[before:] if row.name == name}
    assert written <= {TRANSITIONS[operation.kind].during, (await world.row(name)).status} if written else True


async def demand_untouched(cell: Cell, handle: OperationHandle, former: Former) -> None:
    with pytest.raises(Refused) as told:
        await handle.result()
    assert told.value.cause == cell.mode.error.cause
    assert await Former.of(cell.world, cell.name) == former


async def demand_told(cell: Cell, result: OperationResult, outcome: Outcome, status: Status) -> None:
    """Result, row and record say the same, with the cause, the object and what to do."""
    row = await cell.world.row(cell.name)
    record = (await cell.world.innkeeper.operations(cell.name)).items[0]
    assert (result.outcome, record.outcome) == (outcome, outcome), result.cause
    assert (result.status, row.status, row.settled, record.status) == (status, status, status, status)
    assert result.cause is not None
    assert record.cause == result.cause
    assert row.cause == (result.cause if status is Status.ERROR else None)
    meant = cell.mode.error.cause
    assert (result.cause.code, result.cause.object) == (meant.code, meant.object)
    assert result.cause.message.startswith(meant.message)
    assert result.cause.fix.startswith(meant.fix)
    assert next(event.step for event in record.steps if event.state is StepState.FAILED) == cell.step


async def demand_undone(cell: Cell, result: OperationResult, former: Former) -> None:
    """The world is as it was before."""
    world, name = cell.world, cell.name
    await demand_told(cell, result, Outcome.UNDONE, cell.operation.undone)
    replicas = await world.replicas(name)
    assert replicas == former.replicas
    assert (await world.storage(name)).count("deployed") == len(former.storage[:1])
    kept = await data_of(world, name)
    assert [item for item in former.data if item not in kept] == []
    quota = await world.cluster.get(Ref("v1", "ResourceQuota", marks.STOP_QUOTA, f"inn-{name}"))
    match cell.operation.before:
        case Before.RUNNING:
            assert len(await world.pods(name)) == sum(replicas.values()) > 0
            assert quota is None
        case Before.STOPPED:
            assert await world.pods(name) == []
            assert quota is not None
        case Before.BY_HAND:
            assert len(await world.pods(name)) == sum(replicas.values()) > 0
            told = str(await by_hand.marks_of(world.cluster, f"inn-{name}"))
            assert marks.PREFIX not in told
            assert not {"ResourceQuota", "NetworkPolicy", "RoleBinding"} & await world.kinds(name)
        case _:
            assert not {"Deployment", "StatefulSet", "Pod"} & await world.kinds(name)
            assert await world.storage(name) == []


async def demand_standing(cell: Cell, result: OperationResult) -> None:
    """What was done is named."""
    await demand_told(cell, result, Outcome.LEFT_BEHIND, Status.ERROR)
    assert result.cause is not None
    assert "Left behind: what " in result.cause.message


async def demand_asked(cell: Cell, handle: OperationHandle, former: Former) -> None:
    """An operator is asked before anything is taken back, and gets what was answered."""
    operation = Followed(cell.world, handle)
    if cell.mode.answer is not None:
        question = await operation.question()
        assert (question.step, question.undo, question.cause) == (cell.step, False, cell.mode.error.cause)
        assert f"innkeeper decide {cell.name} retry" in await operation.details()
        await operation.decide(cell.mode.answer, "as the test says")
    if cell.mode.answer is Choice.RETRY:
        assert (await handle.result()).outcome is Outcome.DONE
        await agree(cell.world, cell.name, cell.operation.after)
    elif cell.way is Way.ASKED:
        await demand_standing(cell, await failed(handle))
    else:
        await demand_undone(cell, await failed(handle), former)
    record = (await cell.world.innkeeper.operations(cell.name)).items[0]
    told = [(decided.step, decided.choice, decided.operator) for decided in record.decisions]
    nobody = cell.mode.answer is None
    assert told == [(cell.step, cell.mode.answer or Choice.ABORT, "deadline" if nobody else "ada")]


async def once_more(cell: Cell) -> None:
    """What failed can be asked for again, and comes to its end."""
    world, operation = cell.world, cell.operation
    row = await world.database.instance(cell.name)
    if row is None or row.status is not operation.after:
        assert (await (await begin(world, operation, cell.name, again=True)).result()).outcome is Outcome.DONE
    await agree(world, cell.name, operation.after)


@pytest.mark.parametrize("mode", MODES)
async def test_a_step_that_fails_ends_as_the_table_says_and_the_operation_can_be_asked_for_again(
    world: World, mode: str
) -> None:
    cells = [
        Cell(world, operation, step, MODES[mode], f"{name}-{step}")
        for name, operation in OPERATIONS.items()
        for step in operation.steps
    ]
    # An operator is no quicker than a deadline that is skipped.
    answered = world.environment.with_time_skipping_disabled() if MODES[mode].answer else contextlib.nullcontext()
    with answered:
        await together(play, cells)
    world.faults.clear()
    await together(once_more, cells)


@pytest.mark.parametrize("name", OPERATIONS)
async def test_the_table_has_every_step_of_the_workflow(world: World, name: str) -> None:
    operation = OPERATIONS[name]
    await bring_before(world, operation, name)
    result = await (await begin(world, operation, name)).result()
    assert [event.step for event in result.steps if event.state is StepState.DONE] == list(operation.steps)
    await agree(world, name, operation.after)
