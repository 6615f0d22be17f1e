"""Plays cells, many at once, on a stage: in memory or on the platform. The same for both, but for how a worker dies."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import NamedTuple, Protocol

from temporalio.api.enums.v1 import EventType
from temporalio.client import Client
from temporalio.service import RPCError

from innkeeper.client import OperationHandle
from innkeeper.client.desk import TemporalDesk
from innkeeper.model.errors import Answer, InnkeeperError
from innkeeper.model.names import workflow_id_of
from innkeeper.model.ports import Cluster, Database

from .cells import Cell
from .effects import Effect, Fault, Play
from .insist import insist
from .model import ANY, expected, start_of, told
from .scenarios import SCENARIOS, Scenario
from .start import Hand, request_of
from .world import NONE, Snapshot, World, look, observe


class Stage(Protocol):
    """Where cells are played."""

    client: Client
    """Asks for operations."""
    hand: Hand
    settles_within: float
    """Seconds that controllers are given to come to what is expected."""
    ends_within: float
    """Seconds after which an operation counts as one that never ends."""

    @property
    def rows(self) -> Database:
        """As an operator reads it: nothing is played here."""
        ...

    async def leave(self, instance: str) -> None:
        """Nothing is asked about an instance any more."""
        ...

    def cluster_of(self, instance: str) -> Cluster:
        """The cluster that an instance is on, as an operator reads it."""
        ...

    def worker(self, queue: str, plays: Sequence[Play]) -> AbstractAsyncContextManager[None]:
        """A worker on a queue. With a deadly play among these, leaving means that it has been killed."""
        ...


class Verdict(NamedTuple):
    """What came of one cell."""

    cell: Cell
    outcome: str
    """How the operation ended, in a word or two."""
    wrong: str
    """How the world differs from what it must be; empty where it does not."""
    seconds: float
    unheard: bool = False
    """The fault, or the refusal before it, never reached the operation: nothing can be said of it."""


async def record(stage: Stage, operations: Sequence[str], queue: str) -> dict[str, list[Effect]]:
    """Let each operation run once and see what it does.

    Raises:
        AssertionError: the world after one of them is not the model's: nothing can be said of faults then.
    """
    names = {operation: f"seen-{operation}" for operation in operations}
    scenarios = [SCENARIOS[operation] for operation in operations]
    befores = await asyncio.gather(
        *(_begin(stage, names[operation], scenario) for operation, scenario in zip(operations, scenarios, strict=True))
    )
    plays = [Play(names[each], refused=SCENARIOS[each].refused) for each in operations]
    async with stage.worker(queue, plays):
        await asyncio.gather(*(_asked(stage, names[each], SCENARIOS[each], queue) for each in operations))
    problems = []
    for operation, before in zip(operations, befores, strict=True):
        wanted = expected(SCENARIOS[operation], Fault.LOST, Effect(0, 0, "nothing"), [])
        wrong, _ = await _settled(stage, names[operation], before, wanted)
        problems += [f"{operation} without a fault: {wrong}"] if wrong else []
    assert not problems, "\n".join(problems)
    return {operation: play.effects for operation, play in zip(operations, plays, strict=True)}


async def play_all(
    stage: Stage, cells: Sequence[Cell], *, seed: int, size: int, at_once: int, tell: Callable[[str], None]
) -> list[Verdict]:
    """Play all cells, `size` on a worker and `at_once` workers side by side, in the order of a seed.

    Interrupted, it gives the verdicts that there are: half an hour's findings are not lost to one key.
    """
    shuffled = list(cells)
    random.Random(seed).shuffle(shuffled)  # noqa: S311  # to be the same again
    kinds = ([cell for cell in shuffled if cell.fault.deadly is deadly] for deadly in (True, False))
    batches = [kind[first : first + size] for kind in kinds for first in range(0, len(kind), size)]
    slots, verdicts, begun = asyncio.Semaphore(at_once), list[Verdict](), time.monotonic()

    async def one(number: int, batch: Sequence[Cell]) -> None:
        async with slots:
            found = await _tried(stage, batch, f"{number}")
            # Where steps were tried again for want of time, the fault may have been at no effect of this run's.
            again = [verdict.cell for verdict in found if verdict.unheard]
            if again:
                found = [verdict for verdict in found if not verdict.unheard]
                found += await _tried(stage, again, f"{number}-again")
        verdicts.extend(found)
        for verdict in found:
            if verdict.wrong:
                tell(f"WRONG {verdict.cell}: {verdict.wrong}")
        wrong = sum(bool(verdict.wrong) for verdict in verdicts)
        tell(f"{len(verdicts)} of {len(cells)} cells after {time.monotonic() - begun:.0f} s, {wrong} wrong")

    try:
        async with asyncio.TaskGroup() as group:
            for number, batch in enumerate(batches):
                group.create_task(one(number, batch))
    except asyncio.CancelledError:
        tell("interrupted: what follows is of the cells played until now")
    return verdicts


async def _tried(stage: Stage, batch: Sequence[Cell], name: str) -> list[Verdict]:
    """Play a batch; where that is not possible at all, its cells are wrong, and the others are played all the same."""
    try:
        return await play(stage, batch, queue=f"chaos-{name}", prefix=f"c{name}")
    except (InnkeeperError, AssertionError, RPCError) as error:
        return [Verdict(cell, "not played", f"could not be played: {error}", 0.0) for cell in batch]


async def play(stage: Stage, cells: Sequence[Cell], *, queue: str, prefix: str) -> list[Verdict]:
    """Play cells side by side on one worker, and another one where they are deadly: all of them are, or none."""
    begun = time.monotonic()
    deadly = cells[0].fault.deadly
    names = [f"{prefix}-{number}" for number in range(len(cells))]
    befores = await asyncio.gather(
        *(_begin(stage, name, cell.scenario) for name, cell in zip(names, cells, strict=True))
    )
    plays = [
        Play(name, {cell.effect: cell.fault}, refused=cell.scenario.refused, title=str(cell))
        for name, cell in zip(names, cells, strict=True)
    ]
    async with stage.worker(queue, plays):
        asked = [
            asyncio.create_task(_asked(stage, name, cell.scenario, queue))
            for name, cell in zip(names, cells, strict=True)
        ]
        if deadly:
            await _all_held(plays, asked, within=stage.ends_within)
        else:
            await asyncio.gather(*asked)
    if deadly:
        async with stage.worker(queue, []):
            await asyncio.gather(*asked)
    return list(
        await asyncio.gather(
            *(
                _judged(stage, cell, play, before, task.result(), begun)
                for cell, play, before, task in zip(cells, plays, befores, asked, strict=True)
            )
        )
    )


async def _begin(stage: Stage, instance: str, scenario: Scenario) -> Snapshot:
    """Bring an instance to where the operation starts, and see that it is there."""
    await stage.hand.bring(instance, scenario)
    before = (await insist(lambda: look(stage.cluster_of(instance), instance))).snapshot()
    start = start_of(scenario)
    wanted = told(scenario, start, start, failed=False)._replace(
        rolled=ANY, renewed=ANY, pods=ANY, asked="", temporal=NONE
    )
    wrong, _ = await _settled(stage, instance, before, wanted)
    assert not wrong, f"the start of {scenario}: {wrong}"
    return before


async def _asked(stage: Stage, instance: str, scenario: Scenario, queue: str) -> str:
    """Ask for the operation and wait for its end; what is wrong with that, if anything."""
    request = request_of(instance, scenario.kind, scenario.plan, f"{instance}-asked")
    run_id = await insist(lambda: TemporalDesk(stage.client, queue).deliver(request))
    handle = OperationHandle(stage.client, instance, run_id)
    try:
        async with asyncio.timeout(stage.ends_within):
            await handle.result()
    except TimeoutError:
        return await _stuck(stage, instance, run_id)
    except Answer:
        return ""
    return ""


async def _stuck(stage: Stage, instance: str, run_id: str) -> str:
    """What an operation that does not end does last; it is ended."""
    run = stage.client.get_workflow_handle(workflow_id_of(instance), run_id=run_id)
    kinds = [EventType.Name(event.event_type) async for event in run.fetch_history_events()]
    pending = [
        f"{each.activity_type.name}, attempt {each.attempt}: {each.last_failure.message or 'no failure'}"
        for each in (await run.describe()).raw_description.pending_activities
    ]
    with contextlib.suppress(RPCError):
        await run.terminate()
    last = ", ".join(kind.removeprefix("EVENT_TYPE_").lower() for kind in kinds[-4:])
    return f"has not ended after {stage.ends_within:g} s: {last}; {'; '.join(pending) or 'no activity'}"


async def _all_held(plays: Sequence[Play], asked: Sequence[asyncio.Task[str]], *, within: float) -> None:
    """Wait until each deadly play has come to its effect, or its operation has ended without."""
    held = [asyncio.create_task(play.held.wait()) for play in plays]
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(within):
            for waiting, task in zip(held, asked, strict=True):
                await asyncio.wait({waiting, task}, return_when=asyncio.FIRST_COMPLETED)
    for waiting in held:
        waiting.cancel()


async def _judged(stage: Stage, cell: Cell, play: Play, before: Snapshot, ended: str, begun: float) -> Verdict:
    wanted = expected(cell.scenario, cell.fault, cell.effect, cell.happened)
    wrong, world = await _settled(stage, play.instance, before, wanted)
    wrong = f"the operation {ended}; {wrong}" if ended else wrong
    unheard = cell.fault not in play.played or bool(cell.scenario.refused and _outcome(world) == "done")
    if unheard:
        wrong = f"the fault was never heard of; {wrong}"
    if wrong:
        wrong += await _told_by_itself(stage, play.instance)
    else:
        await insist(lambda: stage.leave(play.instance))
    return Verdict(cell, _outcome(world), wrong, time.monotonic() - begun, unheard)


async def _told_by_itself(stage: Stage, instance: str) -> str:
    """What the operation said of itself: no evidence, but where to look."""
    record = await stage.rows.operation(f"{instance}-asked")
    if record is None:
        return ""
    steps = ", ".join(f"{event.step} {event.state}{event.detail and f' ({event.detail})'}" for event in record.steps)
    return f". It says: {record.cause or 'nothing wrong'}. Its steps: {steps}"


def _outcome(world: World) -> str:
    told = world.operations[-1].partition(" ")[2] if world.operations else "nothing"
    return f"parked, {told}" if world.asked else told


async def _settled(stage: Stage, instance: str, before: Snapshot, wanted: World) -> tuple[str, World]:
    """The difference between the world and what is wanted, once controllers had their time; empty: none."""
    given_up, pause = time.monotonic() + stage.settles_within, 0.1
    while True:
        world = await insist(lambda: observe(stage.client, stage.cluster_of(instance), stage.rows, instance, before))
        wrong = difference(world, wanted)
        if not wrong or time.monotonic() > given_up:
            return wrong, world
        await asyncio.sleep(pause)
        pause = min(2 * pause, 2.0)


def difference(world: World, wanted: World) -> str:
    """The facts that are not as they must be, both worlds side by side."""
    return "; ".join(
        f"{name} is {found!r}, must be {must!r}"
        for name, found, must in zip(World._fields, world, wanted, strict=True)
        if must != found
    )
