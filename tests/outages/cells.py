"""The cells of the table: one operation that meets one outage each, how they are named, chosen and played."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from innkeeper.model.errors import Answer

from .operations import OPERATIONS, Did, Moment, Operation, label_of
from .outage import Part, Way, outage, ways_of
from .rig import Rig, Site
from .world import Data, customers, difference, meant, observe

SETTLES_WITHIN = 90.0
"""Seconds that controllers are given, once the operation has ended."""
ENDS_WITHIN = 400.0
"""Seconds after an outage in which an operation must have ended."""
BEGINS_WITHIN = 300.0
PATIENCE = 60.0
"""Seconds for which a backend that waits is promised not to hear of a silent Temporal."""

MET = {Part.API_SERVER: Moment.MIDDLE, Part.SUPABASE: Moment.END, Part.TEMPORAL: Moment.MIDDLE}
"""The moment at which each part is needed next, in every operation."""


class Cell(NamedTuple):
    """One operation that meets one outage."""

    operation: str
    part: Part
    way: Way
    moment: Moment
    seconds: float

    @property
    def what(self) -> Operation:
        """The operation."""
        return OPERATIONS[self.operation]

    def __str__(self) -> str:
        return f"{self.operation}/{self.part}/{self.way}/{self.moment}/{self.seconds:g}"


class Verdict(NamedTuple):
    """What came of a cell."""

    cell: Cell
    wrong: str
    """What is not as it must be; empty: nothing."""
    late: float
    """Seconds from the outage's end to the operation's; below 0 where the operation ended before."""


def table(
    *,
    operations: Iterable[str] = OPERATIONS,
    parts: Iterable[Part] = Part,
    ways: Iterable[Way] = Way,
    moments: Iterable[Moment] = (),
    seconds: Iterable[float] = (5, 20, 60, 120),
) -> list[Cell]:
    """All cells of these; without moments each part is met when it is needed next."""
    return [
        Cell(operation, part, way, moment, span)
        for span in seconds
        for part in parts
        for way in ways_of(part)
        if way in set(ways)
        for operation in operations
        for moment in (tuple(moments) or (MET[part],))
    ]


def named(name: str) -> Cell:
    """The cell of a name as a verdict shows it.

    Raises:
        ValueError: it is none.
    """
    operation, part, way, moment, seconds = name.split("/")
    if operation not in OPERATIONS:
        raise ValueError(f"{operation!r} is none of {', '.join(OPERATIONS)}")
    return Cell(operation, Part(part), Way(way), Moment(moment), float(seconds))


async def play_all(
    site: Site, cells: Sequence[Cell], *, at_once: int, told: Callable[[Verdict], None] = lambda _: None
) -> list[Verdict]:
    """Play all, some at a time; `told` hears of each as it ends."""
    places = asyncio.Semaphore(at_once)

    async def one(number: int, cell: Cell) -> Verdict:
        async with places:
            verdict = await play(site, cell, f"out-{number}")
            told(verdict)
            return verdict

    return list(await asyncio.gather(*(one(number, cell) for number, cell in enumerate(cells))))


async def play(site: Site, cell: Cell, name: str) -> Verdict:
    """Play one cell on an instance of its own."""
    try:
        return await _played(site, cell, name)
    except Exception as error:  # noqa: BLE001  # one cell that cannot be played must not hide what came of the others
        return Verdict(cell, f"could not be played: {type(error).__name__}: {error}", 0)


async def _played(site: Site, cell: Cell, name: str) -> Verdict:
    operation = cell.what
    async with site.rig(name) as rig:
        async with asyncio.timeout(BEGINS_WITHIN):
            for did in operation.start:
                await rig.do(did)
        before = await customers(site.cluster, name)
        rig.signpost.wait_for(label_of(operation, cell.moment))
        request = rig.request(Did(operation.kind, operation.plan))
        ended: list[float] = []
        asked = asyncio.create_task(rig.ask(request))
        asked.add_done_callback(lambda _: ended.append(time.monotonic()))
        await _met(rig, asked)
        async with outage(cell.way, rig.proxies[cell.part], site.storms[cell.part]):
            rig.signpost.go_on()
            await asyncio.sleep(cell.seconds)
        lifted = time.monotonic()
        wrong = await _how_it_ended(asked)
        late = (ended or [time.monotonic()])[0] - lifted
        # Asked once more with the same id: the same answer, and nothing is done twice.
        wrong = wrong or await _how_it_ended(asyncio.create_task(rig.ask(request)))
        if cell.seconds <= PATIENCE and rig.silences:
            wrong = f"the caller heard of a silent Temporal after less than {PATIENCE:g} s; {wrong}"
    return Verdict(cell, wrong + await _world(site, name, operation, before), late)


async def _met(rig: Rig, asked: asyncio.Task[Any]) -> None:
    reached = asyncio.create_task(rig.signpost.reached.wait())
    done, _ = await asyncio.wait({reached, asked}, timeout=BEGINS_WITHIN, return_when=asyncio.FIRST_COMPLETED)
    assert reached in done, f"{rig.name} did not come to the write before which the outage begins"


async def _how_it_ended(asked: asyncio.Task[Any]) -> str:
    try:
        async with asyncio.timeout(ENDS_WITHIN):
            await asked
    except TimeoutError:
        return f"not ended {ENDS_WITHIN:g} s after the outage; "
    except Answer as answer:
        return f"ended otherwise: {answer}; "
    return ""


async def _world(site: Site, name: str, operation: Operation, before: Data) -> str:
    given_up = time.monotonic() + SETTLES_WITHIN
    while True:
        found = await observe(site.cluster, site.database, site.desk, name, before)
        wrong = difference(found, meant(operation, before))
        if not wrong or time.monotonic() > given_up:
            return wrong
        await asyncio.sleep(0.25)
