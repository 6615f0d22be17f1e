"""What each operation comes to when one of its steps fails, and how an instance is brought to where it starts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from enum import StrEnum
from typing import NamedTuple, Protocol, TypeVar

import by_hand
from asking import ask
from in_memory import World

from innkeeper.client import OperationHandle
from innkeeper.model.errors import OperationFailed, Refused
from innkeeper.model.instance import Kind, Status
from innkeeper.model.messages import Outcome

from ..workflows.agreement import data_of


class Way(StrEnum):
    """How an operation meets the failure of a step that goes on until the step's deadline, or is for good."""

    REFUSED = "refused"
    """Nothing was touched: the request is refused, with the cause."""
    INSISTED = "insisted"
    """Tried until it is done, however long that takes: the operation ends well."""
    UNDONE = "undone"
    """What was made is taken back."""
    ASKED = "asked"
    """An operator is asked: retry goes on, abort (or nobody's answer) lets stand what cannot be undone."""
    ASKED_UNDONE = "asked, undone"
    """An operator is asked: retry goes on, abort (or nobody's answer) takes back what was made."""
    STANDS = "stands"
    """What was done stands, is named, and another operation goes on from there."""


class Before(StrEnum):
    """What an instance is before an operation, and again when that has been undone."""

    NOTHING = "nothing"
    RUNNING = "running"
    STOPPED = "stopped"
    UNINSTALLED = "uninstalled"
    BY_HAND = "installed by hand"
    """There is no instance, and a release of somebody's runs."""


class Operation(NamedTuple):
    """One operation from one state."""

    kind: Kind
    before: Before
    steps: dict[str, Way]
    after: Status
    """The status when nothing fails."""
    undone: Status = Status.ERROR
    """The status when it was undone."""
    plan: str | None = None
    upgraded: bool = False
    """An upgrade waits for the next start."""
    again: Kind | None = None
    """What is asked for when the operation has failed; None: the same."""


OPERATIONS: dict[str, Operation] = {
    "provision": Operation(
        Kind.PROVISION,
        Before.NOTHING,
        {
            "check": Way.REFUSED,
            "claim": Way.INSISTED,
            "prepare": Way.UNDONE,
            "release": Way.UNDONE,
            "ready": Way.UNDONE,
            "record": Way.INSISTED,
        },
        Status.RUNNING,
        plan="prompt",
    ),
    "provision-again": Operation(
        Kind.PROVISION,
        Before.UNINSTALLED,
        {
            "check": Way.REFUSED,
            "claim": Way.INSISTED,
            "prepare": Way.UNDONE,
            "release": Way.UNDONE,
            "ready": Way.UNDONE,
            "record": Way.INSISTED,
        },
        Status.RUNNING,
        plan="prompt",
    ),
    "adopt": Operation(
        Kind.ADOPT,
        Before.BY_HAND,
        {
            "check": Way.REFUSED,
            "claim": Way.INSISTED,
            "mark": Way.UNDONE,
            "ready": Way.UNDONE,
            "record": Way.INSISTED,
        },
        Status.RUNNING,
        undone=Status.PURGED,
        plan="prompt",
    ),
    "stop": Operation(
        Kind.STOP,
        Before.RUNNING,
        {"claim": Way.INSISTED, "scale-down": Way.UNDONE, "gone": Way.UNDONE, "record": Way.INSISTED},
        Status.STOPPED,
    ),
    "start": Operation(
        Kind.START,
        Before.STOPPED,
        {"claim": Way.INSISTED, "scale-up": Way.UNDONE, "ready": Way.UNDONE, "record": Way.INSISTED},
        Status.RUNNING,
    ),
    "start-upgraded": Operation(
        Kind.START,
        Before.STOPPED,
        {
            "claim": Way.INSISTED,
            "prepare": Way.UNDONE,
            "release": Way.UNDONE,
            "ready": Way.UNDONE,
            "record": Way.INSISTED,
        },
        Status.RUNNING,
        upgraded=True,
    ),
    "restart": Operation(
        Kind.RESTART,
        Before.RUNNING,
        {"claim": Way.INSISTED, "roll": Way.UNDONE, "ready": Way.UNDONE, "record": Way.INSISTED},
        Status.RUNNING,
    ),
    "restart-stopped": Operation(
        Kind.RESTART,
        Before.STOPPED,
        {
            "claim": Way.INSISTED,
            "scale-up": Way.UNDONE,
            "roll": Way.UNDONE,
            "ready": Way.UNDONE,
            "record": Way.INSISTED,
        },
        Status.RUNNING,
    ),
    "upgrade": Operation(
        Kind.UPGRADE,
        Before.RUNNING,
        {
            "check": Way.REFUSED,
            "claim": Way.INSISTED,
            "prepare": Way.UNDONE,
            "release": Way.UNDONE,
            "ready": Way.UNDONE,
            "record": Way.INSISTED,
        },
        Status.RUNNING,
        undone=Status.RUNNING,
        plan="prompt-more",
    ),
    "upgrade-careful": Operation(
        Kind.UPGRADE,
        Before.RUNNING,
        {
            "check": Way.REFUSED,
            "claim": Way.INSISTED,
            "prepare": Way.UNDONE,
            "release": Way.ASKED_UNDONE,
            "ready": Way.ASKED_UNDONE,
            "record": Way.INSISTED,
        },
        Status.RUNNING,
        undone=Status.RUNNING,
        plan="prompt-careful",
    ),
    "upgrade-stopped": Operation(
        Kind.UPGRADE,
        Before.STOPPED,
        {"check": Way.REFUSED, "claim": Way.INSISTED, "record": Way.INSISTED},
        Status.STOPPED,
        plan="prompt-more",
    ),
    "uninstall": Operation(
        Kind.UNINSTALL,
        Before.RUNNING,
        {"claim": Way.INSISTED, "uninstall": Way.ASKED, "gone": Way.ASKED, "record": Way.INSISTED},
        Status.UNINSTALLED,
    ),
    "purge": Operation(
        Kind.PURGE,
        Before.UNINSTALLED,
        {"claim": Way.INSISTED, "uninstall": Way.ASKED, "delete-namespace": Way.ASKED, "record": Way.INSISTED},
        Status.PURGED,
    ),
    "repair": Operation(
        Kind.REPAIR,
        Before.RUNNING,
        {
            "claim": Way.INSISTED,
            "prepare": Way.UNDONE,
            "restore": Way.UNDONE,
            "ready": Way.UNDONE,
            "record": Way.INSISTED,
        },
        Status.RUNNING,
    ),
    "repair-stopped": Operation(
        Kind.REPAIR,
        Before.STOPPED,
        {"claim": Way.INSISTED, "scale-down": Way.STANDS, "gone": Way.STANDS, "record": Way.INSISTED},
        Status.STOPPED,
        # A repair of what is in error brings it up.
        again=Kind.STOP,
    ),
}
"""By name: what happens where each step of each operation fails. The steps are the workflows' own; a test compares."""


