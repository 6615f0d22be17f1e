"""Rows for people: a table on a terminal, aligned columns that are never cut where the output is piped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from rich.console import Console
from rich.table import Table
from rich.text import Text

STYLES = {"running": "green", "done": "green", "error": "red", "undone": "red", "left_behind": "red", "stopped": "dim"}
"""Words that stand out wherever they are a cell of their own."""


def show(console: Console, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows under their columns; None is a dash."""
    cells = [["–" if cell is None else str(cell) for cell in row] for row in rows]
    if console.is_terminal:
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", show_edge=False)
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in cells:
            table.add_row(*(Text(cell, STYLES.get(cell, "")) for cell in row))
        console.print(table)
        return
    widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    for row in [list(columns), *cells]:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        console.print(line.rstrip(), soft_wrap=True)


def fields(console: Console, pairs: Iterable[tuple[str, object]]) -> None:
    """Print one thing's fields, those that have a value."""
    known = [(name, str(value)) for name, value in pairs if value not in {None, ""}]
    width = max((len(name) for name, _ in known), default=0)
    for name, value in known:
        console.print(Text.assemble((f"{name:{width}}  ", "dim"), (value, STYLES.get(value, ""))))


def moment(at: datetime | None) -> str | None:
    """A time for people, in UTC."""
    return None if at is None else f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def span(began: datetime, ended: datetime | None) -> str:
    """How long something took, or has taken."""
    seconds = ((ended or datetime.now(UTC)) - began).total_seconds()
    told = f"{seconds:.1f} s" if seconds < 90 else f"{seconds // 60:.0f} min {seconds % 60:.0f} s"
    return told if ended else f"{told} so far"
