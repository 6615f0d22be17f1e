"""The crash matrix in memory: whatever goes wrong at whatever effect of whatever operation, the world ends as it must.

Each effect of each operation meets some of its faults here; `make chaos` plays all of them, in memory or for real.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field

import pytest

from .cells import OUTER, Cell, cells_of, sampled
from .memory_stage import MemoryStage
from .report import Report
from .runner import Verdict, play_all, record
from .scenarios import SCENARIOS

SEED = 1
EACH = 1
"""Faults of each effect."""

pytestmark = [
    pytest.mark.timeout(1200),
    # Of workers that were killed, while what is left of them is thrown away.
    pytest.mark.filterwarnings("ignore:Cannot find activity to cancel"),
]


@dataclass
class Matrix:
    """What was seen and played so far."""

    whole: list[Cell] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    seconds: float = 0.0


@pytest.fixture(scope="module")
def matrix() -> Matrix:
    """Filled by the tests, one after the other."""
    return Matrix()


async def test_each_operation_leaves_what_the_model_says_where_nothing_goes_wrong(
    stage: MemoryStage, matrix: Matrix
) -> None:
    matrix.whole = cells_of(await record(stage, list(SCENARIOS), "recording"))
    assert {cell.operation for cell in matrix.whole} == set(SCENARIOS)
    assert {cell.fault for cell in matrix.whole} == set(OUTER)


async def test_no_fault_at_any_effect_of_any_operation_leaves_a_wrong_world(stage: MemoryStage, matrix: Matrix) -> None:
    cells, begun = sampled(matrix.whole, seed=SEED, each=EACH), time.monotonic()
    matrix.verdicts = await play_all(stage, cells, seed=SEED, size=10, at_once=2, tell=print)
    matrix.seconds = time.monotonic() - begun
    assert {str(verdict.cell): verdict.wrong for verdict in matrix.verdicts if verdict.wrong} == {}


def test_the_matrix_leaves_no_effect_out_and_tells_its_size(matrix: Matrix, capsys: pytest.CaptureFixture[str]) -> None:
    report = Report("in memory", SEED, matrix.seconds, len(matrix.whole), matrix.verdicts)
    played = {(verdict.cell.operation, verdict.cell.effect.place) for verdict in matrix.verdicts}
    assert played == {(cell.operation, cell.effect.place) for cell in matrix.whole}
    assert {verdict.cell.fault for verdict in matrix.verdicts} == set(OUTER)
    assert f"of {len(matrix.whole)} cells: {len(SCENARIOS)} operations, {len(played)} effects; 0 wrong" in report.size()
    assert report.markdown().count("\n| provision | ") == sum(operation == "provision" for operation, _ in played)
    with capsys.disabled():
        sys.stdout.write(f"\n{report.size()}\n")
