"""The commands that read: instances and operations from their rows, events from Temporal, plans and settings."""

from __future__ import annotations

import asyncio
import contextlib
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from .asking import how_to_answer, tell
from .completions import kinds, statuses
from .marking import LONGEST_ASIDE, marked_instances, marked_operations, tell_parked, with_mark
from .operations import Guard, Name, follow, tell_result
from .options import ALL, ASKING, CATALOG, EVERY, command
from .session import Session, write

if TYPE_CHECKING:
    from ..client import Innkeeper, OperationHandle
    from ..model.instance import Instance
    from ..model.messages import OperationRecord, Question
    from .documents import InstanceList, OperationList, OperationLog

PANEL = "Reading"

Choice = TypeVar("Choice", bound=StrEnum)
Tenant = Annotated[str | None, typer.Option("--tenant", "-t", help="This tenant's only.", show_default=False)]
Limit = Annotated[int, typer.Option("--limit", "-n", help="Rows a page.", min=1, max=1000)]
After = Annotated[
    str | None, typer.Option("--after", help="The page after this cursor.", metavar="CURSOR", show_default=False)
]
Everything = Annotated[bool, typer.Option("--all", help="All pages.")]


def add_to(app: typer.Typer) -> None:
    """Declare the commands."""
    command(app, ASKING, panel=PANEL, example="innkeeper show acme")(show)
    command(app, ASKING, panel=PANEL, example="innkeeper list --tenant t1 --status running", name="list")(list_)
    command(app, ASKING, panel=PANEL, example="innkeeper operations acme --limit 5")(operations)
    command(app, ASKING, panel=PANEL, example="innkeeper logs acme --follow")(logs)
    command(app, (*EVERY, CATALOG), panel=PANEL, example="innkeeper plans --catalog catalog.yaml")(plans)
    command(app, ALL, panel=PANEL, example="innkeeper config --output json")(config)


def show(session: Session, name: Name, tenant: Guard = None) -> None:
    """Show an instance."""
    from ..client import BadInput
    from ..model import names

    async def read() -> tuple[Instance | None, Question | None]:
        async with session.rows() as rows:
            found = await rows.instance(names.normalise(name))
        if session.json or found is None or found.status.settled:
            return found, None
        return found, await _question(session, found.name)

    found, question = asyncio.run(read())
    if found is None or (tenant is not None and found.tenant != tenant):
        fix = "see which there are: " + session.hint("list", *(("--tenant", tenant) if tenant else ()))
        raise BadInput("name", name, "is no instance" + (f" of tenant {tenant}" if tenant else ""), fix=fix)
    session.answer(found, lambda: _tell_instance(session, found))
    tell(session, found.name, question)


async def _question(session: Session, name: str) -> Question | None:
    """What the instance's operation is parked with, None where Temporal does not say so soon: the row is the answer."""
    from ..client import InnkeeperError

    with contextlib.suppress(InnkeeperError, TimeoutError):
        async with asyncio.timeout(LONGEST_ASIDE), session.innkeeper() as innkeeper:
            handle = await innkeeper.latest(name)
            return (await handle.describe()).question if handle else None
    return None


def _tell_instance(session: Session, found: Instance) -> None:
    from . import tables

    pairs = [
        ("name", found.name),
        ("status", found.status.value),
        ("url", found.url),
        ("tenant", found.tenant),
        ("plan", found.plan),
        ("cause", found.cause and found.cause.message),
        ("object", found.cause and found.cause.object),
        ("fix", found.cause and found.cause.fix),
        ("namespace", found.namespace),
        ("release", found.release),
        ("revision", found.revision),
        ("generation", found.generation),
        ("created", tables.moment(found.created_at)),
        ("updated", tables.moment(found.updated_at)),
    ]
    tables.fields(session.console, pairs)