async def begin(world: World, operation: Operation, name: str, *, again: bool = False) -> OperationHandle:
    """Ask for the operation, for the first time or after it failed."""
    if again and operation.again:
        return await ask(world.client, operation.again, name)
    if operation.kind is Kind.PROVISION:
        return await world.innkeeper.provision(name, tenant="t1", plan=operation.plan or "")
    if operation.kind is Kind.ADOPT:
        return await world.innkeeper.adopt(name, namespace=f"inn-{name}", tenant="t1", plan=operation.plan or "")
    return await ask(world.client, operation.kind, name, plan=operation.plan)


async def bring_before(world: World, operation: Operation, name: str) -> None:
    """Have the instance where the operation starts from."""
    if operation.before is Before.NOTHING:
        return
    if operation.before is Before.BY_HAND:
        await by_hand.install(world.cluster, world.helm, f"inn-{name}", name)
        return
    await (await world.innkeeper.provision(name, tenant="t1", plan="prompt")).result()
    if operation.before is Before.STOPPED:
        await (await world.innkeeper.stop(name)).result()
    if operation.before is Before.UNINSTALLED:
        await (await world.innkeeper.uninstall(name)).result()
    if operation.upgraded:
        await (await ask(world.client, Kind.UPGRADE, name, plan="prompt-more")).result()


ACTIVITIES = {"record": "finish", "restore": "reapply"}
"""The steps whose activity has another name."""

FAST = ("check", "claim", "record")

ENDS: dict[Way, set[Outcome | None]] = {
    Way.REFUSED: {None, Outcome.CANCELLED, Outcome.DONE},
    Way.INSISTED: {None, Outcome.CANCELLED, Outcome.LEFT_BEHIND, Outcome.DONE},
    Way.UNDONE: {Outcome.CANCELLED},
    Way.ASKED: {Outcome.LEFT_BEHIND},
    Way.ASKED_UNDONE: {Outcome.CANCELLED},
    Way.STANDS: {Outcome.LEFT_BEHIND},
}
"""How an operation may end that is cancelled in a step; None: refused. Fast steps are over when the workflow hears."""


async def ended(handle: OperationHandle) -> Outcome | None:
    """How an operation ended; None where it was refused."""
    try:
        return (await handle.result()).outcome
    except Refused:
        return None
    except OperationFailed as error:
        return error.result.outcome if error.result else Outcome.RUNNING


class Former(NamedTuple):
    """What stood before the operation."""

    replicas: dict[str, int]
    storage: list[str]
    data: list[tuple[str, object]]

    @classmethod
    async def of(cls, world: World, name: str) -> Former:
        return cls(await world.replicas(name), await world.storage(name), await data_of(world, name))


AT_ONCE = 12


class Named(Protocol):
    """Something about one instance."""

    @property
    def name(self) -> str: ...


C = TypeVar("C", bound=Named)


async def together(play: Callable[[C], Awaitable[None]], cells: Sequence[C]) -> None:
    """Play every cell, some at a time; all that went wrong are told."""
    places = asyncio.Semaphore(AT_ONCE)

    async def one(cell: C) -> None:
        async with places:
            try:
                await play(cell)
            except Exception as error:
                error.add_note(f"in {cell.name}")
                raise

    ended = await asyncio.gather(*(one(cell) for cell in cells), return_exceptions=True)
    wrong = [each for each in ended if isinstance(each, Exception)]
    if wrong:
        raise ExceptionGroup(f"{len(wrong)} of {len(cells)} cells ended otherwise", wrong)
