"""The command that exports what was used: a table for people, JSON for programs, CSV for spreadsheets."""

from __future__ import annotations

import asyncio
import csv
import io
from collections import defaultdict
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from .options import STATE_DIR, SUPABASE, TABULAR, command
from .reading import PANEL, Tenant
from .session import Session, write

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..model.usage_ports import Figure

OPEN = "…"
"""Behind a window that is not metered to its end."""


class Window(StrEnum):
    """How long windows are."""

    HOUR = "hour"
    DAY = "day"


def add_to(app: typer.Typer) -> None:
    """Declare the command."""
    example = "innkeeper usage --tenant t1 --from 2026-03-01 --to 2026-04-01 --output csv"
    command(app, (TABULAR, STATE_DIR, SUPABASE), panel=PANEL, example=example)(usage)


def usage(
    session: Session,
    tenant: Tenant = None,
    instance: Annotated[
        str | None, typer.Option("--instance", "-i", help="This instance's only.", metavar="NAME", show_default=False)
    ] = None,
    since: Annotated[
        str | None,
        typer.Option("--from", help="Windows from this day or time on (UTC).", metavar="TIME", show_default=False),
    ] = None,
    until: Annotated[
        str | None, typer.Option("--to", help="Windows before this day or time.", metavar="TIME", show_default=False)
    ] = None,
    by: Annotated[Window, typer.Option(help="Windows of an hour or of a day (UTC).")] = Window.DAY,
) -> None:
    """Show what instances used, as the last metering left it."""
    from ..model import names
    from ..model.usage_ports import Usage, UsagePage

    wanted = Usage(
        tenant=tenant,
        instance=None if instance is None else names.normalise(instance),
        since=_moment("--from", since),
        until=_moment("--to", until),
        by=by.value,
    )

    async def read() -> list[Figure]:
        from ..model.ports import Page

        async with session.usage() as usage:
            page = await usage.usage(wanted, Page(limit=1000))
            items = page.items
            while page.next is not None:
                page = await usage.usage(wanted, Page(limit=1000, after=page.next))
                items += page.items
        return items

    figures = asyncio.run(read())
    if session.csv:
        write(as_csv(figures))
    else:
        session.answer(UsagePage(items=figures), lambda: tell(session, figures, by))


def _moment(option: str, given: str | None) -> datetime | None:
    from ..client import BadInput

    if given is None:
        return None
    try:
        found = datetime.fromisoformat(given)
    except ValueError:
        raise BadInput(option, given, "is no time", fix="give a day or a time, e.g. 2026-03-01T12:00Z") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def as_csv(figures: Sequence[Figure]) -> str:
    """The figures as CSV (RFC 4180, but for the lines' ends), one a line under a head."""
    text = io.StringIO()
    columns = ("tenant", "instance", "plan", "metric", "window_start", "window_end", "quantity", "final")
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    for figure in figures:
        told = figure.model_dump(mode="json")
        writer.writerow({**told, "final": str(figure.final).lower(), "quantity": f"{figure.quantity:f}"})
    return text.getvalue().rstrip("\n")


def tell(session: Session, figures: Sequence[Figure], by: str) -> None:
    """A row a window of an instance, a column a metric, and their sums."""
    from ..model.usage import METRICS
    from . import tables

    rows: dict[tuple[datetime, str, str, str], dict[str, Decimal]] = defaultdict(dict)
    sums: dict[str, Decimal] = defaultdict(Decimal)
    growing: set[tuple[datetime, str, str, str]] = set()
    for figure in figures:
        place = figure.window_start, figure.instance, figure.tenant, figure.plan
        rows[place][figure.metric] = figure.quantity
        sums[figure.metric] += figure.quantity
        if not figure.final:
            growing.add(place)
    known = [metric for metric in METRICS if metric in sums]
    metrics = [*known, *sorted(sums.keys() - METRICS.keys())]
    form = "%Y-%m-%d" if by == "day" else "%Y-%m-%d %H:%M"
    told: list[tuple[object, ...]] = [
        (
            f"{place[0].astimezone(UTC):{form}}{OPEN if place in growing else ''}",
            *place[1:],
            *(_told(used.get(metric)) for metric in metrics),
        )
        for place, used in sorted(rows.items())
    ]
    if told:
        told.append(("all", None, None, None, *(_told(sums[metric]) for metric in metrics)))
    tables.show(session.console, ("window", "instance", "tenant", "plan", *metrics), told)
    if growing:
        session.say(f"{OPEN} not metered to its end yet", "dim")


def _told(quantity: Decimal | None) -> str | None:
    """A quantity for people: whole numbers as they are, others to two places."""
    if quantity is None:
        return None
    return f"{quantity:,.0f}" if quantity == quantity.to_integral_value() else f"{quantity:,.2f}"
