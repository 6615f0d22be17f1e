"""Rows on a terminal and in a pipe, and what of them is said of a run that nobody can ask."""

from __future__ import annotations

from datetime import UTC, datetime
from io import StringIO

import pytest
from rich.console import Console

from innkeeper.cli import attending, tables
from innkeeper.client import Parked

MOMENT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
ROWS = [("acme", "running", None), ("a-long-name", "[red]left_behind", "x" * 60)]


def shown(*, terminal: bool) -> str:
    file = StringIO()
    console = Console(file=file, force_terminal=terminal, width=40, markup=False, color_system=None)
    tables.show(console, ("name", "status", "cause"), ROWS)
    return file.getvalue()


def test_on_a_terminal_rows_are_a_table_whose_long_cells_are_folded_and_never_lost() -> None:
    told = shown(terminal=True)
    assert "running" in told
    assert told.count("x") == 60
    assert len(told.splitlines()) > 3
    assert "[red]" in told, "a cell is no markup"
    assert "–" in told


def test_in_a_pipe_a_row_is_one_line_with_its_columns_aligned() -> None:
    lines = shown(terminal=False).splitlines()
    assert lines[0] == "name         status            cause"
    assert lines[1] == "acme         running           –"
    assert lines[2] == f"a-long-name  [red]left_behind  {'x' * 60}"


@pytest.mark.parametrize(
    ("problem", "said"),
    [
        ("", "what it asks is not known: no worker answers, start one"),
        ("LookupError: starter", "a defect, which a mended worker ends: LookupError: starter"),
    ],
)
def test_a_parked_run_that_tells_no_question_is_said_with_why(problem: str, said: str) -> None:
    run = Parked(
        instance="acme",
        kind="stop",
        tenant="t1",
        request_id="r1",
        run_id="run",
        since=MOMENT,
        question=None,
        problem=problem,
    )
    assert attending._row(run) == ("acme", "stop", "2026-03-01 12:00:00", None, None, said)


def test_how_long_something_took_is_said_in_seconds_and_after_a_while_in_minutes() -> None:
    assert tables.span(MOMENT, MOMENT.replace(minute=1)) == "60.0 s"
    assert tables.span(MOMENT, MOMENT.replace(minute=2, second=5)) == "2 min 5 s"
    assert tables.span(MOMENT, None).endswith(" so far")
