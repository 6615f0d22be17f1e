"""`innkeeper timeline`: where an operation's time went, as bars on a terminal or as a picture."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .options import ASKING, command
from .reading import PANEL
from .session import Session

if TYPE_CHECKING:
    from ..client import Span, Timeline

WIDTH = 48
"""Characters of the bars."""

COLOURS = {
    "queue": "#b0b7c3",
    "workflow": "#7a5cd6",
    "database": "#2f9e6e",
    "Helm": "#2b6cb0",
    "Kubernetes": "#dd7a1f",
    "waiting": "#e6e8ec",
}

PICTURE = """\
<svg xmlns="http://www.w3.org/2000/svg" width="960" height="{{ 84 + 22 * rows | length }}" \
font-family="system-ui, sans-serif" font-size="12">
<rect width="100%" height="100%" fill="white"/>
<text x="16" y="24" font-size="15">{{ title | e }}</text>
{% for part, seconds in totals %}<rect x="{{ 16 + 155 * loop.index0 }}" y="36" width="11" height="11" \
fill="{{ colours[part] }}"/><text x="{{ 32 + 155 * loop.index0 }}" y="46">{{ part }} {{ seconds }}</text>
{% endfor %}{% for row in rows %}<text x="16" y="{{ 78 + 22 * loop.index0 }}">{{ row.name | e }}</text>
<rect x="{{ row.x }}" y="{{ 66 + 22 * loop.index0 }}" width="{{ row.width }}" height="15" fill="{{ row.colour }}"/>
<text x="{{ row.label }}" y="{{ 78 + 22 * loop.index0 }}"{% if row.label < row.x %} text-anchor="end"{% endif %}>\
{{ row.seconds }}</text>
{% endfor %}</svg>
"""
"""A Gantt chart: one row a span, from left to right as time went."""


def add_to(app: typer.Typer) -> None:
    """Declare the command."""
    command(app, ASKING, panel=PANEL, example="innkeeper timeline acme --svg acme.svg")(timeline)


def timeline(
    session: Session,
    name: Annotated[
        str | None, typer.Argument(help="The instance: its latest operation.", metavar="NAME", show_default=False)
    ] = None,
    request_id: Annotated[
        str | None, typer.Option("--request-id", help="The operation of this request.", metavar="ID")
    ] = None,
    svg: Annotated[
        Path | None, typer.Option("--svg", help="Draw it into this file, too.", metavar="FILE", show_default=False)
    ] = None,
) -> None:
    """Show where an operation's time went."""
    if name is None and request_id is None:
        raise typer.BadParameter("give an instance's name, or --request-id, or both", param_hint="NAME")

    async def read() -> Timeline:
        from ..client import BadInput

        async with session.innkeeper() as innkeeper:
            if request_id is not None:
                return await (await innkeeper.handle(request_id, name=name)).timeline()
            handle = await innkeeper.latest(name or "")
            if handle is None:
                fix = f"see what ran before by `{session.hint('operations')}`: Temporal forgets, rows do not"
                raise BadInput("name", name, "has no operation that Temporal still knows", fix=fix)
            return await handle.timeline()

    found = asyncio.run(read())
    if svg is not None:
        _draw(svg, found)
    session.answer(found, lambda: _tell(session, found))


def _title(found: Timeline) -> str:
    told = f"{found.kind} {found.instance} (request {found.request_id})"
    return f"{told}: {found.seconds:.2f} s, {found.events} history events"


def _name(span: Span) -> str:
    attempts = f", attempt {span.attempts}" if span.attempts > 1 else ""
    failed = ", failed" if span.failed else ""
    waits = span.part == "queue" and span.step
    return f"{'to ' if waits else ''}{span.step or span.part}{attempts}{failed}"


def _totals(found: Timeline) -> list[tuple[str, str]]:
    return [(part.value, f"{seconds:.2f} s") for part, seconds in found.totals.items() if seconds]


def _tell(session: Session, found: Timeline) -> None:
    session.say(_title(found), "bold")
    names = [_name(span) for span in found.spans]
    width = max((len(each) for each in names), default=0)
    for each, span in zip(names, found.spans, strict=True):
        bar = _bar(span, found.seconds)
        session.say(f"{span.begins:7.2f} s  {each:{width}}  {bar:{WIDTH}}  {span.seconds:.2f} s {span.part}")
    session.say(", ".join(f"{part} {seconds}" for part, seconds in _totals(found)))


def _bar(span: Span, whole: float) -> str:
    begin = min(round(span.begins / whole * WIDTH), WIDTH - 1)
    return " " * begin + "█" * max(1, min(round(span.seconds / whole * WIDTH), WIDTH - begin))


def _draw(path: Path, found: Timeline) -> None:
    import jinja2

    from ..client import BadInput

    picture = jinja2.Environment(autoescape=True).from_string(PICTURE)
    text = picture.render(title=_title(found), totals=_totals(found), colours=COLOURS, rows=_rows(found))
    try:
        path.write_text(text)
    except OSError as error:
        raise BadInput("svg", str(path), f"cannot be written: {error.strerror}", fix="name another file") from None


def _rows(found: Timeline) -> Sequence[dict[str, object]]:
    left, scale = 170, 700 / (found.seconds or 1)
    rows = []
    for span in found.spans:
        x, width = left + span.begins * scale, max(1.0, span.seconds * scale)
        label = x + width + 6 if x + width < left + 650 else x - 6
        rows.append(
            {
                "name": _name(span),
                "x": round(x, 1),
                "width": round(width, 1),
                "label": round(label, 1),
                "colour": COLOURS[span.part],
                "seconds": f"{span.seconds:.2f} s",
            }
        )
    return rows
