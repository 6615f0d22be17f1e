"""An operation while it runs: a line a step that moves on a terminal, a line an event where the output is piped."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from ..model.messages import StepEvent, StepState

ENDED = {
    StepState.DONE: ("✓", "green"),
    StepState.FAILED: ("✗", "red"),
    StepState.UNDONE: ("↩", "yellow"),
    StepState.LEFT_BEHIND: ("!", "red"),
    StepState.DECIDED: ("→", "yellow"),
}
"""How a step's end is shown; the others are beginnings."""


@dataclass
class Line:
    """One step, or the undoing of one."""

    name: str
    began: StepEvent
    seen: float = field(default_factory=time.monotonic)
    end: StepEvent | None = None

    @property
    def seconds(self) -> float:
        """How long it took, by the operation's clock; or has taken, by ours."""
        if self.end is None:
            return time.monotonic() - self.seen
        return (self.end.at - self.began.at).total_seconds()


class Story:
    """An operation's events as lines, one a step."""

    def __init__(self) -> None:
        self.lines: list[Line] = []

    def take(self, event: StepEvent) -> Line:
        """Note one event; the line it belongs to."""
        name = event.step
        if event.state in {StepState.UNDOING, StepState.UNDONE, StepState.LEFT_BEHIND}:
            name = f"undo {event.step}"
        elif event.state in {StepState.PARKED, StepState.DECIDED}:
            name = f"ask about {event.step}"
        line = next((each for each in self.lines if each.name == name and each.end is None), None)
        if line is None:
            line = Line(name, event)
            self.lines.append(line)
        if event.state in ENDED:
            line.end = event
        return line


class Board:
    """Shows a story while it is entered; without a console it only waits."""

    def __init__(self, title: str, console: Console | None) -> None:
        self._title = title
        self._console = console
        self._story = Story()
        self._began = time.monotonic()
        self._ended = False
        self._first: StepEvent | None = None
        self._waits_for = "a worker"
        self._question: list[str] = []
        self._reason = ""
        self._spinner = Spinner("dots", style="cyan")
        self._live = (
            Live(console=console, refresh_per_second=10, get_renderable=self._shown)
            if console is not None and console.is_terminal
            else None
        )

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        elif self._console is not None:
            self._console.print(self._title)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended = True
        if self._live is not None:
            self._live.stop()

    def take(self, event: StepEvent) -> None:
        """Show one more event."""
        self._first = self._first or event
        self._question = []
        self._reason = ""
        line = self._story.take(event)
        self._print(event_line(event, line, self._first))

    def waits_for(self, what: str) -> None:
        """Show what has to happen before the first event."""
        self._waits_for = what
        self._print(f"waiting for {what}")

    def reason(self, reason: str) -> None:
        """Show what the step under way waits for, until the next event."""
        if reason != self._reason.removeprefix("waiting for "):
            self._reason = reason and f"waiting for {reason}"
            if reason:
                self._print(f"{'':12}waiting for {reason}")

    def ask(self, question: list[str]) -> None:
        """Show what an operator is asked, until the next event."""
        self._question = question
        for line in question:
            self._print(line)

    def _print(self, line: str) -> None:
        if self._live is None and self._console is not None:
            self._console.print(line)

    def _shown(self) -> Group:
        grid = Table.grid(padding=(0, 1))
        grid.add_column(width=2)
        grid.add_column(min_width=14)
        grid.add_column(justify="right", min_width=8)
        grid.add_column(overflow="fold")
        waiting = not self._story.lines and not self._ended
        if waiting:
            spent = time.monotonic() - self._began
            grid.add_row(self._spinner, f"waiting for {self._waits_for}", f"{spent:.1f} s", "")
        for line in self._story.lines:
            grid.add_row(*self._cells(line))
        question = [Text(line, "yellow") for line in self._question]
        return Group(Text(self._title, "bold"), grid, *question)

    def _cells(self, line: Line) -> tuple[Spinner | Text, Text, str, Text]:
        if line.end is None:
            asks = line.began.state is StepState.PARKED
            mark: Spinner | Text = self._spinner
            if self._ended or asks:
                mark = Text("?" if asks else "…", "yellow")
            return mark, Text(line.name), f"{line.seconds:.1f} s", Text(self._reason or line.began.detail, "dim")
        sign, style = ENDED[line.end.state]
        return Text(sign, style), Text(line.name), f"{line.seconds:.2f} s", Text(line.end.detail, style)


def event_line(event: StepEvent, line: Line, first: StepEvent) -> str:
    """One event as plain text: seconds since the operation's first event, step, state, the step's seconds, detail."""
    since = (event.at - first.at).total_seconds()
    took = f" in {line.seconds:.2f} s" if line.end is event else ""
    detail = f": {event.detail}" if event.detail else ""
    return f"{since:8.2f} s  {event.step:<12} {event.state.value}{took}{detail}"
