"""The commands that ask for operations, and wait for them unless they are told not to."""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import socket
import sys
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Annotated

import typer

from .asking import how_to_answer, tell
from .completions import plans
from .options import ASKING, CATALOG, OnConflict, command
from .session import Session, console

if TYPE_CHECKING:
    from ..client import Innkeeper, OperationHandle
    from ..model.messages import OperationResult
    from .progress import Board

    Ask = Callable[[Innkeeper], Awaitable[OperationHandle]]

PANEL = "Operations"

REASONS_EVERY = 2.0
"""Seconds between two looks at what the step under way waits for."""

Name = Annotated[str, typer.Argument(help="The instance's name.", metavar="NAME", show_default=False)]
Guard = Annotated[
    str | None, typer.Option("--tenant", "-t", help="Refuse unless the instance is this tenant's.", show_default=False)
]
RequestId = Annotated[
    str | None,
    typer.Option("--request-id", help="Makes the request idempotent for ever; a new one by default.", metavar="ID"),
]
Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Follow the operation to its end.")]
Conflict = Annotated[OnConflict, typer.Option("--on-conflict", help="Where another operation runs on the instance.")]
AskedBy = Annotated[
    str | None, typer.Option("--asked-by", help="Who asks, for the record; you by default.", show_default=False)
]


def add_to(app: typer.Typer) -> None:
    """Declare the commands."""
    example = "innkeeper provision acme --tenant t1 --plan starter"
    command(app, (*ASKING, CATALOG), panel=PANEL, example=example)(provision)
    for kind, (example, text) in SIMPLE.items():
        command(app, ASKING, panel=PANEL, example=example, name=kind, text=text)(_asking(kind))
    command(app, (*ASKING, CATALOG), panel=PANEL, example="innkeeper upgrade acme --plan team")(upgrade)
    command(app, ASKING, panel=PANEL, example="innkeeper purge acme --yes")(purge)
    command(app, ASKING, panel=PANEL, example="innkeeper cancel acme")(cancel)


SIMPLE = {
    "stop": ("innkeeper stop acme", "Scale an instance to nothing and keep it so; what ran is remembered."),
    "start": ("innkeeper start acme", "Bring back exactly what ran before the stop."),
    "restart": ("innkeeper restart acme --no-wait", "Replace an instance's pods; a stopped instance is started."),
    "repair": ("innkeeper repair acme", "Finish what a lost operation began, or hold the cluster to the row."),
    "uninstall": ("innkeeper uninstall acme", "Remove the release; volumes and generated secrets stay."),
}
"""The operations that need nothing but a name: example and help."""


def provision(
    session: Session,
    name: Name,
    tenant: Annotated[str, typer.Option("--tenant", "-t", help="Who owns the instance.", show_default=False)],
    plan: Annotated[
        str, typer.Option("--plan", "-p", help="A plan of the catalog.", show_default=False, autocompletion=plans)
    ],
    request_id: RequestId = None,
    wait: Wait = True,
    on_conflict: Conflict = "reject",
    asked_by: AskedBy = None,
) -> None:
    """Make an instance of a plan, or bring a failed, uninstalled or purged one back."""
    request = _check("provision", name, request_id, tenant, plan)

    async def ask(innkeeper: Innkeeper) -> OperationHandle:
        return await innkeeper.provision(
            name,
            tenant=tenant,
            plan=plan,
            request_id=request,
            asked_by=asked_by or caller(),
            on_conflict=on_conflict,
        )

    perform(session, "provision", ask, wait=wait, request=request)


def upgrade(
    session: Session,
    name: Name,
    plan: Annotated[
        str | None,
        typer.Option("--plan", "-p", help="The plan; by default its own.", show_default=False, autocompletion=plans),
    ] = None,
    tenant: Guard = None,
    request_id: RequestId = None,
    wait: Wait = True,
    on_conflict: Conflict = "reject",
    asked_by: AskedBy = None,
) -> None:
    """Bring an instance to what the catalog says now of its plan, or of another one."""
    request = _check("upgrade", name, request_id, tenant, plan)

    async def ask(innkeeper: Innkeeper) -> OperationHandle:
        return await innkeeper.upgrade(
            name,
            plan=plan,
            tenant=tenant,
            request_id=request,
            asked_by=asked_by or caller(),
            on_conflict=on_conflict,
        )

    perform(session, "upgrade", ask, wait=wait, request=request)


