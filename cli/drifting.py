"""The commands on drift: where rows, plans and the cluster disagree, and one instance explained."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from .asking import commands
from .freezing import tell_freezes
from .operations import Name
from .options import ASKING, command
from .session import Session

if TYPE_CHECKING:
    from ..client import Explanation, FindingRecord, Reconciled
    from .documents import DriftReport

PANEL = "Operators"

COLOURS = {"error": "red", "warning": "yellow", "info": "dim"}


def add_to(app: typer.Typer) -> None:
    """Declare the commands."""
    command(app, ASKING, panel=PANEL, example="innkeeper drift --now")(drift)
    command(app, ASKING, panel=PANEL, example="innkeeper explain acme")(explain)


def drift(
    session: Session,
    name: Annotated[
        str | None, typer.Argument(help="Of this instance only.", metavar="NAME", show_default=False)
    ] = None,
    now: Annotated[bool, typer.Option("--now", help="Have the workers look now, and wait for it.")] = False,
) -> None:
    """Show where rows, plans and the cluster disagree, with what would mend it; reads rows unless --now."""
    report = asyncio.run(_report(session, name, now=now))
    session.answer(report, lambda: _tell(session, report, name))


async def _report(session: Session, name: str | None, *, now: bool) -> DriftReport:
    from ..model import explaining, names
    from ..model.freezes import on as freezes_on
    from ..model.ports import Page
    from .documents import DriftReport

    instance = None if name is None else names.normalise(name)
    looked: Reconciled | None = None
    if now:
        async with session.innkeeper() as innkeeper:
            looked = await innkeeper.reconcile(instance)
    async with session.findings() as rows:
        page = await rows.findings(Page(limit=999), instance=instance)
        items = page.items
        while page.next is not None:
            page = await rows.findings(Page(limit=999, after=page.next), instance=instance)
            items = [*items, *page.items]
    async with session.freezes() as freezing:
        freezes = await freezing.freezes()
    if instance is not None:
        async with session.rows() as rows:
            row = await rows.instance(instance)
        freezes = freezes_on(freezes, row) if row else []
    return DriftReport(items=explaining.worst_first(items), freezes=freezes, reconciled=looked)


def _tell(session: Session, report: DriftReport, name: str | None) -> None:
    looked = report.reconciled
    if looked is not None:
        written = looked.written
        session.say(
            f"looked at {looked.looked_at}, left {looked.busy} alone: "
            f"{written.opened} new findings, {written.resolved} gone",
            "dim",
        )
        for words, names in (("a repair is asked for", looked.asked), ("frozen, no repair is asked for", looked.held)):
            if names:
                session.say(f"{words}: {', '.join(names)}")
        for failure in looked.failures:
            session.say(f"no repair could be asked for: {failure}", "red")
    tell_freezes(session, report.freezes)
    for each in report.items:
        tell_finding(session, each)
    if not report.items:
        of = f" of {name}" if name else ""
        now = "" if looked else f"; look now: {session.hint('drift', *([name] if name else []), '--now')}"
        session.say(f"no drift{of} is known{now}", "green")


def tell_finding(session: Session, each: FindingRecord, indent: str = "") -> None:
    """One finding with its diff, as a person reads it."""
    from . import tables

    words = (each.how_bad.value, each.instance, each.what.value, each.object, f"since {tables.moment(each.first_seen)}")
    session.say(indent + "  ".join(words), COLOURS[each.how_bad.value])
    for sign, text in (("-", each.wanted), ("+", each.found)):
        for line in text.splitlines():
            session.say(f"{indent}  {sign} {line}")
    session.say(f"{indent}  mend: {each.mend}")
    if each.policy.value != "report":
        what = "a repair is asked for once" if each.policy.value == "repair" else "an operator is asked"
        session.say(f"{indent}  the plan says {each.policy.value}: {what}")


def explain(session: Session, name: Name) -> None:
    """Say of one instance what should be, what is, why, what ran lately, and what to do."""

    async def read() -> Explanation:
        async with session.innkeeper() as innkeeper:
            return await innkeeper.explain(name)

    found = asyncio.run(read())
    session.answer(found, lambda: _tell_explanation(session, found))


def _tell_explanation(session: Session, found: Explanation) -> None:
    from . import tables

    row, seen = found.instance, found.seen
    session.say("What should be", "bold")
    pending = " (applied by the next start)" if row.upgrade_pending else ""
    wanted = [
        ("  status", row.status.value),
        ("  tenant", row.tenant),
        ("  plan", f"{row.plan}{pending}"),
        ("  chart", seen and seen.wanted_chart),
        ("  release", f"{row.namespace}/{row.release}" + (f", revision {row.revision}" if row.revision else "")),
        ("  url", row.url),
    ]
    tables.fields(session.console, wanted)
    session.say("\nWhat is", "bold")
    _tell_seen(session, found)
    _tell_why(session, found)
    session.say("\nWhat ran lately", "bold")
    rows = [
        (
            tables.moment(each.started_at),
            tables.span(each.started_at, each.ended_at),
            each.kind.value,
            each.outcome.value,
            each.asked_by or None,
            each.cause and each.cause.message,
        )
        for each in found.operations
    ]
    tables.show(session.console, ("started", "took", "kind", "outcome", "asked by", "cause"), rows)
    session.say("\nWhat to do", "bold")
    if found.question is not None:
        for line in commands(session, row.name, found.question):
            session.say(line)
        return
    for line in found.to_do or ["nothing"]:
        session.say(f"  {line}")


def _tell_why(session: Session, found: Explanation) -> None:
    from ..model import explaining

    row = found.instance
    session.say("\nWhy", "bold")
    if row.cause is not None:
        session.say(f"  {row.cause.code}: {row.cause.message}", "red")
    if found.question is not None:
        session.say(f"  parked: {found.question.headline}: {found.question.cause}", "yellow")
    if found.waiting_for:
        session.say(f"  {found.now}: waiting for {found.waiting_for}", "yellow")
    lacking = explaining.unready(row, found.seen)
    for state in lacking:
        session.say(f"  {state.object}: {state.verdict}", "red")
    for each in found.findings:
        tell_finding(session, each, "  ")
        session.say(f"    that is: {each.what.meaning}")
    tell_freezes(session, found.freezes, "  ")
    if not (row.cause or found.question or found.findings or found.waiting_for or lacking):
        session.say("  nothing is known to be wrong", "green")


def _tell_seen(session: Session, found: Explanation) -> None:
    from . import tables

    seen = found.seen
    if seen is None:
        session.say(f"  nobody could look: {found.not_seen}", "yellow")
        return
    if not seen.namespace:
        session.say("  no namespace with the instance's mark", "yellow")
        return
    current = {True: ", as the plan wants it", False: ", not what the plan wants now", None: ""}[seen.current]
    release = f"revision {seen.revision}, chart {seen.chart}{current}" if seen.revision else "no deployed revision"
    unsettled = f"; the newest is {seen.state}" if seen.state not in ("", "deployed") else ""
    tables.fields(
        session.console, [("  release", release + unsettled), ("  pods", seen.pods), ("  volumes", seen.volumes)]
    )
    for each in seen.workloads:
        wanted = "" if each.wanted is None else f" of {each.wanted}"
        count = "" if each.found is None else f"replicas {each.found}{wanted}, "
        ready = "" if each.pods is None else f"{each.ready} of {each.pods} pods ready, "
        session.say(f"  {each.object}: {count}{ready}{', '.join(each.images)}", "red" if each.lacks_pods else "")