def list_(
    session: Session,
    tenant: Tenant = None,
    status: Annotated[
        str | None, typer.Option(help="In this status only.", autocompletion=statuses, show_default=False)
    ] = None,
    limit: Limit = 50,
    after: After = None,
    everything: Everything = False,
) -> None:
    """List instances by name."""
    from ..model.instance import Status
    from ..model.ports import InstancePage, Page
    from . import tables

    wanted = None if status is None else _choice(Status, "status", status)

    async def read() -> InstanceList:
        async with session.rows() as rows:
            page = await rows.instances(Page(limit=limit, after=after), tenant=tenant, status=wanted)
            items = page.items
            while everything and page.next is not None:
                page = await rows.instances(Page(limit=limit, after=page.next), tenant=tenant, status=wanted)
                items = [*items, *page.items]
        return await marked_instances(session, InstancePage(items=items, next=page.next))

    page = asyncio.run(read())

    def tell() -> None:
        columns = ("name", "tenant", "plan", "status", "url", "updated")
        rows = [
            (
                each.name,
                each.tenant,
                each.plan,
                with_mark(each.status.value, parked=each.parked),
                each.url,
                tables.moment(each.updated_at),
            )
            for each in page.items
        ]
        tables.show(session.console, columns, rows)
        tell_parked(session, page)
        _tell_more(session, page)

    session.answer(page, tell)


def operations(
    session: Session,
    name: Annotated[
        str | None, typer.Argument(help="Of this instance only.", metavar="NAME", show_default=False)
    ] = None,
    tenant: Tenant = None,
    kind: Annotated[
        str | None, typer.Option(help="Of this kind only.", autocompletion=kinds, show_default=False)
    ] = None,
    limit: Limit = 20,
    after: After = None,
) -> None:
    """List operations, the newest first."""
    from ..model import names
    from ..model.instance import Kind
    from ..model.ports import Page
    from . import tables

    wanted = None if kind is None else _choice(Kind, "kind", kind)
    instance = None if name is None else names.normalise(name)

    async def read() -> OperationList:
        async with session.rows() as rows:
            page = Page(limit=limit, after=after)
            found = await rows.operations(page, instance=instance, tenant=tenant, kind=wanted)
        return await marked_operations(session, found)

    page = asyncio.run(read())

    def tell() -> None:
        columns = ("started", "took", "kind", "instance", "outcome", "request", "cause")
        rows = [
            (
                tables.moment(each.started_at),
                tables.span(each.started_at, each.ended_at),
                each.kind.value,
                each.instance,
                with_mark(each.outcome.value, parked=each.parked),
                each.id,
                each.cause and each.cause.message,
            )
            for each in page.items
        ]
        tables.show(session.console, columns, rows)
        tell_parked(session, page)
        _tell_more(session, page)

    session.answer(page, tell)


def _tell_more(session: Session, page: InstanceList | OperationList) -> None:
    if page.next is not None:
        session.say(f"more: --after {page.next}", "dim")


def _choice(choices: type[Choice], option: str, given: str) -> Choice:
    from ..client import BadInput

    try:
        return choices(given.lower())
    except ValueError:
        known = ", ".join(choices)
        raise BadInput(f"--{option}", given, f"is no {option}", fix=f"use one of: {known}") from None


def logs(
    session: Session,
    name: Annotated[
        str | None, typer.Argument(help="The instance: its latest operation.", metavar="NAME", show_default=False)
    ] = None,
    request_id: Annotated[
        str | None,
        typer.Option(
            "--request-id", help="The operation of this request; with NAME one that waits, too.", metavar="ID"
        ),
    ] = None,
    following: Annotated[bool, typer.Option("--follow", "-f", help="Go on to the operation's end.")] = False,
) -> None:
    """Show an operation's events; with --follow as they happen, and the exit code is the operation's."""
    if name is None and request_id is None:
        raise typer.BadParameter("give an instance's name, or --request-id, or both", param_hint="NAME")

    async def run() -> None:
        async with session.innkeeper() as innkeeper:
            handle = await _find(innkeeper, name, request_id)
            if handle is not None and following:
                await _follow(session, handle)
            else:
                log = await (_log_of(handle) if handle else _recorded(session, name, request_id))
                session.answer(log, lambda: _tell_log(session, log))

    asyncio.run(run())


