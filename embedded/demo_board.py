"""What a person sees of the demo: operations side by side on a terminal, plain lines where the output is piped."""

from __future__ import annotations

import time
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ..model.messages import StepEvent, StepState


class Line:
    """One operation's line."""

    def __init__(self, name: str, kind: str) -> None:
        self.name = name
        self.kind = kind
        self.started = time.monotonic()
        self.ended: float | None = None
        self.spent: dict[str, float] = {}
        """Seconds a step took, by step, in the order in which they ended."""
        self.step = "asked"
        self._since = 0.0

    @property
    def seconds(self) -> float:
        """How long the operation has run, or took."""
        return (self.ended or time.monotonic()) - self.started

    def take(self, event: StepEvent) -> None:
        """Note one event."""
        if event.state is StepState.STARTED:
            self.step, self._since = event.step, event.at.timestamp()
        elif event.state is StepState.DONE:
            self.spent[event.step] = event.at.timestamp() - self._since
        else:
            self.step = f"{event.step} {event.state.value}"

    @property
    def told(self) -> str:
        """The steps done and their seconds."""
        return "  ".join(f"{step} {seconds:.2f}" for step, seconds in self.spent.items())


class Board:
    """Shows lines while it is entered."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._lines: list[Line] = []
        self._live = Live(console=console, refresh_per_second=10, transient=False, get_renderable=self._table)

    def add(self, name: str, kind: str) -> Line:
        """Show one more operation."""
        line = Line(name, kind)
        self._lines.append(line)
        return line

    def done(self, line: Line) -> None:
        """The operation has ended."""
        line.ended, line.step = time.monotonic(), "done"
        if not self._console.is_terminal:
            self._console.print(f"  {line.kind} {line.name}: {line.seconds:.1f} s  ({line.told})", highlight=False)

    def __enter__(self) -> Self:
        """Begin to show; on a terminal the lines move."""
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the last state on the screen."""
        if self._console.is_terminal:
            self._live.stop()

    def _table(self) -> Table:
        table = Table.grid(padding=(0, 2))
        for line in self._lines:
            state = Text("✓", "green") if line.ended else Text("…", "yellow")
            step = "" if line.ended else line.step
            table.add_row("", state, line.kind, Text(line.name, "bold"), f"{line.seconds:5.1f} s", step, line.told)
        return table


def rows(console: Console, columns: Iterable[str], found: Iterable[Iterable[object]]) -> None:
    """A small table."""
    table = Table(box=None, padding=(0, 2), header_style="dim")
    table.add_column("")
    for column in columns:
        table.add_column(column)
    for row in found:
        table.add_row("", *(str(cell) for cell in row))
    console.print(table)
