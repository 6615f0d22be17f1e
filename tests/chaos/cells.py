"""The cells of the crash matrix: made from what each operation was seen to do, named so that one is found again."""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from .effects import Effect, Fault
from .scenarios import SCENARIOS, Scenario

OUTER = (Fault.KILLED_BEFORE, Fault.KILLED_AFTER, Fault.LOST, Fault.TRANSIENT, Fault.PERMANENT)
INNER = (Fault.KILLED_BEFORE, Fault.KILLED_AFTER)
"""Helm's own writes: it dies with the worker that started it."""


class Cell(NamedTuple):
    """One operation with one fault at one effect."""

    operation: str
    effect: Effect
    fault: Fault
    happened: tuple[str, ...]
    """The labels of the effects before it."""

    @property
    def scenario(self) -> Scenario:
        """What the operation is."""
        return SCENARIOS[self.operation]

    def __str__(self) -> str:
        return f"{self.operation}/{self.effect}/{self.fault}"


def cells_of(recorded: Mapping[str, Sequence[Effect]], *, within: bool = False) -> list[Cell]:
    """Every cell of these operations.

    Args:
        recorded: by operation the effects that it was seen to have where nothing went wrong.
        within: kill Helm somewhere in the middle, where its own writes cannot be counted.
    """
    cells = []
    for operation, effects in recorded.items():
        refused = SCENARIOS[operation].refused
        labels = [effect.label for effect in effects if not effect.inner]
        begin = labels.index(refused) + 1 if refused else 0
        for effect in effects:
            if effect.number <= begin:
                continue
            faults = INNER if effect.inner else OUTER
            if within and effect.label.startswith("helm."):
                faults = (*faults, Fault.KILLED_WITHIN)
            happened = tuple(labels[: effect.number - 1])
            cells += [Cell(operation, effect, fault, happened) for fault in faults]
    return cells


def sampled(cells: Iterable[Cell], *, seed: int, each: int) -> list[Cell]:
    """So many of the faults of each effect, chosen by the seed: no effect of any operation is left out."""
    by_effect: dict[tuple[str, tuple[int, int]], list[Cell]] = defaultdict(list)
    for cell in cells:
        by_effect[cell.operation, cell.effect.place].append(cell)
    dice = random.Random(seed)  # noqa: S311  # to be the same again
    return [cell for found in by_effect.values() for cell in dice.sample(found, min(each, len(found)))]


def named(cells: Iterable[Cell], name: str) -> list[Cell]:
    """The cells that a name means: ``operation/number label/fault``; the label may be short, or left out.

    Raises:
        ValueError: none is.
    """
    found = re.fullmatch(r"([a-z-]+)/(\d+)(?:\.(\d+))?(?: ([^/]*))?/([a-z-]+)", name.strip())
    if found is None:
        raise ValueError(f"{name!r} is no cell's name: operation/number label/fault")
    operation, number, inner, label, fault = found.groups()
    place = (int(number), int(inner or 0))
    chosen = [
        cell
        for cell in cells
        if (cell.operation, cell.effect.place, cell.fault.value) == (operation, place, fault)
        and cell.effect.label.startswith(label or "")
    ]
    if not chosen:
        raise ValueError(f"there is no cell {name!r}")
    return chosen
