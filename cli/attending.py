"""The commands of whoever is asked: what waits for a person, and the answer."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from .asking import commands
from .operations import Name, caller
from .options import ASKING, command
from .session import Session

if TYPE_CHECKING:
    from ..client import Decided, FindingRecord, Parked
    from .documents import Attention

PANEL = "Operators"

Decision = Literal["retry", "skip", "abort"]
"""The client's `Choice`, said again so that help needs no client."""


def add_to(app: typer.Typer) -> None:
    """Declare the commands."""
    command(app, ASKING, panel=PANEL, example="innkeeper attention")(attention)
    command(app, ASKING, panel=PANEL, example="innkeeper decide acme retry")(decide)


def attention(session: Session) -> None:
    """List everything that waits for an operator, over all instances, with the command that answers."""
    from .documents import Attention

    async def read() -> list[Parked]:
        async with session.innkeeper() as innkeeper:
            return await innkeeper.attention()

    parked = asyncio.run(read())
    drift, unknown = _asked_by_drift(session)
    found = Attention(items=parked, drift=drift, drift_unknown=unknown)
    session.answer(found, lambda: _tell(session, found))


def _asked_by_drift(session: Session) -> tuple[list[FindingRecord], str]:
    """What plans ask operators about drift, and why that is not known: what is parked is told all the same."""
    from ..client import InnkeeperError
    from ..model.drift_kinds import Policy
    from ..model.ports import Page

    async def read() -> list[FindingRecord]:
        async with session.findings() as rows:
            return (await rows.findings(Page(limit=999), policy=Policy.ASK)).items

    if session.settings.supabase_url is None:
        return [], ""
    try:
        return asyncio.run(read()), ""
    except InnkeeperError as error:
        return [], str(error)


def _tell(session: Session, found: Attention) -> None:
    from . import tables
    from .drifting import tell_finding

    if found.drift_unknown:
        session.say(f"what is asked about drift is not known: {found.drift_unknown}", "yellow")
    for finding in found.drift:
        tell_finding(session, finding)
        session.say(f"  {session.hint('repair', finding.instance)}\n    to put it back")
        session.say(f"  {session.hint('freeze', finding.instance)}\n    to have it left alone")
    items = found.items
    if not items:
        if not found.drift:
            session.say("nothing waits for an operator", "green")
        return
    columns = ("instance", "kind", "since", "question", "answer by", "cause")
    tables.show(session.console, columns, [_row(each) for each in items])
    # Below the table, where no column folds a command that is to be copied.
    for each in items:
        if each.question is not None:
            session.say(f"\n{each.instance}, {each.question.id}:")
            for line in commands(session, each.instance, each.question):
                session.say(line)


def _row(each: Parked) -> tuple[str | None, ...]:
    from . import tables

    row = (each.instance or None, each.kind, tables.moment(each.since))
    asked = each.question
    if asked is not None:
        return (*row, asked.id, tables.moment(asked.answer_by), str(asked.cause))
    if each.problem:
        return (*row, None, None, f"a defect, which a mended worker ends: {each.problem}")
    return (*row, None, None, "what it asks is not known: no worker answers, start one")


def decide(
    session: Session,
    name: Name,
    choice: Annotated[Decision, typer.Argument(help="What is to be done.", metavar="CHOICE", show_default=False)],
    note: Annotated[str, typer.Option("--note", help="Why, for the record.", show_default=False)] = "",
    operator: Annotated[
        str | None, typer.Option("--operator", help="Who decides, for the record; you by default.", show_default=False)
    ] = None,
    question: Annotated[
        str | None,
        typer.Option("--question", help="Answer this question or none; by default what is asked now.", metavar="ID"),
    ] = None,
) -> None:
    """Answer what a parked operation asks: retry, skip (an undo only) or abort."""

    async def send() -> Decided:
        async with session.innkeeper() as innkeeper:
            return await innkeeper.decide(name, choice, operator=operator or caller(), note=note, question=question)

    decided = asyncio.run(send())
    what = f"the undo of {decided.step}" if decided.undo else decided.step
    session.answer(decided, lambda: session.say(f"{decided.choice.value} is taken for {what} of {name}", "green"))
    session.say(f"follow: {session.hint('logs', name, '--follow')}")