async def _find(innkeeper: Innkeeper, name: str | None, request_id: str | None) -> OperationHandle | None:
    """The operation at Temporal; None where only rows may still know of it."""
    from ..client import BadInput

    if request_id is None:
        return await innkeeper.latest(name or "")
    try:
        return await innkeeper.handle(request_id, name=name)
    except BadInput as error:
        if error.cause.code != "UnknownRequest":
            raise
        return None


async def _follow(session: Session, handle: OperationHandle) -> None:
    described = await handle.describe()
    session.request_id = described.request_id
    session.on_interrupt = ["interrupted; the operation goes on without a reader, if it has not ended"]
    if session.json:
        from .documents import line

        session.streaming = True
        async for event in handle.progress():
            write(line(event))
        await handle.result()
    else:
        title = f"{described.kind} {described.instance} (request {described.request_id})"
        tell_result(session, await follow(session, title, handle))


async def _log_of(handle: OperationHandle) -> OperationLog:
    from .documents import OperationLog

    described = await handle.describe()
    return OperationLog(
        request_id=described.request_id,
        kind=described.kind,
        instance=described.instance,
        outcome=described.outcome,
        cause=described.cause,
        asked_by=described.asked_by,
        started_at=described.started_at,
        ended_at=described.ended_at,
        now=described.now,
        waiting_for=described.waiting_for,
        events=await handle.events(),
        question=described.question,
    )


async def _recorded(session: Session, name: str | None, request_id: str | None) -> OperationLog:
    from ..client import BadInput
    from ..model import names
    from ..model.ports import Page
    from .documents import OperationLog

    async with session.rows() as rows:
        found: OperationRecord | None
        if request_id is not None:
            found = await rows.operation(request_id)
        else:
            page = await rows.operations(Page(limit=1), instance=names.normalise(name or ""))
            found = page.items[0] if page.items else None
    if found is None:
        field, value = ("request_id", request_id) if request_id else ("name", name)
        raise BadInput(field, value, "has no operation", fix=f"see which there are: {session.hint('operations')}")
    return OperationLog(
        request_id=found.id,
        kind=found.kind.value,
        instance=found.instance,
        outcome=found.outcome,
        cause=found.cause,
        asked_by=found.asked_by,
        started_at=found.started_at,
        ended_at=found.ended_at,
        events=found.steps,
    )


def _tell_log(session: Session, log: OperationLog) -> None:
    from . import tables
    from .progress import Story, event_line

    took = tables.span(log.started_at, log.ended_at) if log.started_at else f"waiting for {log.now}"
    session.say(f"{log.kind} {log.instance} (request {log.request_id}): {log.outcome.value}, {took}", "bold")
    story = Story()
    for event in log.events:
        session.say(event_line(event, story.take(event), log.events[0]))
    if log.waiting_for:
        session.say(f"{log.now}: waiting for {log.waiting_for}", "yellow")
    for line in how_to_answer(session, log.instance, log.question) if log.question else ():
        session.say(line)
    if log.cause is not None:
        tables.fields(
            session.console, [("cause", log.cause.message), ("object", log.cause.object), ("fix", log.cause.fix)]
        )


def plans(session: Session) -> None:
    """List the catalog's plans."""
    from . import tables
    from .documents import PlanList, PlanSummary

    catalog = session.settings.load_catalog()
    found = PlanList(
        plans=[
            PlanSummary(name=name, description=plan.description, chart=plan.chart.label, url=plan.url)
            for name, plan in sorted(catalog.plans.items())
        ]
    )

    def tell() -> None:
        rows = [(plan.name, plan.description or None, plan.chart, plan.url) for plan in found.plans]
        tables.show(session.console, ("plan", "description", "chart", "url"), rows)

    session.answer(found, tell)


def config(session: Session) -> None:
    """Show the effective settings and where each comes from; secrets are masked."""
    from . import tables
    from .configuration import effective

    found = effective(session)

    def tell() -> None:
        rows = [(each.name, each.value, each.source) for each in found.settings]
        tables.show(session.console, ("setting", "value", "from"), rows)

    session.answer(found, tell)