def _asking(kind: str) -> Callable[..., None]:
    meeting: OnConflict = "replace" if kind == "uninstall" else "reject"

    def simple(
        session: Session,
        name: Name,
        tenant: Guard = None,
        request_id: RequestId = None,
        wait: Wait = True,
        on_conflict: Conflict = meeting,
        asked_by: AskedBy = None,
    ) -> None:
        request = _check(kind, name, request_id, tenant)

        async def ask(innkeeper: Innkeeper) -> OperationHandle:
            method: Callable[..., Awaitable[OperationHandle]] = getattr(innkeeper, kind)
            return await method(
                name,
                tenant=tenant,
                request_id=request,
                asked_by=asked_by or caller(),
                on_conflict=on_conflict,
            )

        perform(session, kind, ask, wait=wait, request=request)

    return simple


_purge = _asking("purge")


def purge(
    session: Session,
    name: Name,
    tenant: Guard = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask: delete the data.")] = False,
    request_id: RequestId = None,
    wait: Wait = True,
    on_conflict: Conflict = "reject",
    asked_by: AskedBy = None,
) -> None:
    """Delete an uninstalled instance's data and namespace. There is no way back."""
    if not yes:
        _confirm(name)
    _purge(session, name, tenant, request_id, wait, on_conflict, asked_by)


def cancel(session: Session, name: Name, wait: Wait = True) -> None:
    """Stop the operation that runs on an instance, and take back what it made."""
    from ..client import BadInput, InnkeeperError, OperationFailed, Outcome, Refused

    async def ask(innkeeper: Innkeeper) -> OperationHandle:
        handle = await innkeeper.latest(name)
        described = await handle.describe() if handle else None
        if handle is None or described is None or described.outcome is not Outcome.RUNNING:
            fix = f"see what ran: {session.hint('operations', name)}"
            raise BadInput("name", name, "has no running operation", fix=fix, code="NothingRuns")
        session.request_id = described.request_id
        await handle.cancel()
        if not wait:
            # An undo that asks is not cancelled: it still wants its answer.
            tell(session, handle.instance, (await handle.describe()).question)
        return handle

    try:
        perform(session, "cancel", ask, wait=wait)
    except OperationFailed as failed:
        if failed.result is None or failed.result.outcome is not Outcome.CANCELLED:
            raise
        _tell_cancelled(session, name, failed.result)
    except Refused as refused:
        if refused.cause.code != "Cancelled":
            raise
        _tell_cancelled(session, name, None)
    else:
        if wait:
            raise InnkeeperError(f"{name}: the cancellation came too late, the operation is done", code="TooLate")


def _tell_cancelled(session: Session, name: str, result: OperationResult | None) -> None:
    from .documents import Cancelled

    if result is None:
        said = f"the operation on {name} is cancelled; it had touched nothing"
    else:
        said = f"{result.kind.value} {result.instance} is cancelled; the instance is {result.status.value}"
    cancelled = Cancelled(request_id=session.request_id or "", instance=name, result=result)
    session.answer(cancelled, lambda: session.say(said, "green"))


def _confirm(name: str) -> None:
    from ..client import BadInput

    if not sys.stdin.isatty():
        raise BadInput(
            "purge", name, "is not confirmed, and nobody is there to ask", fix="give --yes to delete the data"
        )
    err = console(stderr=True)
    err.print(f"This deletes {name}'s volumes, secrets and namespace. There is no way back.", style="bold yellow")
    if not typer.confirm(f"Purge {name}?", default=False, err=True):
        raise BadInput("purge", name, "was not confirmed; nothing was touched", fix="answer y, or give --yes")


def _check(kind: str, name: str, request_id: str | None, tenant: str | None, plan: str | None = None) -> str:
    """The request's id, known here before it is sent, so that a lost answer can be asked for again.

    Raises:
        BadInput: the request cannot be; nobody was asked.
    """
    from ..model.instance import Kind
    from ..model.messages import Request

    chosen = uuid.uuid4().hex if request_id is None else request_id
    return Request.of(Kind(kind), name, request_id=chosen, tenant=tenant, plan=plan).request_id


def caller() -> str:
    """Who types: user and machine."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "unknown"
    return f"{user}@{socket.gethostname()}"


def perform(session: Session, kind: str, ask: Ask, *, wait: bool, request: str | None = None) -> None:
    """Ask, and follow to the end or say how to."""

    async def run() -> OperationResult | None:
        async with session.innkeeper() as innkeeper:
            session.request_id = request
            session.on_interrupt = _unsure(kind, request)
            handle = await ask(innkeeper)
            if not wait:
                _tell_asked(session, kind, handle)
                return None
            session.on_interrupt = _goes_on(session, kind, handle)
            return await follow(session, f"{kind} {handle.instance} (request {session.request_id})", handle)

    result = asyncio.run(run())
    if result is not None and kind != "cancel":
        session.answer(result, lambda: tell_result(session, result))


async def follow(session: Session, title: str, handle: OperationHandle) -> OperationResult:
    """Show an operation to its end.

    Raises:
        OperationFailed: it ended without what was asked.
        Refused: nothing was touched.
        Unreachable: no worker or no Temporal answered for too long.
    """
    from ..client import StepState
    from .progress import Board

    shown = session.console
    if session.json:
        # Standard output belongs to the program that reads it; a person beside it still sees movement.
        shown = console(stderr=True)
    with Board(title, shown if shown.is_terminal or not session.json else None) as board:
        if handle.run_id is None:
            board.waits_for((await handle.describe()).now)
        async with _reasons(handle, board):
            async for event in handle.progress():
                board.take(event)
                if event.state is StepState.PARKED:
                    question = (await handle.describe()).question
                    if question is not None and question.asked_at == event.at:  # else it was answered since
                        board.ask(how_to_answer(session, handle.instance, question))
    return await handle.result()


@contextlib.asynccontextmanager
async def _reasons(handle: OperationHandle, board: Board) -> AsyncIterator[None]:
    """Have the board say what a step waits for, where it takes longer than a moment."""

    async def look() -> None:
        while True:
            await asyncio.sleep(REASONS_EVERY)
            board.reason(await handle.waiting_for())

    looking = asyncio.create_task(look())
    try:
        yield
    finally:
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)


def tell_result(session: Session, result: OperationResult) -> None:
    """The end of an operation that did what was asked."""
    where = f" at {result.url}" if result.url and result.status.value == "running" else ""
    session.say(f"{result.instance} is {result.status.value}{where}", "green")


def _tell_asked(session: Session, kind: str, handle: OperationHandle) -> None:
    from .documents import Asked

    asked = Asked(request_id=session.request_id or "", kind=kind, instance=handle.instance, run_id=handle.run_id)
    session.answer(asked, lambda: session.say(f"{kind} {handle.instance}: asked (request {asked.request_id})"))
    if handle.run_id is None:
        session.say("it waits for its turn", "yellow")
    session.say(f"follow: {_following(session, handle)}")


def _following(session: Session, handle: OperationHandle) -> str:
    """The command that follows this operation: by its request, while the instance's latest is another one."""
    which = ("--request-id", session.request_id) if handle.run_id is None and session.request_id else ()
    return session.hint("logs", handle.instance, *which, "--follow")


def _unsure(kind: str, request: str | None) -> list[str]:
    told = [f"interrupted before it was known whether {kind} had been asked for"]
    if request is not None:
        told.append(f"find out:  repeat the command with --request-id {request}; nothing is done twice")
    return told


def _goes_on(session: Session, kind: str, handle: OperationHandle) -> list[str]:
    what = "the cancelled operation" if kind == "cancel" else kind
    goes_on = "goes on" if handle.run_id else "waits for its turn"
    told = [
        f"interrupted, and {what} of {handle.instance} {goes_on} (request {session.request_id})",
        f"follow:  {_following(session, handle)}",
    ]
    if kind == "cancel" or handle.run_id is None:
        return told
    return [*told, f"cancel:  {session.hint('cancel', handle.instance)}"]
